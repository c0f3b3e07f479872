/** Two servers over loopback, of which one leads: what passes between them, and what becomes of calls when that fails. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Operation } from "../../src/api/operation.ts";
import { type OperationName, operations } from "../../src/api/operations.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { follow, leadership, pair, started, stopAll } from "../support/follower.ts";
import { httpFixture } from "../support/http-app.ts";
import { exchange } from "../support/socket.ts";

afterEach(stopAll);

const job = "/api/v1/jobs/job_1";

/** Keeps whole requests and answers with what the test says. */
function recorder(answer: (request: Request) => Response | Promise<Response>) {
  const seen: { method: string; url: string; headers: Headers; body: Uint8Array }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: await request.bytes() });
      return answer(request);
    },
  });
  return { seen, url: server.url.origin, [Symbol.asyncDispose]: () => server.stop(true) };
}

describe("[A15] a call to a node that does not lead", () => {
  test("reaches the leader with its method, path, query, headers and exact bytes", async () => {
    await using leader = recorder(() => Response.json({}));
    const { url } = await follow(leader.url);
    const body = Buffer.from('{ "payload" : 1.0, "queue":"\xff" }', "latin1");

    await fetch(`${url}/api/v1/jobs/a%2Fb/hold?x=%20y&x=2`, {
      method: "POST",
      body,
      headers: {
        "X-API-Key": "k",
        "X-Corvo-Namespace": "default",
        Connection: "close, X-Hop",
        "X-Hop": "1",
      },
    });

    const [seen] = leader.seen;
    expect(seen?.method).toBe("POST");
    expect(seen?.url).toBe(`${leader.url}/api/v1/jobs/a%2Fb/hold?x=%20y&x=2`);
    expect(Buffer.from(seen?.body ?? [])).toEqual(body);
    expect(seen?.headers.get("x-api-key")).toBe("k");
    expect(seen?.headers.get("x-corvo-namespace")).toBe("default");
    expect(seen?.headers.get("x-corvo-forwarded")).toBe("1");
    expect(seen?.headers.get("x-hop")).toBeNull();
    expect(seen?.headers.get("host")).toBe(new URL(leader.url).host);
  });

  test("reaches the leader without a Host, as HTTP/1.0 has none", async () => {
    await using leader = recorder(() => Response.json({}));
    const { url } = await follow(leader.url);
    for (const path of ["/api/v1/enqueue?x=1", "/api/v1/jobs/job_1/hold"]) {
      await exchange(url, `POST ${path} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}`);
    }
    expect(leader.seen.map(({ url, body }) => [url, body.length])).toEqual([
      [`${leader.url}/api/v1/enqueue?x=1`, 2],
      [`${leader.url}/api/v1/jobs/job_1/hold`, 2],
    ]);
  });

  test("gets the leader's answer unchanged", async () => {
    const zipped = Bun.gzipSync(Buffer.from('{"id":"job_1"}'));
    const headers = { "content-encoding": "gzip", "retry-after": "0.5", "x-any": "thing" };
    await using leader = recorder(() => new Response(zipped, { status: 418, headers }));
    const { url } = await follow(leader.url);

    const reply = await fetch(url + job, { decompress: false } as RequestInit);

    expect(reply.status).toBe(418);
    expect(reply.headers.get("x-any")).toBe("thing");
    expect(reply.headers.get("retry-after")).toBe("0.5");
    expect(reply.headers.get("content-encoding")).toBe("gzip");
    expect(reply.headers.get("x-corvo-forwarded")).toBe("1");
    expect(await reply.bytes()).toEqual(new Uint8Array(zipped));
  });

  test("gets a large answer piece by piece, before its end is known", async () => {
    const rest = Promise.withResolvers<void>();
    await using leader = recorder(
      () =>
        new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(Buffer.from("first,"));
              await rest.promise;
              controller.enqueue(Buffer.from("second"));
              controller.close();
            },
          }),
        ),
    );
    const { url } = await follow(leader.url);

    const reply = await fetch(url + job);
    const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
    const first = await reader.read();
    expect(Buffer.from(first.value ?? []).toString()).toBe("first,");
    rest.resolve();
    const second = await reader.read();
    expect(Buffer.from(second.value ?? []).toString()).toBe("second");
  });

  test("carries an error and an empty answer of the leader like any other", async () => {
    const { url } = pair();
    const missing = await fetch(url + job);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({
      code: "NOT_FOUND",
      error: "nothing behind getJob",
    });

    await using leader = recorder(() => new Response(null, { status: 204 }));
    const other = await follow(leader.url);
    const reply = await fetch(`${other.url}/api/v1/fetch`, { method: "POST", body: "{}" });
    expect(reply.status).toBe(204);
    expect(await reply.text()).toBe("");
  });

  test("is answered where it was asked when it is about that node, or may be stale", async () => {
    const { url, follower, leader } = pair();
    const here = ["/healthz", "/api/v1/info", "/api/v1/cluster/status", `${job}?consistency=stale`];
    for (const path of here) await fetch(url + path);
    expect(follower.calls.map((call) => call.name)).toEqual([
      "health",
      "info",
      "clusterStatus",
      "getJob",
    ]);
    expect((await fetch(`${url}/openapi.json`)).status).toBe(200);
    expect(leader.calls).toEqual([]);

    await fetch(`${url}/api/v1/cluster/status?consistency=strong`);
    await fetch(`${url + job}?consistency=strong`);
    expect(leader.calls.map((call) => call.name)).toEqual(["clusterStatus", "getJob"]);
  });

  test("with another word for its consistency is refused", async () => {
    const { url } = pair();
    const reply = await fetch(`${url + job}?consistency=fast`);
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({ code: "VALIDATION_ERROR" });
  });

  test("with a body over the limit is refused before anything is sent", async () => {
    const leader = httpFixture();
    const forward = leadership(leader.listen());
    const follower = httpFixture({ forward, limits: { bodyBytesMax: 100 } });
    started.push(follower, leader);
    const reply = await fetch(`${follower.listen()}/api/v1/enqueue`, {
      method: "POST",
      body: "x".repeat(101),
    });
    expect(reply.status).toBe(413);
    expect(leader.calls).toEqual([]);
  });
});

