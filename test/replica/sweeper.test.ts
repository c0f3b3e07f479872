/** How whoever leads carries bulk actions on: the size of steps, and what is left to others. */
import { expect, test } from "bun:test";
import type { Batch, StepBulk } from "../../src/engine/change.ts";
import { NodeRig, settle } from "../support/node-rig.ts";

async function withBulk(count: number, workMs: number) {
  const rig = new NodeRig();
  const jobs = Array.from({ length: count }, () => ({ queue: "q", payload: "1" }));
  await rig.replica.submit({ kind: "enqueue", jobs });
  const seqs = [...rig.replica.engine.state.liveJobs()].map(({ seq }) => seq);
  rig.workMs = workMs;
  const start = { kind: "startBulk" as const, id: "b", action: "cancel" as const, seqs };
  await rig.replica.submit({ ...start, total: count, totalExact: true });
  return rig;
}

/** The steps in the log so far: how many jobs each has. */
function stepsOf({ log }: NodeRig): number[] {
  return log.entries
    .map((text) => JSON.parse(text.slice(text.indexOf("\n") + 1)) as Batch)
    .flatMap(({ changes }) => changes)
    .filter((change): change is StepBulk => change.kind === "stepBulk")
    .map(({ seqs }) => seqs.length);
}

const bulkOf = ({ replica }: NodeRig) => replica.engine.state.records("bulk").get("b");

test("[BK6] steps grow while the engine is quick", async () => {
  const rig = await withBulk(3000, 0);

  while (bulkOf(rig)?.state === "running") await rig.time.pass(1);

  const steps = stepsOf(rig);
  expect(steps.slice(0, 3)).toEqual([100, 150, 225]);
  expect(Math.max(...steps)).toBe(500);
  expect(bulkOf(rig)).toMatchObject({ state: "completed", affected: 3000 });
});

test("[BK6] steps shrink while the engine is slow, and as much time as they take is left to others", async () => {
  const rig = await withBulk(300, 40);
  await settle();

  for (const wanted of [12, 10, 10]) {
    const before = stepsOf(rig).length;
    await rig.time.pass(39);
    expect(stepsOf(rig)).toHaveLength(before);
    while (stepsOf(rig).length === before) await rig.time.pass(1);
    expect(stepsOf(rig).at(-1)).toBe(wanted);
  }
});

test("[BK3] two actions go on in turns", async () => {
  const rig = await withBulk(400, 1);
  const start = { kind: "startBulk" as const, id: "c", action: "hold" as const, seqs: [1] };
  await rig.replica.submit({ ...start, total: 1, totalExact: true });

  while (rig.replica.engine.state.records("bulk").get("c")?.state === "running") {
    await rig.time.pass(1);
  }

  expect(bulkOf(rig)).toMatchObject({ state: "running" });
});
