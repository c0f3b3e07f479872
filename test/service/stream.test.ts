/** The streaming protocol's promises over a real WebSocket and a whole server. Rules [S…] are in docs/spec/streaming.md. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";
import { type StreamClient, streamClient } from "../support/socket.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

interface Item {
  readonly job_id: string;
  readonly status: string;
  readonly code?: string;
}
type Answer = Record<string, unknown> & Record<"ack" | "enqueue" | "fail" | "release", Item[]>;

/** A client that tells answers from pushes and waits for either. */
class Stream {
  readonly #client: StreamClient;
  readonly #answers = new Map<number, Answer>();
  readonly #jobs: Claimed[] = [];
  readonly revoked: Record<string, unknown>[] = [];
  #nextId = 1;

  constructor(client: StreamClient) {
    this.#client = client;
  }

  send(frame: object): number {
    const id = this.#nextId++;
    this.#client.socket.send(JSON.stringify({ id, ...frame }));
    return id;
  }

  async answer(id: number): Promise<Answer> {
    for (;;) {
      const answer = this.#answers.get(id);
      if (answer !== undefined) return answer;
      await this.#take();
    }
  }

  ask(frame: object): Promise<Answer> {
    return this.answer(this.send(frame));
  }

  claim(queues: string[], credits: number, more: object = {}): Promise<Answer> {
    return this.ask({ claim: { queues, credits, worker_id: "w", lease_ms: 30_000, ...more } });
  }

  async job(): Promise<Claimed> {
    for (;;) {
      const job = this.#jobs.shift();
      if (job !== undefined) return job;
      await this.#take();
    }
  }

  async revocation(): Promise<Record<string, unknown>> {
    while (this.revoked.length === 0) await this.#take();
    return this.revoked.shift() ?? {};
  }

  /** Jobs that came before the answer to a ping, which is sent after everything that was on its way. */
  async jobsSoFar(): Promise<Claimed[]> {
    await this.ask({});
    return this.#jobs.splice(0);
  }

  /** Ends without a farewell. */
  async drop(): Promise<void> {
    this.#client.socket.terminate();
    await this.#client.closed;
  }

  async #take(): Promise<void> {
    const message = await this.#client.next();
    if ("id" in message) this.#answers.set(Number(message["id"]), message as Answer);
    this.#jobs.push(...((message["jobs"] ?? []) as Claimed[]));
    this.revoked.push(...((message["revoked"] ?? []) as Record<string, unknown>[]));
  }
}

let queues = 0;
const newQueue = () => `stream-${queues++}`;
const open = async () => new Stream(await streamClient(server.url));
const job = (id: string) => server.get<JobBody>(`/jobs/${id}`);
const lease = ({ job_id, lease_token }: Claimed) => ({ job_id, lease_token });
async function enqueue(queue: string, count = 1, options: object = {}): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, n) => ({ queue, payload: { n }, ...options }));
  return (await server.post<{ job_ids: string[] }>("/enqueue/batch", { jobs })).job_ids;
}

test("[S10] what an answer lists survives a server that is started anew from its disk", async () => {
  const { startServer } = await import("../../src/commands/server/start.ts");
  const { tempDir } = await import("../support/temp-dir.ts");
  const { memoryLogger } = await import("../support/system-ports.ts");
  const { cpSync } = await import("node:fs");
  using dir = tempDir();
  using copy = tempDir();
  const options = {
    host: "127.0.0.1",
    port: 0,
    cachedJobsMax: 100,
    logTailEntries: 1000,
    requireLeaseToken: false,
    payloadBytesMax: 262_144,
    bodyBytesMax: 16_777_216,
    retention: { doneMs: 1e9, doneMax: 1e6, deadMs: 1e9, deadMax: 1e6 },
  };
  const first = await startServer({ ...options, dataDir: dir.path }, memoryLogger());
  const stream = new Stream(await streamClient(first.url));
  const answer = await stream.ask({
    enqueue: Array.from({ length: 50 }, (_, n) => ({ queue: "q", payload: { n } })),
  });
  // The disk as a crash at this moment would leave it.
  cpSync(dir.path, copy.path, { recursive: true });
  await first.stop(0);

  const second = await startServer({ ...options, dataDir: copy.path }, memoryLogger());
  const jobs = await fetch(`${second.url}/api/v1/jobs/bulk-get`, {
    method: "POST",
    body: JSON.stringify({ job_ids: answer.enqueue.map((item) => item.job_id) }),
  }).then((response) => response.json() as Promise<{ jobs: JobBody[] }>);
  await second.stop(0);
  expect(jobs.jobs).toHaveLength(50);
});

