import { expect, test } from "bun:test";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { createQueue } from "../../src/engine/state.ts";
import { hashState, hashTables } from "../../src/engine/state-hash.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";

function fill(seqs: readonly number[]): MemoryState {
  const state = new MemoryState();
  state.putQueue(createQueue("a", 1));
  for (const seq of seqs) {
    state.putJob(buildJob({ seq, history: 1 }));
    state.putAttempt(buildAttempt({ seq }));
  }
  state.putUnique("a", "k", { seq: 1, untilMs: 5 });
  for (const key of ["x", "y"]) {
    state.putIdempotency({ key, fingerprint: "f", expiresAtMs: 9, results: [] });
  }
  return state;
}

test("equal states have equal hashes, whatever the order of their records", () => {
  expect(hashState(fill([1, 2, 3]).contents())).toBe(hashState(fill([3, 1, 2]).contents()));
});

test("a change of any one thing changes the hash of its table and of no other", () => {
  const changes: [string, (state: MemoryState) => void][] = [
    ["meta", (state) => void state.meta.nextToken++],
    ["meta", (state) => void state.meta.floor.dead++],
    ["jobs", (state) => state.putJob(buildJob({ seq: 2, history: 1, priority: 3 }))],
    ["attempts", (state) => state.putAttempt(buildAttempt({ seq: 2, error: "bang" }))],
    ["attempts", (state) => state.deleteAttempt(3, 0)],
    ["queues", (state) => state.putQueue({ ...createQueue("a", 1), paused: true })],
    ["uniques", (state) => state.putUnique("a", "k", { seq: 1, untilMs: 6 })],
    ["idempotency", (state) => state.deleteIdempotency("x")],
  ];
  const before = hashTables(fill([1, 2, 3]).contents());

  for (const [table, change] of changes) {
    const state = fill([1, 2, 3]);
    change(state);
    const after = hashTables(state.contents());
    const changed = after
      .filter((line) => !before.includes(line))
      .map((line) => line.split(" ")[0]);
    expect(changed).toEqual([table]);
  }
});
