/** How jobs reach the workers that wait for them: in which order, on what occasions, and at what cost to the log. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { AssertionError } from "../../src/base/assert.ts";
import type { ClaimedView } from "../../src/service/views.ts";
import { NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const hourMs = 3_600_000;

test("a claim of several queues takes jobs by priority and then by age over all of them", async () => {
  const spec = fc.record({
    queue: fc.constantFrom("a", "b", "c"),
    priority: fc.integer({ min: 0, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(spec, { minLength: 1, maxLength: 40 }),
      fc.shuffledSubarray(["a", "b", "c"], { minLength: 1 }),
      async (specs, queues) => {
        const rig = new NodeRig();
        const made: { id: string; priority: number; queue: string }[] = [];
        for (const one of specs) made.push({ ...one, id: (await rig.enqueue(one)).job_id });

        const claimed: string[] = [];
        for (;;) {
          const job = await rig.fetch({ queues, wait_ms: 0, lease_ms: 60_000 }, timeUp());
          if (job === undefined) break;
          claimed.push(job.job_id);
        }
        const expected = made
          .filter((one) => queues.includes(one.queue))
          .sort((one, other) => one.priority - other.priority)
          .map((one) => one.id);
        expect(claimed).toEqual(expected);
      },
    ),
    { numRuns: 60 },
  );
});

/** A signal for a claim that is not to wait: it ends once what is there was given out. */
function timeUp(): AbortSignal {
  const controller = new AbortController();
  settle()
    .then(settle)
    .then(() => controller.abort())
    .catch(() => undefined);
  return controller.signal;
}

test("a job that waited for its time stands in line from when it became ready", async () => {
  const rig = new NodeRig();
  const later = await rig.enqueue({ queue: "a", delay: "1s" });
  const before = await rig.enqueue({ queue: "b" });
  await rig.time.pass(1000);
  const after = await rig.enqueue({ queue: "a" });

  const claimed: (string | undefined)[] = [];
  for (let i = 0; i < 3; i++) claimed.push((await rig.fetch({ queues: ["a", "b"] }))?.job_id);
  expect(claimed).toEqual([before.job_id, later.job_id, after.job_id]);
});

test("an idle hour of a thousand waiting workers writes nothing", async () => {
  const rig = new NodeRig();
  let polls = 0;
  let isOver = false;
  const worker = async () => {
    while (!isOver) {
      polls++;
      await rig.fetch({ queues: ["a", "b"], timeout: 30 });
    }
  };
  for (let i = 0; i < 500; i++) worker().catch(() => undefined);
  for (let i = 0; i < 500; i++) {
    const session = rig.service.stream.open(() => true);
    await session.frame({ id: 1, claim: { queues: ["a"], credits: 10 } });
  }
  await rig.time.pass(hourMs);

  expect(polls).toBeGreaterThan(500 * 100);
  expect(rig.log.entries).toHaveLength(0);
  isOver = true;
});

test("one job wakes one of many waiting workers, and its claim is in the same batch", async () => {
  const rig = new NodeRig();
  const given: ClaimedView[] = [];
  for (let i = 0; i < 1000; i++) {
    rig
      .fetch({ queues: ["a"], timeout: 60 })
      .then((job) => job !== undefined && given.push(job))
      .catch(() => undefined);
  }
  await rig.enqueue({ queue: "a" });
  await settle();

  expect(given).toHaveLength(1);
  expect(rig.log.entries).toHaveLength(1);
  expect(rig.node.claims.waiterCount).toBe(999);
});