test("[S10] the operations of one frame, and frames that arrive together, share durable steps", async () => {
  const stream = await open();
  const queue = newQueue();
  const applied = async () =>
    (await server.get<{ applied_index: number }>("/status")).applied_index;
  const before = await applied();
  const ids: number[] = [];
  for (let i = 0; i < 40; i++) ids.push(stream.send({ enqueue: [{ queue }, { queue }] }));
  for (const id of ids) await stream.answer(id);
  expect((await applied()) - before).toBeLessThan(20);
});

test("[S3] a frame's items are answered one by one, in their order, and one refusal spares the others", async () => {
  const stream = await open();
  const queue = newQueue();
  await enqueue(queue, 3);
  await stream.claim([queue], 3);
  const [one, two, three] = [await stream.job(), await stream.job(), await stream.job()];

  const answer = await stream.ask({
    enqueue: [
      { queue: newQueue(), unique_key: "k" },
      { queue: newQueue(), delay: "1h" },
    ],
    ack: [
      { ...lease(one), result: { ok: true } },
      { job_id: two.job_id, lease_token: "zzz" },
    ],
    fail: [{ ...lease(two), error: "e", retryable: false }],
    release: [{ ...lease(three), delay: "1h" }],
    heartbeat: [lease(three)],
  });
  expect(answer).toMatchObject({
    enqueue: [{ status: "pending" }, { status: "scheduled" }],
    ack: [
      { job_id: one.job_id, status: "ok" },
      { job_id: two.job_id, status: "error", code: "LEASE_LOST" },
    ],
    fail: [{ job_id: two.job_id, status: "dead" }],
    release: [{ job_id: three.job_id, status: "retrying" }],
    heartbeat: [{ job_id: three.job_id, status: "error", code: "LEASE_LOST" }],
  });
  expect(await job(three.job_id)).toMatchObject({ attempt: 0, state: "retrying" });
});

test("[S11] no more jobs come than there are credits, and later credits add to what is left", async () => {
  const stream = await open();
  const queue = newQueue();
  await stream.claim([queue], 2);
  await stream.claim([queue], 1);
  const ids = await enqueue(queue, 10);

  const first = [await stream.job(), await stream.job(), await stream.job()];
  expect(first.map((one) => one.job_id)).toEqual(ids.slice(0, 3));
  await server.get(`/jobs/${ids[9]}`);
  expect(await stream.jobsSoFar()).toEqual([]);
  expect(await server.get(`/queues/${queue}`)).toMatchObject({ active: 3, pending: 7 });

  await stream.claim([queue], 2);
  expect([(await stream.job()).job_id, (await stream.job()).job_id]).toEqual(ids.slice(3, 5));
});

test("[S11] a claim with 0 credits takes all of them back", async () => {
  const stream = await open();
  const queue = newQueue();
  await stream.claim([queue], 5);
  await stream.claim([queue], 0);
  await enqueue(queue, 3);

  expect(await stream.jobsSoFar()).toEqual([]);
  expect(await server.get(`/queues/${queue}`)).toMatchObject({ active: 0, pending: 3 });
});

test("[S11] a claim of other queues replaces the standing one and keeps its credits", async () => {
  const stream = await open();
  const [before, after] = [newQueue(), newQueue()];
  await stream.claim([before], 2);
  await stream.claim([after], 1);
  await enqueue(before);
  const ids = await enqueue(after, 4);

  const jobs = [await stream.job(), await stream.job(), await stream.job()];
  expect(jobs.map((one) => one.job_id)).toEqual(ids.slice(0, 3));
  expect(await stream.jobsSoFar()).toEqual([]);
  expect(await server.get(`/queues/${before}`)).toMatchObject({ pending: 1 });
});

test("[S12] a job is pushed as soon as it is there, with what the HTTP claim gives", async () => {
  const stream = await open();
  const queue = newQueue();
  await stream.claim([queue], 1);
  const [id] = await enqueue(queue, 1, { tags: { a: "b" }, checkpoint: [1.0], timeout: "5s" });

  const pushed = await stream.job();
  expect(pushed).toMatchObject({ job_id: id as string, attempt: 1 });
  await stream.ask({ release: [lease(pushed)] });
  const { lease_token: _, ...fetched } = await server.post<Claimed & Record<string, unknown>>(
    "/fetch",
    { queues: [queue], lease_ms: 30_000 },
  );
  expect(Object.keys(pushed).sort()).toEqual([...Object.keys(fetched), "lease_token"].sort());
  expect(pushed).toMatchObject({
    queue,
    payload: fetched.payload,
    checkpoint: fetched.checkpoint,
    tags: fetched["tags"],
    timeout_ms: 5000,
  } as object);
});