describe("[A17] a call that cannot be passed on", () => {
  test("is refused when no leader is known, with a time to try again", async () => {
    const { url } = await follow(undefined);
    const reply = await fetch(`${url}/api/v1/enqueue`, { method: "POST", body: "{}" });
    expect(reply.status).toBe(503);
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await reply.json()).toMatchObject({
      code: "UNAVAILABLE",
      error: "no leader is known to this node at the moment",
    });
  });

  test("is answered here when any node can answer it", async () => {
    const { url, follower } = await follow(undefined);
    await fetch(`${url}/api/v1/cluster/status?consistency=strong`);
    expect(follower.calls.map((call) => call.name)).toEqual(["clusterStatus"]);
  });

  test("is answered here when it answers alone, and by the leader when there is one", async () => {
    const alone = await follow(undefined);
    await fetch(`${alone.url}${job}/explain`);
    expect(alone.follower.calls.map((call) => call.name)).toEqual(["explainJob"]);

    const { url, follower, leader } = pair();
    await fetch(`${url}${job}/explain`);
    expect(leader.calls.map((call) => call.name)).toEqual(["explainJob"]);
    await fetch(`${url}${job}/explain?consistency=stale`);
    await fetch(`${url}${job}/explain`, { headers: { "x-corvo-forwarded": "1" } });
    expect(follower.calls.map((call) => call.name)).toEqual(["explainJob", "explainJob"]);
  });

  test("is refused instead of passed round between two nodes that take each other for the leader", async () => {
    const one = await follow(undefined);
    const other = await follow(one.url);
    one.forward.state.url = other.url;

    const reply = await fetch(one.url + job);

    expect(reply.status).toBe(503);
    expect(await reply.json()).toMatchObject({ code: "UNAVAILABLE", retry_after_ms: 250 });
    expect([...one.follower.calls, ...other.follower.calls]).toEqual([]);
  });

  test("may be sent again when the leader was never reached", async () => {
    const gone = httpFixture();
    const url = gone.listen();
    await gone.app.stop(0);
    const follower = await follow(url);
    const reply = await fetch(`${follower.url}/api/v1/enqueue`, { method: "POST", body: "{}" });
    expect(reply.status).toBe(503);
    expect(await reply.json()).toMatchObject({
      code: "UNAVAILABLE",
      error: `the leader at ${url} cannot be reached: connection refused`,
    });
  });

  test("has an unknown outcome when the leader breaks off a write, and none when it breaks off a read", async () => {
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.terminate() },
    });
    const { url } = await follow(`http://127.0.0.1:${server.port}`);
    const write = await fetch(`${url}/api/v1/enqueue`, { method: "POST", body: "{}" });
    expect(await write.json()).toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const read = await fetch(url + job);
    expect(await read.json()).toMatchObject({ code: "UNAVAILABLE" });
    server.stop(true);
  });

  test("is not answered with half a claim when the leader breaks off its answers", async () => {
    const claims = 200;
    const half = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"jobs":[';
    const sockets: { write(text: string): number; end(): void }[] = [];
    const leader = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          if (sockets.push(socket) < claims) return;
          for (const one of sockets) {
            one.write(half);
            one.end();
          }
        },
      },
    });
    const { url } = await follow(`http://127.0.0.1:${leader.port}`);
    const claim = "POST /api/v1/fetch HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    const isWhole = (answer: string) => answer.endsWith("}");
    const answers = Array.from({ length: claims }, () => exchange(url, claim, isWhole));
    for (const answer of await Promise.all(answers)) {
      expect(answer).toStartWith("HTTP/1.1 503");
      expect(answer).toContain('"code":"UNAVAILABLE"');
    }
    leader.stop(true);
  });

  test("ends when another node leads, although the old leader keeps silent", async () => {
    const reached = Promise.withResolvers<void>();
    await using silent = recorder(() => {
      reached.resolve();
      return new Promise<Response>(() => {});
    });
    const { url, forward } = await follow(silent.url);
    const answer = fetch(`${url}/api/v1/enqueue`, { method: "POST", body: "{}" });
    await reached.promise;
    forward.state.url = "http://127.0.0.1:1";
    expect(await (await answer).json()).toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });
});