/** Each prepares a node; what it returns makes one job available in queue "q". */
const occasions: readonly [
  what: string,
  prepare: (rig: NodeRig) => Promise<() => Promise<unknown>>,
][] = [
  ["an enqueue", async (rig) => () => rig.enqueue({ queue: "q" })],
  [
    "the time of a scheduled job",
    async (rig) => {
      await rig.enqueue({ queue: "q", delay: "1s" });
      return () => rig.time.pass(1000);
    },
  ],
  [
    "the end of a backoff",
    async (rig) => {
      await rig.enqueue({ queue: "q", retry_base_delay: "2s" });
      await rig.fail(await mustFetch(rig));
      return () => rig.time.pass(2000);
    },
  ],
  [
    "the end of a lease",
    async (rig) => {
      await rig.enqueue({ queue: "q" });
      await mustFetch(rig);
      return () => rig.time.pass(5000);
    },
  ],
  [
    "a release",
    async (rig) => {
      await rig.enqueue({ queue: "q" });
      const job = await mustFetch(rig);
      return () => rig.release(job);
    },
  ],
  [
    "an approval",
    async (rig) => {
      const { job_id } = await rig.enqueue({ queue: "q" });
      await rig.act("holdJob", job_id);
      return () => rig.act("approveJob", job_id);
    },
  ],
  [
    "a retry by hand",
    async (rig) => {
      const { job_id } = await rig.enqueue({ queue: "q" });
      await rig.act("cancelJob", job_id);
      return () => rig.act("retryJob", job_id);
    },
  ],
  [
    "a resumed queue",
    async (rig) => {
      await rig.setPaused("q", true);
      await rig.enqueue({ queue: "q" });
      return () => rig.setPaused("q", false);
    },
  ],
  [
    "a move from another queue",
    async (rig) => {
      const { job_id } = await rig.enqueue({ queue: "other" });
      const input = { params: { job_id }, query: {}, body: { queue: "q" } };
      return () => rig.service.handlers.moveJob(input, { signal: neverAborted });
    },
  ],
];

async function mustFetch(rig: NodeRig): Promise<ClaimedView> {
  const job = await rig.fetch({ queues: ["q"], lease_ms: 5000 });
  if (job === undefined) throw new Error("no job came");
  return job;
}

for (const [what, prepare] of occasions) {
  test(`${what} wakes a worker that waits already, at once`, async () => {
    const rig = new NodeRig();
    const cause = await prepare(rig);
    const given: ClaimedView[] = [];
    rig
      .fetch({ queues: ["q"], wait_ms: 60_000 })
      .then((job) => job !== undefined && given.push(job))
      .catch(() => undefined);
    await settle();
    expect(given).toHaveLength(0);
    await cause();
    await settle();

    expect(given).toMatchObject([{ queue: "q" }]);
  });
}

test("a paused queue keeps its jobs from workers that wait, and costs the log nothing meanwhile", async () => {
  const rig = new NodeRig();
  await rig.setPaused("q", true);
  const waiting = rig.fetch({ queues: ["q"], wait_ms: 60_000 });
  await rig.enqueue({ queue: "q" });
  const entries = rig.log.entries.length;
  await rig.time.pass(50_000);
  expect(rig.log.entries).toHaveLength(entries);

  await rig.setPaused("q", false);
  expect(await waiting).toMatchObject({ attempt: 1 });
});

test("a worker that leaves while its claim is being written gives the job back, attempt and all", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q" });
  const leaving = new AbortController();
  rig.log.isHeld = true;
  const lost = rig.fetch({ queues: ["q"] }, leaving.signal);
  await settle();
  leaving.abort();
  expect(await lost).toBeUndefined();
  await rig.log.release();

  expect(await rig.job(job_id)).toMatchObject({ state: "pending", attempt: 0 });
  expect(await rig.fetch({ queues: ["q"] })).toMatchObject({ job_id, attempt: 1 });
});

test("a worker whose wait ends while its claim is being written gives the job back to another", async () => {
  const rig = new NodeRig();
  rig.log.isHeld = true;
  const enqueued = rig.enqueue({ queue: "q" });
  const late = rig.fetch({ queues: ["q"], wait_ms: 100 });
  await settle();
  await rig.time.pass(100);
  expect(await late).toBeUndefined();
  const patient = rig.fetch({ queues: ["q"], wait_ms: 60_000 });
  await rig.log.release();

  expect(await patient).toMatchObject({ job_id: (await enqueued).job_id, attempt: 1 });
});

test("a streaming worker that disconnects while its claim is being written gives its jobs back", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q" });
  const pushed: string[] = [];
  const session = rig.service.stream.open((text) => pushed.push(text) > 0);
  rig.log.isHeld = true;
  await session.frame({ id: 1, claim: { queues: ["q"], credits: 5 } });
  await settle();
  session.close();
  await rig.log.release();

  expect(pushed).toEqual([]);
  expect(await rig.job(job_id)).toMatchObject({ state: "pending", attempt: 0 });
});