for (const [action, method, path] of [
  ["cancelled", "POST", "/cancel"],
  ["held", "POST", "/hold"],
  ["deleted", "DELETE", ""],
] as const) {
  test(`[S12] the worker of a job that is ${action} is told to stop, with its token`, async () => {
    const stream = await open();
    const other = await open();
    const queue = newQueue();
    await enqueue(queue);
    await stream.claim([queue], 1);
    const pushed = await stream.job();
    await server.call(method, `/api/v1/jobs/${pushed.job_id}${path}`);

    expect(await stream.revocation()).toEqual({ ...lease(pushed), reason: "cancel" });
    expect((await stream.ask({ ack: [lease(pushed)] })).ack).toMatchObject([{ status: "error" }]);
    await other.ask({});
    expect(other.revoked).toEqual([]);
  });
}

test("[S12] a worker whose lease ended is told that it is lost, and its token is refused", async () => {
  const stream = await open();
  const queue = newQueue();
  await enqueue(queue);
  await stream.claim([queue], 1, { lease_ms: 100 });
  const pushed = await stream.job();

  expect(await stream.revocation()).toEqual({ ...lease(pushed), reason: "lost" });
  expect((await stream.ask({ ack: [lease(pushed)] })).ack).toMatchObject([{ code: "LEASE_LOST" }]);
});

test("[S12] a job finished by its worker is not revoked, wherever the ack came in", async () => {
  const stream = await open();
  const queue = newQueue();
  await enqueue(queue);
  await stream.claim([queue], 1);
  const pushed = await stream.job();
  await server.post(`/ack/${pushed.job_id}`, { lease_token: pushed.lease_token });
  await server.post(`/jobs/${pushed.job_id}/retry`);
  await server.post(`/jobs/${pushed.job_id}/cancel`);

  await stream.ask({});
  expect(stream.revoked).toEqual([]);
});

test("[S13] jobs of a connection that ended stay leased, and can be acked on another one or over HTTP", async () => {
  const stream = await open();
  const queue = newQueue();
  await enqueue(queue, 2);
  await stream.claim([queue], 10);
  const [one, two] = [await stream.job(), await stream.job()];
  await stream.drop();

  expect((await job(one.job_id)).state).toBe("active");
  const next = await open();
  expect((await next.ask({ ack: [lease(one)] })).ack).toMatchObject([{ status: "ok" }]);
  await server.post(`/ack/${two.job_id}`, { lease_token: two.lease_token });
  // Repeated, as a client does that did not see the answer.
  expect((await next.ask({ ack: [lease(one), lease(two)] })).ack).toMatchObject([
    { status: "ok" },
    { status: "ok" },
  ]);
});

test("[S13] the credits of a connection that ended are gone", async () => {
  const stream = await open();
  const queue = newQueue();
  await stream.claim([queue], 10);
  const waiting = async () =>
    (await server.get<{ waiting_workers: number }>("/status")).waiting_workers;
  const before = await waiting();
  await stream.drop();
  while ((await waiting()) === before) await Bun.sleep(1);

  const [id] = await enqueue(queue);
  expect(await job(id as string)).toMatchObject({ state: "pending", attempt: 0 });
});

test("[S4] a job that a frame enqueues reaches the claim of the same frame", async () => {
  const stream = await open();
  const queue = newQueue();
  const id = stream.send({
    enqueue: [{ queue, payload: { big: 2 } }],
    claim: { queues: [queue], credits: 1 },
  });
  const pushed = await stream.job();
  const [enqueued] = (await stream.answer(id)).enqueue;
  expect(pushed.job_id).toBe(enqueued?.job_id ?? "");
});

test("[S5] a frame with a bad item does nothing at all", async () => {
  const stream = await open();
  const queue = newQueue();
  const answer = await stream.ask({
    enqueue: [{ queue }, { queue, delay: "soon" }],
    claim: { queues: [queue], credits: 1 },
  });
  expect(answer).toMatchObject({ code: "VALIDATION_ERROR" });
  expect(answer).not.toHaveProperty("enqueue");
  await enqueue(queue);
  expect(await stream.jobsSoFar()).toEqual([]);
});
