/** Batches and families as clients write and see them. */
import { expect, test } from "bun:test";
import type { InputOf } from "../../src/api/operation.ts";
import { type Operations, Reply } from "../../src/api/operations.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import { RawJson } from "../../src/base/json.ts";
import { type NewJobBody, NodeRig, neverAborted } from "../support/node-rig.ts";

type BatchBody = InputOf<Operations["enqueueJobs"]>["body"];
type OpenBody = InputOf<Operations["createBatch"]>["body"];
type ListQuery = InputOf<Operations["listBatches"]>["query"];
const call = { signal: neverAborted };

function bodyOf<T>(answer: T | Reply<T>): T {
  if (answer instanceof Reply) throw new Error("the answer has another status");
  return answer;
}

async function enqueue(rig: NodeRig, body: BatchBody) {
  return bodyOf(await rig.service.handlers.enqueueJobs({ params: {}, query: {}, body }, call));
}

async function open(rig: NodeRig, body: Partial<OpenBody> = {}): Promise<string> {
  const input = { params: {}, query: {}, body: { queue: "q", ...body } };
  return bodyOf(await rig.service.handlers.createBatch(input, call)).batch_id;
}

async function list(rig: NodeRig, query: ListQuery = {}) {
  return bodyOf(await rig.service.handlers.listBatches({ params: {}, query, body: {} }, call));
}

async function refusalOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof CorvoError) return `${error.code} ${error.message}`;
  }
  return "no refusal";
}

const text = (length: number) => new RawJson(`{"x":"${"x".repeat(length)}"}`);

test("[F30] the short form of 0.3 means a job of one run in any case", async () => {
  const rig = new NodeRig();
  const batch = { callback_queue: "end", callback_payload: new RawJson("[1.50]") };

  const { batch_id } = await enqueue(rig, { jobs: [{ queue: "q" }], batch });
  const job = await rig.fetch({ queues: ["q"], wait_ms: 0 });
  if (job !== undefined) await rig.fail(job);
  await rig.act("deleteJob", job?.job_id ?? "");

  const called = await rig.fetch({ queues: ["end"], wait_ms: 0 });
  expect(called).toMatchObject({ max_retries: 0 });
  expect(called?.payload.text).toBe("[1.50]");
  expect((await list(rig)).batches).toMatchObject([
    { id: batch_id, state: "failed", cancelled: 1, complete_job: { queue: "end" } },
  ]);
});

const badBatches: readonly [why: string, batch: NonNullable<BatchBody["batch"]>, says: string][] = [
  [
    "two jobs for the end",
    { callback_queue: "c", on_complete: { queue: "c" } },
    "VALIDATION_ERROR batch.callback_queue: it excludes on_complete",
  ],
  [
    "a payload for nobody",
    { callback_payload: new RawJson("1") },
    "VALIDATION_ERROR batch.callback_payload: it needs callback_queue",
  ],
  [
    "a payload to which nothing can be added",
    { on_success: { queue: "c", payload: new RawJson("1") } },
    "VALIDATION_ERROR on_success: payload: expected an object, to which the result of the job before is added",
  ],
  [
    "followers that are too large together",
    {
      on_success: { queue: "c", payload: text(9000) },
      on_failure: { queue: "c", payload: text(9000) },
    },
    "LIMIT_EXCEEDED the jobs that follow the batch are 18256 bytes; at most 16384 (batchBytesMax)",
  ],
];

test.each(badBatches)("[F30] a batch with %s is refused", async (_why, batch, says) => {
  const rig = new NodeRig();

  expect(await refusalOf(enqueue(rig, { jobs: [{ queue: "q" }], batch }))).toBe(says);
  expect(rig.log.entries).toEqual([]);
});

