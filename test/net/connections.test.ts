/** Connections that misbehave, go away, or are there when the server stops. */
import { expect, test } from "bun:test";
import { httpFixture } from "../support/http-app.ts";
import { exchange, streamClient } from "../support/socket.ts";

const enqueued = { job_id: "job_1", status: "pending", unique_existing: false } as const;
const ok = { enqueueJob: async () => enqueued };
const postHead = "POST /api/v1/enqueue HTTP/1.1\r\nHost: q\r\n";

test("[A12] a long poll learns that its caller has gone away, and nothing is logged", async () => {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  await using fixture = httpFixture({
    handlers: {
      fetchJob: (_input, context) =>
        new Promise((_resolve, reject) => {
          context.signal.addEventListener("abort", () => {
            reject(context.signal.reason);
            aborted.resolve();
          });
          started.resolve();
        }),
    },
  });
  const url = new URL(fixture.listen());
  const body = '{"queues":["q"]}';
  const socket = await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: { data() {} },
  });

  socket.write(
    `POST /api/v1/fetch HTTP/1.1\r\nHost: q\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await started.promise;
  socket.end();

  await aborted.promise;
  expect(fixture.lines).toEqual([]);
});

test("[A1] a chunked body is read like any other", async () => {
  await using fixture = httpFixture({ handlers: ok });
  const text = await exchange(
    fixture.listen(),
    `${postHead}Transfer-Encoding: chunked\r\n\r\nb\r\n{"queue":"a\r\n3\r\nb"}\r\n0\r\n\r\n`,
  );

  expect(text).toStartWith("HTTP/1.1 201");
  expect(fixture.calls).toMatchObject([{ input: { body: { queue: "ab" } } }]);
});

test.each([
  ["none, as in HTTP/1.0", "1.0", ""],
  ["an empty one", "1.1", "Host: \r\n"],
  ["one that is no host", "1.1", "Host: a b\r\n"],
])("every path is found with a Host header that is %s", async (_, version, host) => {
  await using fixture = httpFixture({
    handlers: {
      pauseQueue: async () => ({ status: "paused" }),
      holdJob: async () => ({ status: "held" }),
    },
  });
  const origin = fixture.listen();
  const head = (path: string) => `POST ${path} HTTP/${version}\r\n${host}`;

  const paused = await exchange(origin, `${head("/api/v1/queues/a%2Fb/pause?x=y")}\r\n`);
  const held = await exchange(
    origin,
    `${head("/api/v1/jobs/job_1/hold")}Content-Length: 14\r\n\r\n{"reason":"x"}`,
  );

  expect(paused).toStartWith("HTTP/1.1 200");
  expect(held).toStartWith("HTTP/1.1 200");
  expect(fixture.calls).toMatchObject([
    { name: "pauseQueue", input: { params: { name: "a/b" } } },
    { name: "holdJob", input: { params: { job_id: "job_1" }, body: { reason: "x" } } },
  ]);
  expect(await exchange(origin, `${head("/nope")}\r\n`)).toContain("no such path: /nope");
});

test("[A1] a body over the limit is refused by its declared length, before it is sent", async () => {
  await using fixture = httpFixture({ handlers: ok, limits: { bodyBytesMax: 100 } });

  const text = await exchange(
    fixture.listen(),
    `${postHead}Content-Length: 101\r\n\r\n`,
    (received) => received.includes("}"),
  );

  expect(text).toStartWith("HTTP/1.1 413");
  expect(text).toContain("the body has 101 bytes; the limit bodyBytesMax (--max-body-size) is 100");
});

test("[A1] a chunked body over the limit is refused as soon as it is passed", async () => {
  await using fixture = httpFixture({ handlers: ok, limits: { bodyBytesMax: 100 } });
  const chunk = `65\r\n${" ".repeat(101)}\r\n`;

  const text = await exchange(
    fixture.listen(),
    `${postHead}Transfer-Encoding: chunked\r\n\r\n${chunk}`,
    (received) => received.includes("}"),
  );

  expect(text).toStartWith("HTTP/1.1 413");
  expect(text).toContain("bodyBytesMax");
  expect(fixture.calls).toEqual([]);
});

test("[A1] the content type of a body does not matter", async () => {
  await using fixture = httpFixture({ handlers: ok });
  const url = fixture.listen();

  for (const type of [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "🦆",
  ]) {
    const head = type === "" ? "" : `Content-Type: ${type}\r\n`;
    const text = await exchange(url, `${postHead}${head}Content-Length: 13\r\n\r\n{"queue":"q"}`);
    expect(text).toStartWith("HTTP/1.1 201");
  }
});

test("[A12] a connection that ends within its body is neither served nor logged", async () => {
  await using fixture = httpFixture({ handlers: ok });
  const url = new URL(fixture.listen());
  const socket = await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: { data() {} },
  });
  socket.write(`${postHead}Content-Length: 50\r\n\r\n{"queue"`);
  socket.end();

  // A later request on the same server is answered after the broken one was given up.
  expect(await exchange(url.origin, "GET /nowhere HTTP/1.1\r\nHost: q\r\n\r\n")).toContain("404");
  expect(fixture.lines).toEqual([]);
  expect(fixture.calls).toEqual([]);
});

test("[A13] more requests than the limit are answered OVERLOADED, and room comes back", async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  await using fixture = httpFixture({
    limits: { requestsMax: 1 },
    handlers: {
      ...ok,
      health: async () => {
        entered.resolve();
        await gate.promise;
        return { status: "ok" };
      },
    },
  });
  const url = fixture.listen();
  const request = () => fetch(`${url}/api/v1/enqueue`, { method: "POST", body: '{"queue":"q"}' });

  const first = fetch(`${url}/healthz`);
  await entered.promise;
  const refused = await request();
  gate.resolve();
  await first;
  const served = await request();

  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ code: "OVERLOADED", retry_after_ms: 1000 });
  expect(served.status).toBe(201);
});

test("[A13] bodies held at one time are bounded together", async () => {
  await using fixture = httpFixture({ handlers: ok, limits: { bodiesBytesMax: 20 } });
  const url = fixture.listen();

  const small = await exchange(url, `${postHead}Content-Length: 13\r\n\r\n{"queue":"q"}`);
  const large = await exchange(
    url,
    `${postHead}Content-Length: 21\r\n\r\n{"queue":"${"q".repeat(9)}"}`,
  );
  const again = await exchange(url, `${postHead}Content-Length: 13\r\n\r\n{"queue":"q"}`);

  expect([small, large, again].map((text) => text.slice(9, 12))).toEqual(["201", "429", "201"]);
});

test("[A14] stopping waits for running requests, tells streams, and lets nothing new in", async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const fixture = httpFixture({
    handlers: {
      health: async () => {
        entered.resolve();
        await gate.promise;
        return { status: "ok" };
      },
    },
  });
  const url = fixture.listen();
  const stream = await streamClient(url);
  const running = fetch(`${url}/healthz`);
  await entered.promise;

  const stopped = fixture.app.stop(60_000);
  expect(await stream.next()).toEqual({ closing: true });
  stream.socket.send('{"id":7}');
  expect(await stream.next()).toEqual({ id: 7 });
  const late = await fixture.app.handle(new Request(`${url}/healthz`));
  stream.socket.close();
  gate.resolve();

  expect((await running).status).toBe(200);
  expect(late.status).toBe(503);
  await stopped;
  expect(fetch(`${url}/healthz`)).rejects.toThrow();
});

test("[A14] stopping ends long polls at once", async () => {
  const polls = Promise.withResolvers<void>();
  const waits = Promise.withResolvers<void>();
  const fixture = httpFixture({
    handlers: {
      fetchJobs: (_input, context) =>
        new Promise((resolve) => {
          context.signal.addEventListener("abort", () => resolve({ jobs: [] }));
          polls.resolve();
        }),
      waitJob: (_input, context) => {
        waits.resolve();
        return new Promise((_resolve, reject) => {
          context.signal.addEventListener("abort", () => reject(context.signal.reason));
        });
      },
    },
  });
  const url = fixture.listen();
  const waiting = fetch(`${url}/api/v1/jobs/x/wait`);
  const polling = fetch(`${url}/api/v1/fetch/batch`, { method: "POST", body: '{"queues":["q"]}' });
  await Promise.all([polls.promise, waits.promise]);

  await fixture.app.stop(60_000);

  expect(await (await polling).json()).toEqual({ jobs: [] });
  expect(await (await waiting).json()).toMatchObject({ code: "UNAVAILABLE" });
  expect(fixture.lines).toEqual([]);
});

test("[A14] stopping ends at the grace time what has not ended by then", async () => {
  const entered = Promise.withResolvers<void>();
  const fixture = httpFixture({
    handlers: {
      health: () => {
        entered.resolve();
        return new Promise(() => {});
      },
    },
  });
  const url = fixture.listen();
  const stream = await streamClient(url);
  const running = fetch(`${url}/healthz`).catch(() => "cut");
  await entered.promise;

  await fixture.app.stop(1);

  expect(await running).toBe("cut");
  expect(await stream.closed).toMatchObject({ code: 1001 });
});
