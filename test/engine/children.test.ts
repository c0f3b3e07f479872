import { expect, test } from "bun:test";
import { formatJobId } from "../../src/base/ids.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

function newRig(): EngineRig {
  const rig = new EngineRig();
  rig.apply({ kind: "raiseFeatureLevel", level: newestFeatureLevel });
  return rig;
}

const idOf = (rig: EngineRig, seq: number) => formatJobId(seq, rig.job(seq).createdAtMs, 0);

function child(rig: EngineRig, parent: number, options: Partial<JobOptions> = {}): number {
  return rig.add({
    queue: "c",
    options: { parentId: idOf(rig, parent), cascadeCancel: true, ...options },
  });
}

test("[F40] a parent must exist, the whole id of it; one of the same call does", () => {
  const rig = newRig();
  const parent = rig.add();
  const guessed = formatJobId(parent, rig.nowMs - 1, 0);

  const refused = rig.apply({
    kind: "enqueue",
    jobs: [{ queue: "q", payload: "{}", options: { parentId: guessed } }],
  });
  const added = rig.apply({
    kind: "enqueue",
    jobs: [
      { queue: "q", payload: "{}" },
      { queue: "q", payload: "{}", options: { parentId: "$0" } },
    ],
  });

  expect(refused).toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining(guessed) });
  const [first, second] = added.kind === "enqueued" ? added.results : [];
  if (first?.kind !== "added" || second?.kind !== "added") throw new Error("not added");
  expect(rig.job(second.seq).options.parentId).toBe(idOf(rig, first.seq));
});

test("[F40] as long as a node does not check parents, none does", () => {
  const rig = new EngineRig();

  expect(rig.enqueue({ options: { parentId: "whatever" } }).kind).toBe("added");
});

test("[F41] a parent that is cancelled takes along those children that asked for it, and theirs", () => {
  const rig = newRig();
  const parent = rig.add();
  const [waiting, running] = [child(rig, parent), child(rig, parent)];
  const grandchild = child(rig, waiting);
  const other = child(rig, parent, { cascadeCancel: false });
  rig.manage("changePriority", running, { priority: 0 });
  rig.claimMany(1, ["c"]);
  rig.takeEffects();

  rig.manage("cancel", parent);

  const states = [waiting, running, grandchild, other].map((seq) => rig.job(seq).state);
  expect(states).toEqual(["cancelled", "cancelled", "cancelled", "pending"]);
  expect(rig.job(waiting).reason).toBe(`cancelled with its parent ${idOf(rig, parent)}`);
  expect(rig.takeEffects().revoked).toMatchObject([{ seq: running, reason: "cancel" }]);
});

test("[F41] deleting a parent before its end cancels its children, afterwards it does not", () => {
  const rig = newRig();
  const [one, other] = [rig.add(), rig.add()];
  const [ofOne, ofOther] = [child(rig, one), child(rig, other)];

  rig.manage("delete", one);
  rig.ack({ seq: rig.claim().seq });
  rig.manage("delete", other);

  expect(rig.job(ofOne).state).toBe("cancelled");
  expect(rig.job(ofOther).state).toBe("pending");
});

test("[F41] a parent that is dead or completed leaves its children alone", () => {
  const rig = newRig();
  const parent = rig.add({ options: { maxRetries: 1 } });
  const seq = child(rig, parent);

  rig.fail(rig.claim());

  expect(rig.job(seq).state).toBe("pending");
});

test("[F41] a cancelled parent gets no more children that are cancelled with it", () => {
  const rig = newRig();
  const parent = rig.add();
  rig.manage("cancel", parent);
  const options = { parentId: idOf(rig, parent), cascadeCancel: true };

  const outcome = rig.apply({ kind: "enqueue", jobs: [{ queue: "c", payload: "{}", options }] });

  expect(outcome).toMatchObject({ code: "PARENT_ERROR" });
  expect(rig.enqueue({ options: { parentId: options.parentId } }).kind).toBe("added");
});

test("[F41] the steps of a child's chain are cancelled with its parent, too", () => {
  const rig = newRig();
  const parent = rig.add();
  child(rig, parent, { chain: { steps: [{ queue: "d", payload: "{}" }], shard: 0 } });
  const [first] = rig.claimMany(1, ["c"]);
  if (first !== undefined) rig.ack(first);
  const [second] = [...rig.state.jobs.values()].filter(({ queue }) => queue === "d");

  rig.manage("cancel", parent);

  expect(rig.job(second?.seq ?? 0).state).toBe("cancelled");
});

test("[F1] [F41] a wide family is cancelled over several batches, and stops when the parent is taken back", () => {
  const state = new MemoryState();
  state.meta.featureLevel = newestFeatureLevel;
  const engine = new Engine(state, 10);
  const apply = (change: Parameters<Engine["apply"]>[0]["changes"][number]) =>
    engine.apply({ nowMs: 1000, seed: 0, changes: [change] });
  apply({ kind: "enqueue", jobs: [{ queue: "q", payload: "{}" }] });
  const options = { parentId: formatJobId(1, 1000, 0), cascadeCancel: true };
  apply({
    kind: "enqueue",
    jobs: Array.from({ length: 100 }, () => ({ queue: "c", payload: "{}", options })),
  });
  const cancelled = () => state.getQueue("c")?.counts.cancelled;

  apply({ kind: "manage", action: "cancel", seqs: [1] });
  expect(cancelled()).toBe(11);
  expect(engine.nextDeadlineMs()).toBe(1000);
  apply({ kind: "advanceTime", limit: 1 });
  expect(cancelled()).toBe(21);

  const [outcome] = apply({ kind: "manage", action: "retry", seqs: [1] });
  expect(outcome?.kind === "items" && outcome.results.map(verdictOf)).toEqual(["pending"]);
  apply({ kind: "advanceTime", limit: 1 });
  expect(cancelled()).toBe(21);
});
