/** Keys that keep work from being done twice, and times to live, on a node whose clock the test turns. */
import { expect, test } from "bun:test";
import { type NewJobBody, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const hourMs = 3_600_000;
const unique: NewJobBody = { queue: "q", unique_key: "k", max_retries: 1 };

async function mustFetch(rig: NodeRig, leaseMs = 5000) {
  const job = await rig.fetch({ queues: ["q"], lease_ms: leaseMs });
  if (job === undefined) throw new Error("no job came");
  return job;
}

/** What ends a job that holds the key, and so frees it. */
const endings: readonly [what: string, end: (rig: NodeRig, jobId: string) => Promise<unknown>][] = [
  ["acked", async (rig) => rig.ack(await mustFetch(rig))],
  ["dead of its last failure", async (rig) => rig.fail(await mustFetch(rig))],
  [
    "dead of a lost lease",
    async (rig) => {
      await mustFetch(rig);
      await rig.time.pass(5000);
    },
  ],
  ["cancelled", (rig, id) => rig.act("cancelJob", id)],
  [
    "cancelled while active",
    async (rig, id) => {
      await mustFetch(rig);
      await rig.act("cancelJob", id);
    },
  ],
  ["deleted", (rig, id) => rig.act("deleteJob", id)],
  [
    "deleted while active",
    async (rig, id) => {
      await mustFetch(rig);
      await rig.act("deleteJob", id);
    },
  ],
  [
    "rejected",
    async (rig, id) => {
      await rig.act("holdJob", id);
      await rig.act("rejectJob", id);
    },
  ],
  ["expired", (rig) => rig.time.pass(hourMs / 2)],
  [
    "cleared with its queue",
    (rig) =>
      rig.service.handlers.clearQueue(
        { params: { name: "q" }, query: {}, body: {} },
        { signal: neverAborted },
      ),
  ],
  [
    "moved to another queue",
    (rig, job_id) =>
      rig.service.handlers.moveJob(
        { params: { job_id }, query: {}, body: { queue: "other" } },
        { signal: neverAborted },
      ),
  ],
];
for (const [what, end] of endings) {
  test(`the unique key of a job that is ${what} is free again`, async () => {
    const rig = new NodeRig();
    const first = await rig.enqueue({ ...unique, expire_after: "30m" });
    expect(await rig.enqueue(unique)).toMatchObject({ job_id: first.job_id, status: "duplicate" });
    await end(rig, first.job_id);

    const next = await rig.enqueue(unique);
    expect(next).toMatchObject({ status: "pending", unique_existing: false });
    expect(next.job_id).not.toBe(first.job_id);
  });
}

/** What a job goes through without letting go of its key. */
const passages: readonly [what: string, pass: (rig: NodeRig, jobId: string) => Promise<unknown>][] =
  [
    ["active", (rig) => mustFetch(rig)],
    ["waiting for a retry", async (rig) => rig.fail(await mustFetch(rig))],
    ["released", async (rig) => rig.release(await mustFetch(rig))],
    ["held", (rig, id) => rig.act("holdJob", id)],
    [
      "run again by hand",
      async (rig, id) => {
        await rig.act("cancelJob", id);
        await rig.act("retryJob", id);
      },
    ],
  ];
for (const [what, pass] of passages) {
  test(`a job that is ${what} holds its unique key`, async () => {
    const rig = new NodeRig();
    const { job_id } = await rig.enqueue({ ...unique, max_retries: 3 });
    await pass(rig, job_id);
    expect(await rig.enqueue(unique)).toMatchObject({ job_id, status: "duplicate" });
  });
}

test("a unique key is held for its period, to the millisecond, and for an hour by default", async () => {
  for (const [period, periodMs] of [
    [{ unique_period: 2 }, 2000],
    [{}, hourMs],
  ] as const) {
    const rig = new NodeRig();
    await rig.enqueue({ ...unique, ...period });
    await rig.time.pass(periodMs - 1);
    expect((await rig.enqueue(unique)).status).toBe("duplicate");
    await rig.time.pass(1);
    expect((await rig.enqueue(unique)).status).toBe("pending");
  }
});

test("the end of a job does not free a key that another job holds by now", async () => {
  const rig = new NodeRig();
  await rig.enqueue({ ...unique, unique_period: 1 });
  await rig.time.pass(1000);
  const holder = await rig.enqueue(unique);
  await rig.ack(await mustFetch(rig));
  expect(await rig.enqueue(unique)).toMatchObject({ job_id: holder.job_id, status: "duplicate" });
});

test("a call repeated with its idempotency key changes nothing and gives the first answer", async () => {
  const rig = new NodeRig();
  const body: NewJobBody = { queue: "q", priority: 1, idempotency_key: "once" };
  const first = await rig.enqueue(body);
  await rig.ack(await mustFetch(rig));

  expect(await rig.enqueue(body)).toEqual(first);
  expect(rig.replica.engine.state.getQueue("q")?.counts.pending).toBe(0);
});

test("calls with one idempotency key that are sent at the same time add one job", async () => {
  const rig = new NodeRig();
  const body: NewJobBody = { queue: "q", idempotency_key: "once" };
  const answers = await Promise.all(Array.from({ length: 10 }, () => rig.enqueue(body)));
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(1);
});

test("an idempotency key with another call is refused, and forgotten after a day", async () => {
  const rig = new NodeRig();
  const first = await rig.enqueue({ queue: "q", idempotency_key: "once" });
  const other = rig.enqueue({ queue: "q", priority: 0, idempotency_key: "once" });
  expect(await other.catch((error: unknown) => error)).toMatchObject({ code: "CONFLICT" });
  await rig.time.pass(24 * hourMs - 1);
  expect((await rig.enqueue({ queue: "q", idempotency_key: "once" })).job_id).toBe(first.job_id);
  await rig.time.pass(1);
  expect((await rig.enqueue({ queue: "q", idempotency_key: "once" })).job_id).not.toBe(
    first.job_id,
  );
});

test("a batch repeated with its idempotency key gives the ids of the first, duplicates included", async () => {
  const rig = new NodeRig();
  const body = {
    jobs: [
      { queue: "q", unique_key: "k" },
      { queue: "q", unique_key: "k" },
    ],
  };
  const send = () => {
    const input = { params: {}, query: {}, body: { ...body, idempotency_key: "once" } };
    return rig.service.handlers.enqueueJobs(input, { signal: neverAborted });
  };
  const first = await send();
  await rig.ack(await mustFetch(rig));
  expect(await send()).toEqual(first);
});

test("a time to live ends to the millisecond, worker or not", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q", expire_after: "1s" });
  await rig.time.pass(999);
  expect((await rig.job(job_id)).state).toBe("pending");
  await rig.time.pass(1);

  const job = await rig.job(job_id);
  expect(job).toMatchObject({ state: "dead", attempt: 0, errors: [{ error: "job expired" }] });
  expect(job.failed_at).toBe(job.expire_at as string);
});

test("a job is claimed in the last millisecond of its life, and not in the first after it", async () => {
  for (const [waitMs, given] of [
    [999, true],
    [1000, false],
  ] as const) {
    const rig = new NodeRig();
    const { job_id } = await rig.enqueue({ queue: "q", expire_after: "1s" });
    await rig.setPaused("q", true);
    const claiming = rig.fetch({ queues: ["q"], wait_ms: 5000, lease_ms: 10_000 });
    await rig.time.pass(waitMs);
    await rig.setPaused("q", false);
    await settle();
    await rig.time.pass(5000);
    expect((await claiming)?.job_id).toBe(given ? job_id : undefined);
  }
});

test("a job that runs when its time to live ends may finish", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q", expire_after: "1s" });
  const job = await mustFetch(rig, 60_000);
  await rig.time.pass(30_000);
  await rig.ack(job);
  expect((await rig.job(job_id)).state).toBe("completed");
});
