/**
 * Entries of a backup that follow its states: kept in files of the directory until its log is open, then written there, committed by
 * decree. The next start carries them out, and all shards are at one moment.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { AppendWork, LogEntry } from "../../base/log.ts";
import { decodeBatch } from "../../engine/change.ts";
import { toEntry } from "../../replica/raft-log.ts";
import { BackupDamaged, type EntriesSection } from "../../store/backup-format.ts";
import { decodeEntry } from "./backup-cut.ts";
import type { ShardStorage } from "./storage.ts";

const workEntries = 500;

function pathOf(directory: string, shard: number): string {
  return join(directory, `entries-${shard}`);
}

/** Takes the pieces of a section. */
export function keepEntries(directory: string, { shard }: EntriesSection) {
  const fd = openSync(pathOf(directory, shard), "w", 0o600);
  return {
    write(piece: Uint8Array): void {
      for (let at = 0; at < piece.length; ) at += writeSync(fd, piece, at);
    },
    place: () => closeSync(fd),
  };
}

/** Writes what was kept for a shard to its log. `see` looks at each entry. */
export async function appendEntries(
  { log, shard }: ShardStorage,
  directory: string,
  see: (entry: LogEntry) => void,
): Promise<void> {
  const path = pathOf(directory, shard);
  let entries: LogEntry[] = [];
  const flush = async () => {
    const last = entries.at(-1);
    if (last === undefined) return;
    const { hardState } = log.bounds(shard);
    const term = Math.max(hardState.term, last.term);
    const work = { group: shard, entries, hardState: { term, vote: "0", commit: last.index } };
    entries = [];
    await append(log, work);
  };
  let next = log.bounds(shard).last + 1;
  for await (const line of linesOf(path)) {
    const entry = decodeEntry(line);
    if (entry.index !== next++) {
      throw new BackupDamaged(`shard ${shard}: entry ${entry.index} does not follow its state`);
    }
    see(entry);
    entries.push(entry);
    if (entries.length === workEntries) await flush();
  }
  await flush();
  rmSync(path);
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of Bun.file(path).stream()) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function append(log: ShardStorage["log"], work: AppendWork): Promise<void> {
  return new Promise((resolve, reject) => {
    log.append(work, (fault) =>
      fault === undefined ? resolve() : reject(new Error(fault.message)),
    );
  });
}

/** Who the members will be once the entries are carried out, as far as that decides which number is free. */
export class MemberNumbers {
  readonly #byUuid = new Map<string, number>();
  next: number;

  constructor(members: readonly { readonly id: number; readonly uuid: string }[], next: number) {
    for (const { id, uuid } of members) this.#byUuid.set(uuid, id);
    this.next = next;
  }

  get ids(): readonly number[] {
    return [...this.#byUuid.values()];
  }

  see(logged: LogEntry): void {
    const { type, data } = toEntry(logged);
    if (type !== "EntryNormal" || data.length === 0) return;
    for (const change of decodeBatch(new TextDecoder().decode(data)).changes) {
      if (change.kind === "admitMember" && !this.#byUuid.has(change.uuid)) {
        this.#byUuid.set(change.uuid, this.next++);
      } else if (change.kind === "forgetMember") {
        for (const [uuid, id] of this.#byUuid) if (id === change.id) this.#byUuid.delete(uuid);
      }
    }
  }
}