test("a streaming worker that disconnects while a blob is made durable is nobody who waits", async () => {
  const durable = Promise.withResolvers<number>();
  const rig = new NodeRig({ bytesOf: () => 1, ensure: () => durable.promise });
  const session = rig.service.stream.open(() => true);
  const payload_blob = "0".repeat(64);
  const frame = session.frame({
    id: 1,
    enqueue: [{ queue: "blobs", payload_blob, content_type: "image/png" }],
    claim: { queues: ["q"], credits: 5, worker_id: "w" },
  });
  session.close();
  durable.resolve(1);
  expect(JSON.parse(await frame)).toMatchObject({ id: 1, enqueue: [{ status: "pending" }] });

  expect(rig.node.claims.waitingAt("q")).toBe(0);
  expect([...rig.node.workers.all()]).toEqual([]);
});

test("a fault behind a frame is no refusal: the connection has to tell it", async () => {
  const rig = new NodeRig();
  const session = rig.service.stream.open(() => true);
  const bug = new AssertionError("a guarantee is broken");
  rig.replica.propose = () => {
    throw bug;
  };
  const frame = session.frame({ id: 1, enqueue: [{ queue: "q" }] });
  expect(await frame.catch((error: unknown) => error)).toBe(bug);
});

test("who has gone before the wait for a job's end begins is not waited for", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q" });
  const input = { params: { job_id }, query: { timeout: 60 }, body: {} };
  const answer = rig.service.handlers.waitJob(input, { signal: AbortSignal.abort() });
  expect(await Promise.race([answer, settle().then(() => "still waiting")])).toMatchObject({
    state: "pending",
  });
});

test("a claim that is replaced while jobs are on their way counts them against its credits", async () => {
  const rig = new NodeRig();
  for (const queue of ["a", "a", "b", "b", "b"]) await rig.enqueue({ queue });
  const jobs: ClaimedView[] = [];
  const session = rig.service.stream.open((text) => {
    jobs.push(...(JSON.parse(text) as { jobs: ClaimedView[] }).jobs);
    return true;
  });
  rig.log.isHeld = true;
  await session.frame({ id: 1, claim: { queues: ["a"], credits: 2 } });
  await settle();
  await session.frame({ id: 2, claim: { queues: ["b"], credits: 1 } });
  await rig.log.release();
  await settle();

  expect(jobs.map((job) => job.queue)).toEqual(["a", "a", "b"]);
});

test("credits taken back while jobs are on their way do not come again, and new ones count in full", async () => {
  const rig = new NodeRig();
  for (let i = 0; i < 4; i++) await rig.enqueue({ queue: "a" });
  let pushed = 0;
  const session = rig.service.stream.open((text) => {
    pushed += (JSON.parse(text) as { jobs: unknown[] }).jobs.length;
    return true;
  });
  rig.log.isHeld = true;
  await session.frame({ id: 1, claim: { queues: ["a"], credits: 2 } });
  await settle();
  // Answered only when the jobs on their way have come.
  const takenBack = session.frame({ id: 2, claim: { queues: ["a"], credits: 0 } });
  await session.frame({ id: 3, claim: { queues: ["a"], credits: 1 } });
  await rig.log.release();
  await takenBack;
  await settle();

  expect(pushed).toBe(3);
});

test("a job whose claim the log refused goes to another worker that waits, once it takes claims again", async () => {
  const rig = new NodeRig();
  await rig.setPaused("q", true);
  const { job_id } = await rig.enqueue({ queue: "q" });
  const first = rig.fetch({ queues: ["q"], wait_ms: 60_000 }).catch((error: unknown) => error);
  const second = rig.fetch({ queues: ["q"], wait_ms: 60_000 });
  rig.log.isHeld = true;
  const resumed = rig.setPaused("q", false);
  await settle();
  rig.log.isFull = true;
  await rig.log.release();
  await resumed;
  expect(await first).toMatchObject({ code: "UNAVAILABLE" });
  rig.log.isFull = false;
  await rig.time.pass(2000);

  expect(rig.node.claims.waiterCount).toBe(0);
  expect(await second).toMatchObject({ job_id, attempt: 1 });
});

test("workers get their turns in the order in which they came", async () => {
  const rig = new NodeRig();
  const order: number[] = [];
  const waits = [0, 1, 2].map((n) =>
    rig.fetch({ queues: ["q"], wait_ms: 60_000 }).then(() => order.push(n)),
  );
  for (let i = 0; i < 3; i++) await rig.enqueue({ queue: "q" });
  await Promise.all(waits);
  expect(order).toEqual([0, 1, 2]);
});
