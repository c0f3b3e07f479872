import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RawJson } from "../../src/base/json.ts";
import {
  openStream,
  type Stream,
  type StreamEvents,
  type StreamOptions,
} from "../../src/sdk/stream.ts";
import type { ItemAnswer } from "../../src/sdk/stream-frame.ts";
import { StreamServer } from "../support/stream-server.ts";
import { random, timers } from "../support/system-ports.ts";

let server: StreamServer;
const streams: Stream[] = [];

beforeEach(() => {
  server = new StreamServer().start();
});

afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  await server.stop();
});

function open(options: Partial<StreamOptions> = {}, events: StreamEvents = {}): Stream {
  const stream = openStream(
    {
      server: server.url,
      WebSocket,
      timers,
      random,
      defer: setImmediate,
      backoffMs: 10,
      backoffMsMax: 40,
      ...options,
    },
    events,
  );
  streams.push(stream);
  return stream;
}

const enqueue = (stream: Stream, job: Parameters<Stream["enqueue"]>[0]) =>
  new Promise<ItemAnswer>((resolve) => stream.enqueue(job, resolve));

/** A stream that holds one claimed job. */
async function withClaimedJob(options: Partial<StreamOptions> = {}) {
  const job = server.add("q", new RawJson("1"));
  const claimed = Promise.withResolvers<{ job_id: string; lease_token: string }>();
  const stream: Stream = open(options, {
    opened: () => stream.claim({ queues: ["q"], credits: 1 }),
    jobs: ([first]) => first !== undefined && claimed.resolve(first),
  });
  const { job_id, lease_token } = await claimed.promise;
  return { stream, job, item: { job_id, lease_token } };
}

describe("frames", () => {
  test("items of one tick share a frame, and items added meanwhile share the next", async () => {
    const opened = Promise.withResolvers<void>();
    const stream = open({}, { opened: opened.resolve });
    await opened.promise;

    const first = [1, 2, 3].map((n) =>
      enqueue(stream, { queue: "q", payload: new RawJson(`${n}`) }),
    );
    await server.until(() => server.frames.length === 1);
    const second = [4, 5].map((n) => enqueue(stream, { queue: "q", payload: new RawJson(`${n}`) }));
    const answers = await Promise.all([...first, ...second]);

    expect(server.frames.map((frame) => (frame["enqueue"] as unknown[]).length)).toEqual([3, 2]);
    expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(5);
    expect(stream.openCount).toBe(0);
  });

  test("a frame holds at most 512 acks and 10,000 jobs", async () => {
    const stream = open();
    const answers: Promise<ItemAnswer>[] = [];
    for (let i = 0; i < 10_500; i++) answers.push(enqueue(stream, { queue: "q" }));
    for (let i = 0; i < 600; i++) {
      answers.push(new Promise((resolve) => stream.ack({ job_id: `job_${i}` }, resolve)));
    }
    await Promise.all(answers);

    const counts = (kind: string) =>
      server.frames.map((frame) => (frame[kind] as unknown[] | undefined)?.length ?? 0);
    expect(Math.max(...counts("enqueue"))).toBe(10_000);
    expect(Math.max(...counts("ack"))).toBe(512);
  });

  test("payloads travel as the exact text", async () => {
    const text = '{"n":12345678901234567890, "b":1.0,\n"jobs":"é\\u00e9"}';
    const got = Promise.withResolvers<string | undefined>();
    const stream: Stream = open(
      {},
      {
        opened: () => stream.claim({ queues: ["q"], credits: 1 }),
        jobs: ([job]) => got.resolve(job?.payload?.text),
      },
    );

    await enqueue(stream, { queue: "q", payload: new RawJson(text) });

    expect(await got.promise).toBe(text);
  });

  test("the key is sent as X-API-Key", async () => {
    await enqueue(open({ apiKey: "secret" }), { queue: "q" });

    expect(server.headers[0]?.get("x-api-key")).toBe("secret");
  });

  test("more unanswered items than the limit are refused with its name", () => {
    const stream = open({ itemsMax: 2 });
    stream.enqueue({ queue: "q" }, () => {});
    stream.enqueue({ queue: "q" }, () => {});

    expect(() => stream.enqueue({ queue: "q" }, () => {})).toThrow("itemsMax");
  });
});

