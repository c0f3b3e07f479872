/** Groups that talk to each other directly, over logs in memory, while time is moved by hand. */
import { expect, test } from "bun:test";
import type { AppendWork, Log, LogBounds, LogEntry, LogFault } from "../../src/base/log.ts";
import { emptyConfState } from "../../src/raft/message.ts";
import { Group } from "../../src/replica/group.ts";
import { ManualTime } from "../support/node-rig.ts";
import { memoryLogger } from "../support/system-ports.ts";

const conf = { ...emptyConfState, voters: [1, 2, 3] };

/** Durable at once, unless it is stalled: then writes stay unanswered. */
class MemoryLogFile implements Log {
  readonly readOnly = false;
  isStalled = false;
  #entries: LogEntry[] = [];
  #hard = { term: 0, vote: "0", commit: 0 };

  append(work: AppendWork, done: (fault: LogFault | undefined) => void): void {
    if (this.isStalled) return;
    const cut = work.truncateFrom ?? Number.POSITIVE_INFINITY;
    this.#entries = [...this.#entries.filter((entry) => entry.index < cut), ...work.entries];
    this.#hard = work.hardState ?? this.#hard;
    queueMicrotask(() => done(undefined));
  }

  read(_group: number, from: number): LogEntry[] {
    return this.#entries.filter((entry) => entry.index >= from);
  }

  bounds(): LogBounds {
    const last = this.#entries.at(-1);
    return {
      first: 1,
      last: last?.index ?? 0,
      previousTerm: 0,
      lastTerm: last?.term ?? 0,
      hardState: this.#hard,
    };
  }

  compact(): void {}
  size() {
    return { bytes: 0, walBytes: 0, pendingBytes: 0 };
  }
  async close(): Promise<void> {}
}

function createGroups(time: ManualTime) {
  const groups = new Map<number, Group>();
  const logs = new Map<number, MemoryLogFile>();
  for (const id of [1, 2, 3]) {
    const log = new MemoryLogFile();
    logs.set(id, log);
    let bits = id * 7919;
    groups.set(
      id,
      new Group(
        {
          log,
          timers: time,
          random: { uint32: () => (bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0) },
          logger: memoryLogger(),
          send: (to, messages) => queueMicrotask(() => groups.get(to)?.receive(messages)),
          sendSnapshot: (_to, _message, done) => done(false),
          onEntry: () => {},
          onConf: () => {},
          onSoft: () => {},
          onLogFault: () => {},
          onLogRecovered: () => {},
        },
        { group: 0, nodeId: id, tickMs: 50, start: { applied: 0, conf } },
      ),
    );
  }
  for (const group of groups.values()) group.start();
  return { groups, logs };
}

async function passUntil(time: ManualTime, isDone: () => boolean): Promise<number> {
  for (let ms = 0; ms < 60_000; ms += 50) {
    if (isDone()) return ms;
    await time.pass(50);
  }
  throw new Error("a minute was not enough");
}

test("a leader whose log does not answer hands its role over, and writes go on", async () => {
  const time = new ManualTime();
  const { groups, logs } = createGroups(time);
  const leader = () => [...groups].find(([, group]) => group.isReady)?.[0];
  await passUntil(time, () => leader() !== undefined);
  const stuck = leader() ?? 0;

  const log = logs.get(stuck);
  if (log !== undefined) log.isStalled = true;
  groups.get(stuck)?.propose(new TextEncoder().encode("1"));
  const tookMs = await passUntil(time, () => leader() !== undefined && leader() !== stuck);

  expect(tookMs).toBeLessThanOrEqual(4000);
  const next = groups.get(leader() ?? 0);
  const proposed = next?.propose(new TextEncoder().encode("2"));
  expect(proposed?.kind).toBe("appended");
  const index = proposed?.kind === "appended" ? proposed.last : 0;
  await passUntil(time, () => (next?.appliedIndex ?? 0) >= index);
});