test("a caller that goes away ends the call at the leader", async () => {
  const reached = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const { url } = pair({
    handlers: {
      fetchJobs: (_, { signal }) => {
        reached.resolve();
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            aborted.resolve();
            resolve({ jobs: [] });
          });
        });
      },
    },
  });
  const gone = new AbortController();
  const call = fetch(`${url}/api/v1/fetch/batch`, {
    method: "POST",
    body: '{"queues":["q"]}',
    signal: gone.signal,
  }).catch((error: Error) => error.name);
  await reached.promise;
  gone.abort();
  await aborted.promise;
  expect(await call).toBe("AbortError");
});

test("[A15] calls that wait at the leader take no room from those that do not, however many they are", async () => {
  // The runtime's own client has at most 256 requests on their way, in the whole process.
  const waiting = 300;
  const all = Promise.withResolvers<void>();
  const over = Promise.withResolvers<{ jobs: [] }>();
  let reached = 0;
  const { url } = pair({
    handlers: {
      fetchJobs: () => {
        reached++;
        if (reached === waiting) all.resolve();
        return over.promise;
      },
      enqueueJob: async () => ({ job_id: "job_1", status: "pending", unique_existing: false }),
    },
  });
  const poll = '{"queues":["q"]}';
  const text = `POST /api/v1/fetch/batch HTTP/1.1\r\nHost: h\r\nContent-Length: ${poll.length}\r\n\r\n${poll}`;
  const isWhole = (answer: string) => answer.includes("}");
  const answers = Array.from({ length: waiting }, () => exchange(url, text, isWhole));
  await all.promise;

  const added = await fetch(`${url}/api/v1/enqueue`, { method: "POST", body: '{"queue":"q"}' });

  expect(added.status).toBe(201);
  over.resolve({ jobs: [] });
  for (const answer of await Promise.all(answers)) expect(answer).toContain('{"jobs":[]}');
});

test("a stop ends what only waits at the leader, and lets a write finish", async () => {
  const writing = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { url, follower } = pair({
    handlers: {
      deleteJob: async () => {
        writing.resolve();
        await release.promise;
        return { status: "deleted" };
      },
      fetchJobs: (_, { signal }) => {
        waiting.resolve();
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve({ jobs: [] }));
        });
      },
    },
  });
  const poll = fetch(`${url}/api/v1/fetch/batch`, { method: "POST", body: '{"queues":["q"]}' });
  const write = fetch(url + job, { method: "DELETE" });
  await Promise.all([writing.promise, waiting.promise]);
  const stopped = follower.app.stop(5000);
  expect((await poll).status).toBe(503);
  release.resolve();
  expect(await (await write).json()).toEqual({ status: "deleted" });
  await stopped;
});

test("[A16] every read can be asked for a stale answer, and nothing else can", () => {
  for (const name of Object.keys(operations) as OperationName[]) {
    const operation: Operation = operations[name];
    expect({ name, has: "consistency" in operation.query.properties }).toEqual({
      name,
      has: operation.read,
    });
  }
});

test("[A18] calls that wait at a node that stops leading end at once", async () => {
  const waiting = Promise.withResolvers<void>();
  const forward = leadership(undefined);
  forward.state.leads = true;
  const fixture = httpFixture({
    forward,
    handlers: {
      fetchJobs: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          waiting.resolve();
        }),
    },
  });
  started.push(fixture);
  const url = `${fixture.listen()}/api/v1/fetch/batch`;
  const answer = fetch(url, { method: "POST", body: '{"queues":["q"]}' });
  await waiting.promise;
  forward.state.leads = false;
  const reply = await answer;
  expect(reply.status).toBe(503);
  expect(await reply.json()).toMatchObject({ error: "this node does not lead any more" });
});

test("a fault of the handler at the leader is not a fault of the node that passed it on", async () => {
  const { url, follower } = pair({
    handlers: { getJob: () => Promise.reject(new CorvoError("OVERLOADED", "full")) },
  });
  const reply = await fetch(url + job);
  expect(reply.status).toBe(429);
  expect(follower.lines).toEqual([]);
});
