/**
 * The moment that the shards of a backup have in common. Their states are copied one after the other, and shards tell each other what
 * happens (`engine/post.ts`): what one has sent the other must not have taken before it was sent, nor may it be forgotten before it was
 * taken. So each state is followed by the entries of its log up to one moment at which that is true of all pairs, and a
 * restore carries them out. The log is kept from shrinking meanwhile.
 */
import { CorvoError } from "../../base/errors.ts";
import type { LogEntry } from "../../base/log.ts";
import type { EntriesSection } from "../../store/backup-format.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import type { ShardCore } from "./shard.ts";

export interface Cut {
  /** Index of the last entry of each shard that belongs to the backup. */
  readonly ends: readonly number[];
  /** What the jobs of all shards use at that moment. */
  readonly blobs: ReadonlySet<string>;
}

const lookMs = 5;
/** A node that lags so far behind does not catch up soon. */
const waitMsMax = 10_000;
const readBytes = 1024 * 1024;

/** Waits for a moment at which what the shards of this node know of each other fits. */
export async function findCut(cores: readonly ShardCore[]): Promise<Cut> {
  const untilMs = systemClock.monotonicMs() + waitMsMax;
  for (;;) {
    if (isConsistent(cores)) {
      const engines = cores.map(({ replica }) => replica.engine);
      return {
        ends: cores.map(({ replica }) => replica.appliedIndex),
        blobs: new Set(
          engines.flatMap((engine) => keysOf(engine.state.records("blobs").entries())),
        ),
      };
    }
    if (systemClock.monotonicMs() > untilMs) {
      throw new CorvoError("UNAVAILABLE", "this node lags too far behind the others to be copied", {
        hint: "Ask another node.",
      });
    }
    await pause();
  }
}

function keysOf(entries: Iterable<readonly [string, unknown]>): string[] {
  return Array.from(entries, ([key]) => key);
}

function isConsistent(cores: readonly ShardCore[]): boolean {
  return cores.every((writer) =>
    cores.every((reader) => {
      if (reader.shard === writer.shard) return true;
      const { post, state } = writer.replica.engine;
      const taken = reader.replica.engine.post.takenFrom(writer.shard);
      const sent = state.records("mailMarks").get(String(reader.shard))?.sent ?? 0;
      const first = post.firstTo(reader.shard) ?? sent + 1;
      return taken <= sent && first <= taken + 1;
    }),
  );
}

/** The entries after a state, as lines. They are on this node's disk soon, if not yet. */
export async function* entriesOf(
  { storage: { log, shard } }: ShardCore,
  { from, to }: EntriesSection,
): AsyncGenerator<string> {
  for (let next = from; next <= to; ) {
    const { first, last } = log.bounds(shard);
    if (first > next) throw new Error(`entry ${next} of shard ${shard} is gone from the log`);
    if (last < to) {
      await pause();
      continue;
    }
    const found = log.read(shard, next, readBytes).filter(({ index }) => index <= to);
    yield found.map((entry) => `${JSON.stringify(encodeEntry(entry))}\n`).join("");
    next = (found.at(-1)?.index ?? to) + 1;
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => systemTimers.after(lookMs, resolve));
}

type Written = readonly [index: number, term: number, kind: number, data: string];

function encodeEntry({ index, term, kind, data }: LogEntry): Written {
  return [index, term, kind, data.toBase64()];
}

export function decodeEntry(line: string): LogEntry {
  const [index, term, kind, data] = JSON.parse(line) as Written;
  return { index, term, kind, data: Uint8Array.fromBase64(data) };
}

/** Keeps the log of a shard from letting go of what follows an entry, until the returned function is called. */
export function pinLog({ storage }: ShardCore, afterIndex: number): () => void {
  const pin = { afterIndex };
  storage.pins.add(pin);
  return () => storage.pins.delete(pin);
}
