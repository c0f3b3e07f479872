/** Jobs that wait for others, as clients see them. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { type NewJobBody, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const call = { signal: neverAborted };

const add = (rig: NodeRig, jobs: NewJobBody[]) =>
  rig.service.handlers.enqueueJobs({ params: {}, query: {}, body: { jobs } }, call);

async function addedIds(rig: NodeRig, jobs: NewJobBody[]): Promise<string[]> {
  const answer = await add(rig, jobs);
  return "job_ids" in answer ? answer.job_ids : [];
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof CorvoError) return `${error.code} ${error.message}`;
  }
  return "no refusal";
}

test("[F10] a job that waits is shown as pending and blocked, with what it waits for", async () => {
  const rig = new NodeRig();
  const [first = "", second = ""] = await addedIds(rig, [
    { queue: "q" },
    { queue: "later", depends_on: ["$0", " $0 "] },
  ]);
  const waiter = rig.fetch({ queues: ["later"], wait_ms: 1000 });
  await settle();

  expect(await rig.job(second)).toMatchObject({
    state: "pending",
    blocked: true,
    depends_on: [first],
    on_dependency_failure: "fail",
    waits_for: [first],
  });
  const claimed = await rig.fetch({ queues: ["q"] });
  if (claimed !== undefined) await rig.ack(claimed);

  expect((await waiter)?.job_id).toBe(second);
  const view = await rig.job(second);
  expect([view.blocked, view.waits_for]).toEqual([undefined, undefined]);
});

test("[F12] a reference to a later job, and a job of a shard that there is not, are refused before anything is added", async () => {
  const rig = new NodeRig();
  const [first = ""] = await addedIds(rig, [{ queue: "q" }]);
  const elsewhere = `${first.slice(0, 15)}005${first.slice(18)}`;

  const later = await messageOf(add(rig, [{ queue: "q" }, { queue: "q", depends_on: ["$1"] }]));
  const other = await messageOf(add(rig, [{ queue: "q", depends_on: [elsewhere] }]));
  const none = await messageOf(add(rig, [{ queue: "q", depends_on: ["nonsense"] }]));

  expect(later).toBe(
    'VALIDATION_ERROR jobs[1]: depends_on: "$1" must be an earlier job of the same call, and this is number 1',
  );
  expect(other).toStartWith(`NOT_FOUND depends_on: no job "${elsewhere}"`);
  expect(none).toStartWith('NOT_FOUND depends_on: no job "nonsense"');
  expect(rig.replica.engine.state.getQueue("q")?.counts.pending).toBe(1);
});