describe("refused frames", () => {
  test("a passing refusal is repeated after the time it names", async () => {
    let refusals = 2;
    server.judge = () =>
      refusals-- > 0 ? { code: "OVERLOADED", error: "busy", retry_after_ms: 5 } : "ok";

    const answer = await enqueue(open(), { queue: "q" });

    expect(answer.status).toBe("pending");
    expect(server.frames).toHaveLength(3);
    expect(server.jobs.size).toBe(1);
  });

  test("a bad item is refused alone and its neighbours are carried out", async () => {
    server.judge = (frame) =>
      ((frame["enqueue"] ?? []) as { queue: string }[]).some((job) => job.queue === "bad")
        ? { code: "VALIDATION_ERROR", error: "queue: bad" }
        : "ok";
    const stream = open();

    const queues = ["a", "b", "bad", "c", "d", "e", "f"];
    const answers = await Promise.all(queues.map((queue) => enqueue(stream, { queue })));

    expect(answers.map((answer) => answer.code)).toEqual(
      queues.map((queue) => (queue === "bad" ? "VALIDATION_ERROR" : undefined)),
    );
    expect(server.jobs.size).toBe(6);
  });

  test("what an answer with a code lists counts as carried out, the rest is repeated", async () => {
    const { stream, job, item } = await withClaimedJob();
    server.judge = (frame) =>
      frame["ack"] !== undefined && frame["enqueue"] !== undefined
        ? { code: "OVERLOADED", error: "busy", retry_after_ms: 1, only: "ack" }
        : "ok";

    const acked = new Promise<ItemAnswer>((resolve) => stream.ack(item, resolve));
    const added = enqueue(stream, { queue: "other" });

    expect((await acked).status).toBe("ok");
    expect((await added).status).toBe("pending");
    expect(job.acks).toHaveLength(1);
    expect(server.jobs.size).toBe(2);
  });

  test("credits of claims that wait add up, and taking them back is a step of its own", async () => {
    const opened = Promise.withResolvers<void>();
    const stream = open({}, { opened: opened.resolve });
    await opened.promise;

    for (const credits of [2, 3, 0, 4]) stream.claim({ queues: ["q"], credits });
    await server.until(() => server.frames.length === 3);

    expect(server.frames.map((frame) => frame["claim"])).toEqual(
      [5, 0, 4].map((credits) => ({ queues: ["q"], credits })),
    );
  });

  test("a claim that is refused for good is told so", async () => {
    server.judge = () => ({ code: "UNAUTHORIZED", error: "no" });
    const refused = Promise.withResolvers<ItemAnswer | undefined>();
    const stream: Stream = open(
      {},
      { opened: () => stream.claim({ queues: ["q"], credits: 1 }, refused.resolve) },
    );

    expect((await refused.promise)?.code).toBe("UNAUTHORIZED");
  });
});