test("[F31] a job is in one batch, and an open one has a bounded time", async () => {
  const rig = new NodeRig();
  const batch_id = await open(rig);

  const twice = { jobs: [{ queue: "q" }, { queue: "q", batch_id }], batch: {} };
  expect(await refusalOf(enqueue(rig, twice))).toBe(
    "VALIDATION_ERROR jobs[1]: batch_id: the call begins a batch of its own, and a job is in one batch",
  );
  expect(await refusalOf(open(rig, { seal_after: "721h" }))).toBe(
    'LIMIT_EXCEEDED seal_after: "721h" is longer than 720h (batchOpenMsMax)',
  );
  expect(await refusalOf(open(rig, { seal_after: "0s" }))).toBe(
    'VALIDATION_ERROR seal_after: expected more than 0 and at most 720h (batchOpenMsMax), got "0s"',
  );
});

test("[F31] an open batch says when it will be sealed, and is sealed then", async () => {
  const rig = new NodeRig();
  await open(rig, { name: "later", seal_after: "90s" });
  expect((await list(rig)).batches).toMatchObject([
    { name: "later", state: "open", seal_at: "2030-01-01T00:01:30.000Z" },
  ]);

  await rig.time.pass(90_000);

  const [batch] = (await list(rig)).batches;
  expect(batch).toMatchObject({ state: "completed", reason: "its time to be sealed was over" });
  expect(batch).not.toHaveProperty("seal_at");
});

test("[F35] the same call opens one batch, and batches are listed newest first, page by page", async () => {
  const rig = new NodeRig();
  const ids = [await open(rig, { idempotency_key: "k" }), await open(rig), await open(rig)];
  expect(await open(rig, { idempotency_key: "k" })).toBe(ids[0] ?? "");
  const [first = "", second = "", third = ""] = ids;

  const page = await list(rig, { limit: 2 });
  expect(page).toMatchObject({
    batches: [{ id: third }, { id: second }],
    total: 3,
    has_more: true,
  });
  const rest = await list(rig, { limit: 2, cursor: page.cursor ?? "" });
  expect(rest).toMatchObject({ batches: [{ id: first }], has_more: false });
  expect(rest).not.toHaveProperty("cursor");
  expect(await list(rig, { state: "running" })).toMatchObject({ batches: [], total: 0 });
  expect(await refusalOf(list(rig, { cursor: "x" }))).toBe(
    'VALIDATION_ERROR cursor: "x" is not one that a page of batches ended with',
  );
});

const elsewhere = { seq: 1, createdAtMs: 1000, shard: 3 };
const badJobs: readonly [why: string, job: Omit<NewJobBody, "queue">, says: string][] = [
  [
    "nothing to be cancelled with",
    { cascade_cancel: true },
    "VALIDATION_ERROR cascade_cancel: a job without parent_id has nothing to be cancelled with",
  ],
  [
    "a parent that is not earlier in the call",
    { parent_id: "$0" },
    'VALIDATION_ERROR parent_id: "$0" must be an earlier job of the same call, and this is number 0',
  ],
  [
    "a parent of a shard that there is not",
    { parent_id: formatJobId(1, 1000, 3) },
    `NOT_FOUND parent_id: no job "${formatJobId(1, 1000, 3)}"; it may be gone already`,
  ],
  [
    "a batch of a shard that there is not",
    { batch_id: formatGroupId("batch", elsewhere) },
    `NOT_FOUND batch_id: no batch "${formatGroupId("batch", elsewhere)}"`,
  ],
  ["a batch that is none", { batch_id: "x" }, 'NOT_FOUND batch_id: no batch "x"'],
];

test.each(badJobs)("[F31] [F40] a job with %s is refused", async (_why, job, says) => {
  const rig = new NodeRig();

  expect(await refusalOf(rig.enqueue({ queue: "q", ...job }))).toBe(says);
});

test("[F41] a cancelled child says with whom it was cancelled", async () => {
  const rig = new NodeRig();
  const { job_ids } = await enqueue(rig, {
    jobs: [{ queue: "q" }, { queue: "q", parent_id: "$0", cascade_cancel: true }],
  });
  const [parent = "", child = ""] = job_ids;

  await rig.act("cancelJob", parent);

  expect(await rig.job(child)).toMatchObject({
    state: "cancelled",
    parent_id: parent,
    cascade_cancel: true,
    cancel_reason: `cancelled with its parent ${parent}`,
  });
});
