import { expect, test } from "bun:test";
import { EngineRig } from "../support/engine-rig.ts";

/** A rig with so many dead jobs; their numbers. */
function withDead(count: number): { rig: EngineRig; seqs: number[] } {
  const rig = new EngineRig();
  const seqs: number[] = [];
  for (let i = 0; i < count; i++) {
    const seq = rig.add({ options: { maxRetries: 1 } });
    rig.fail(rig.claim());
    seqs.push(seq);
  }
  return { rig, seqs };
}

const start = (rig: EngineRig, more: { toQueue?: string; perSecond?: number } = {}) =>
  rig.apply({ kind: "startRedrive", queue: "q", filter: {}, total: 3, totalExact: true, ...more });

function redrive(rig: EngineRig) {
  const found = rig.state.records("redrive").get("q");
  if (found === undefined) throw new Error("nothing was redriven");
  return found;
}

function step(rig: EngineRig, seqs: readonly number[], more: { isLast?: boolean } = {}) {
  const { id, afterSeq } = redrive(rig);
  return rig.apply({ kind: "stepRedrive", queue: "q", id, afterSeq, seqs, isLast: false, ...more });
}

test("[J83] a redrive runs dead jobs again, step by step, and counts what it did", () => {
  const { rig, seqs } = withDead(3);
  start(rig);
  rig.manage("delete", seqs[1] ?? 0);

  step(rig, seqs.slice(0, 2));
  expect(redrive(rig)).toMatchObject({ state: "running", retried: 1, skipped: 1 });
  step(rig, seqs.slice(2), { isLast: true });

  expect(redrive(rig)).toMatchObject({ state: "completed", retried: 2, finishedAtMs: rig.nowMs });
  expect(rig.claimMany(5).map(({ seq, attempt }) => [seq, attempt])).toEqual([
    [seqs[0], 1],
    [seqs[2], 1],
  ] as [number, number][]);
});

test("[J83] a step that two leaders made counts once, and none counts after a cancel", () => {
  const { rig, seqs } = withDead(3);
  start(rig);
  const { id, afterSeq } = redrive(rig);
  const first = { kind: "stepRedrive" as const, queue: "q", id, afterSeq, isLast: false };
  rig.apply({ ...first, seqs: seqs.slice(0, 1) });
  rig.apply({ ...first, seqs: seqs.slice(0, 2) });
  expect(redrive(rig)).toMatchObject({ retried: 1, skipped: 0 });

  rig.apply({ kind: "cancelRedrive", queue: "q" });
  step(rig, seqs.slice(1));

  expect(redrive(rig)).toMatchObject({ state: "cancelled", retried: 1 });
  expect(rig.apply({ kind: "cancelRedrive", queue: "q" })).toMatchObject({ code: "NOT_FOUND" });
});

test("[J83] what died after the start is left to another redrive", () => {
  const { rig, seqs } = withDead(1);
  start(rig);
  step(rig, seqs);
  rig.pass(1);
  rig.fail(rig.claim());

  rig.state.records("redrive").put("q", { ...redrive(rig), afterSeq: 0 });
  step(rig, seqs);

  expect(redrive(rig)).toMatchObject({ retried: 1, skipped: 1 });
  expect(rig.job(seqs[0] ?? 0).state).toBe("dead");
});

test("[J84] a rate sets when the next step may come", () => {
  const { rig, seqs } = withDead(3);
  start(rig, { perSecond: 4 });
  step(rig, seqs.slice(0, 2));
  expect(redrive(rig).nextMs).toBe(rig.nowMs + 500);
});

test("[J83] jobs go to another queue if wanted; one redrive per queue, and none into a queue that is drained", () => {
  const { rig, seqs } = withDead(1);
  rig.apply({ kind: "drainQueue", queue: "r", draining: true });
  expect(start(rig, { toQueue: "r" })).toMatchObject({ code: "QUEUE_DRAINING" });
  rig.apply({ kind: "drainQueue", queue: "r", draining: false });

  start(rig, { toQueue: "r" });
  expect(start(rig)).toMatchObject({ code: "CONFLICT" });
  step(rig, seqs, { isLast: true });

  expect(rig.claimMany(5, ["r"]).map(({ seq }) => seq)).toEqual(seqs);
  expect(
    rig.apply({ kind: "startRedrive", queue: "x", filter: {}, total: 0, totalExact: true }),
  ).toMatchObject({
    code: "NOT_FOUND",
  });
});