describe("broken connections", () => {
  test("an enqueue without an answer is OUTCOME_UNKNOWN and is not repeated", async () => {
    server.judge = () => "apply-silently";
    const stream = open();
    const answer = enqueue(stream, { queue: "q" });
    await server.until(() => server.frames.length === 1);

    server.breakConnections();

    expect((await answer).code).toBe("OUTCOME_UNKNOWN");
    await server.until(() => server.connections === 2);
    expect(server.jobs.size).toBe(1);
  });

  test("with resendUnique an enqueue with a unique key is repeated and finds its first try", async () => {
    server.judge = () => (server.frames.length === 1 ? "apply-silently" : "ok");
    const stream = open({ resendUnique: true });
    const answer = enqueue(stream, { queue: "q", unique_key: "k" });
    await server.until(() => server.frames.length === 1);

    server.breakConnections();

    expect(await answer).toMatchObject({ status: "duplicate", unique_existing: true });
    expect(server.jobs.size).toBe(1);
  });

  test("an enqueue that was not sent waits for the next connection", async () => {
    await server.stop();
    const stream = open();
    const answer = enqueue(stream, { queue: "q" });

    server.start();

    expect((await answer).status).toBe("pending");
  });

  test("an ack that never arrived is sent again with its lease token", async () => {
    const { stream, job, item } = await withClaimedJob();
    server.judge = (frame) => (frame["ack"] !== undefined ? "ignore" : "ok");
    const answer = new Promise<ItemAnswer>((resolve) => stream.ack(item, resolve));
    await server.until(() => server.frames.some((frame) => frame["ack"] !== undefined));

    server.judge = () => "ok";
    server.breakConnections();

    expect((await answer).status).toBe("ok");
    expect(job.acks).toHaveLength(1);
  });

  test("an ack whose first try was carried out unseen is OUTCOME_UNKNOWN, not lost", async () => {
    const { stream, job, item } = await withClaimedJob();
    server.judge = (frame) => (frame["ack"] !== undefined ? "apply-silently" : "ok");
    const answer = new Promise<ItemAnswer>((resolve) => stream.ack(item, resolve));
    await server.until(() => job.acks.length === 1);

    server.judge = () => "ok";
    server.breakConnections();

    expect(await answer).toMatchObject({ job_id: item.job_id, code: "OUTCOME_UNKNOWN" });
  });

  test("an ack refused at its first try is plainly LEASE_LOST", async () => {
    const { stream, item } = await withClaimedJob();

    const answer = await new Promise<ItemAnswer>((resolve) =>
      stream.ack({ ...item, lease_token: "old" }, resolve),
    );

    expect(answer.code).toBe("LEASE_LOST");
  });

  test("frames shrink to what the server takes, and an item that is too large alone is refused", async () => {
    await server.stop();
    server.frameBytesMax = 2000;
    server.start();
    const stream = open();

    const sizes = [100, 600, 600, 600, 5000, 600, 100];
    const answers = await Promise.all(
      sizes.map((size) =>
        enqueue(stream, { queue: "q", payload: new RawJson(`"${"x".repeat(size)}"`) }),
      ),
    );

    expect(answers.map((answer) => answer.code)).toEqual(
      sizes.map((size) => (size === 5000 ? "PAYLOAD_TOO_LARGE" : undefined)),
    );
    expect(server.jobs.size).toBe(6);
  });

  test("a connection that falls silent is replaced", async () => {
    const stream = open({ silentMs: 40 });
    await enqueue(stream, { queue: "q" });

    server.mute();
    const late = enqueue(stream, { queue: "q", unique_key: "k" });

    expect((await late).code).toBe("OUTCOME_UNKNOWN");
    await server.until(() => server.connections === 2);
  });

  test("a silent server that answers pings keeps its connection", async () => {
    const opened = Promise.withResolvers<void>();
    open({ silentMs: 10 }, { opened: opened.resolve });
    await opened.promise;

    await Bun.sleep(100);

    expect(server.connections).toBe(1);
  });

  test("after `closing` the stream sends what is left and connects again", async () => {
    const lost = Promise.withResolvers<string>();
    const stream = open({}, { lost: lost.resolve });
    await enqueue(stream, { queue: "q" });

    server.push({ closing: true });

    expect(await lost.promise).toContain("asked to connect again");
    expect((await enqueue(stream, { queue: "q" })).status).toBe("pending");
    expect(server.connections).toBe(2);
  });

  test("another server is tried when one is gone, and what was not sent goes there", async () => {
    const other = new StreamServer().start();
    const lost = Promise.withResolvers<string>();
    const events: StreamEvents = { lost: (_reason, _retryMs, from) => lost.resolve(from) };
    const stream = open({ server: `${server.url},${other.url}` }, events);
    await enqueue(stream, { queue: "q" });
    expect(stream.server).toBe(server.url);

    await server.stop();

    expect(await lost.promise).toBe(server.url);
    expect((await enqueue(stream, { queue: "q" })).status).toBe("pending");
    expect(stream.server).toBe(other.url);
    expect(other.jobs.size).toBe(1);
    stream.close();
    await other.stop();
  });

  test("a server that wants every connection to end at once is asked less and less often", async () => {
    const pausesMs: number[] = [];
    open(
      {},
      {
        opened: () => server.push({ closing: true }),
        lost: (_, retryMs) => pausesMs.push(retryMs),
      },
    );

    await server.until(() => pausesMs.length >= 5);

    expect(pausesMs[0]).toBeLessThanOrEqual(10);
    for (const pauseMs of pausesMs.slice(2)) expect(pauseMs).toBeGreaterThanOrEqual(20);
  });

  test("closing answers everything that is left", async () => {
    server.judge = () => "ignore";
    const stream = open();
    const sent = enqueue(stream, { queue: "q" });
    await server.until(() => server.frames.length === 1);
    const waiting = enqueue(stream, { queue: "q" });

    stream.close();

    expect((await sent).code).toBe("OUTCOME_UNKNOWN");
    expect((await waiting).code).toBe("UNAVAILABLE");
    expect((await enqueue(stream, { queue: "q" })).code).toBe("UNAVAILABLE");
    expect(stream.openCount).toBe(0);
  });
});
