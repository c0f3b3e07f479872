/** The streaming protocol against the executable: what only a real disk, a real kill and real leases show. */
import { expect, test } from "bun:test";
import { Place } from "../support/binary.ts";
import { type StreamClient, streamClient } from "../support/socket.ts";

interface Pushed {
  readonly job_id: string;
  readonly lease_token: string;
  readonly payload: unknown;
}

type Message = Record<string, unknown>;

/** The next message with this member; those before it are put aside into `others`. */
async function nextWith(
  client: StreamClient,
  member: string,
  others: Message[] = [],
): Promise<Message> {
  for (;;) {
    const message = await client.next();
    if (message[member] !== undefined) return message;
    others.push(message);
  }
}

/** Jobs as they are pushed, until there are `count`. */
async function takeJobs(client: StreamClient, count: number): Promise<Pushed[]> {
  const jobs: Pushed[] = [];
  while (jobs.length < count) {
    jobs.push(...((await nextWith(client, "jobs"))["jobs"] as Pushed[]));
  }
  return jobs;
}

function send(client: StreamClient, frame: object): void {
  client.socket.send(JSON.stringify(frame));
}

test("[S2] [S10] every frame has an answer with its id, and what an answer lists survives a kill", async () => {
  await using place = await Place.create();
  const server = await place.serve();
  const client = await streamClient(server.url);
  for (let id = 1; id <= 30; id++) {
    send(client, {
      id,
      enqueue: Array.from({ length: 10 }, (_, n) => ({ queue: "s", payload: [id, n] })),
    });
  }
  const answers: Message[] = [];
  while (answers.length < 30) answers.push(await client.next());
  await server.stop("SIGKILL");
  await using again = await place.serve();
  const queue = await again.json<{ pending: number }>("GET", "/api/v1/queues/s");

  expect(answers.map(({ id }) => id).sort((a, b) => Number(a) - Number(b))).toEqual(
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  expect(answers.every(({ enqueue }) => (enqueue as unknown[]).length === 10)).toBe(true);
  expect(queue.pending).toBe(300);
});

test("[S11] no more jobs are pushed than there are credits; credits add up, and 0 takes them back", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const client = await streamClient(server.url);
  send(client, { id: 1, enqueue: Array.from({ length: 10 }, () => ({ queue: "s" })) });
  await nextWith(client, "id");

  send(client, { id: 2, claim: { queues: ["s"], credits: 2 } });
  const two = await takeJobs(client, 2);
  send(client, { id: 3, claim: { queues: ["s"], credits: 1 } });
  const one = await takeJobs(client, 1);
  const queue = await server.json<{ active: number; pending: number }>("GET", "/api/v1/queues/s");
  send(client, { id: 4, claim: { queues: ["other"], credits: 5 } });
  send(client, { id: 5, claim: { queues: ["other"], credits: 0 } });
  const others: Message[] = [];
  while ((await nextWith(client, "id", others))["id"] !== 5);
  await server.json("POST", "/api/v1/enqueue", { queue: "other" });
  const untouched = await server.json<{ pending: number }>("GET", "/api/v1/queues/other");

  expect([two.length, one.length]).toEqual([2, 1]);
  expect(queue).toMatchObject({ active: 3, pending: 7 });
  expect(untouched.pending).toBe(1);
  client.socket.close();
});

test("[S12] a worker is told of a cancelled and of a lost lease, and of the server's end", async () => {
  await using place = await Place.create();
  const server = await place.serve();
  const client = await streamClient(server.url);
  send(client, {
    id: 1,
    enqueue: [
      { queue: "s", payload: "a" },
      { queue: "s", payload: "b", max_retries: 1 },
    ],
  });
  send(client, { id: 2, claim: { queues: ["s"], credits: 2, lease_ms: 2000 } });
  const [first, second] = await takeJobs(client, 2);

  await server.json("POST", `/api/v1/jobs/${first?.job_id}/cancel`);
  const cancelled = await nextWith(client, "revoked");
  const lost = await nextWith(client, "revoked");
  const ended = server.stop("SIGTERM");
  const closing = await nextWith(client, "closing");
  client.socket.close();

  const lease = (job: Pushed | undefined) => ({
    job_id: job?.job_id,
    lease_token: job?.lease_token,
  });
  expect(cancelled["revoked"]).toEqual([{ ...lease(first), reason: "cancel" }]);
  expect(lost["revoked"]).toEqual([{ ...lease(second), reason: "lost" }]);
  expect(closing["closing"]).toBe(true);
  expect(await ended).toBe(0);
}, 15_000);

test("[S13] jobs of a connection that ended stay leased and are acked elsewhere, over HTTP or another stream", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const client = await streamClient(server.url);
  send(client, { id: 1, enqueue: [{ queue: "s" }, { queue: "s" }] });
  send(client, { id: 2, claim: { queues: ["s"], credits: 2 } });
  const [first, second] = await takeJobs(client, 2);
  client.socket.close();
  await client.closed;

  const leased = await server.json<{ active: number }>("GET", "/api/v1/queues/s");
  const acked = await server.json("POST", `/api/v1/ack/${first?.job_id}`, {
    lease_token: first?.lease_token,
  });
  const other = await streamClient(server.url);
  send(other, { id: 1, ack: [{ job_id: second?.job_id, lease_token: second?.lease_token }] });
  const answer = await nextWith(other, "ack");
  other.socket.close();

  expect(leased.active).toBe(2);
  expect(acked).toEqual({ status: "ok" });
  expect(answer["ack"]).toEqual([{ job_id: second?.job_id ?? "", status: "ok" }]);
});

test("[L12] a caller that does not wait still gets what is there, and one that left has its jobs given back", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  for (let i = 0; i < 40; i++) {
    await server.json("POST", "/api/v1/enqueue", { queue: "q" });
    const answer = await server.call("POST", "/api/v1/fetch", '{"queues":["q"],"wait_ms":0}');

    expect(answer.status).toBe(200);
  }
  const gone = new AbortController();
  const poll = fetch(`${server.url}/api/v1/fetch`, {
    method: "POST",
    body: '{"queues":["later"],"wait_ms":60000}',
    signal: gone.signal,
  }).catch(() => undefined);
  while ((await waitingWorkers(server)) === 0);
  gone.abort();
  await poll;
  await server.json("POST", "/api/v1/enqueue", { queue: "later" });
  const next = await server.call("POST", "/api/v1/fetch", '{"queues":["later"],"wait_ms":10000}');

  expect(JSON.parse(next.text)).toMatchObject({ attempt: 1 });
});

async function waitingWorkers(server: { json<T>(method: string, path: string): Promise<T> }) {
  const status = await server.json<{ waiting_workers: number }>("GET", "/api/v1/status");
  return status.waiting_workers;
}
