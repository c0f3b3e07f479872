/** Streams to a node that does not lead: what passes between client and leader, and when the client is told to leave. */
import { afterEach, describe, expect, test } from "bun:test";
import type { StreamService } from "../../src/api/stream.ts";
import { RawJson } from "../../src/base/json.ts";
import { createWorker } from "../../src/sdk/worker.ts";
import { follow, leadership, pair, started, stopAll } from "../support/follower.ts";
import { httpFixture } from "../support/http-app.ts";
import { exchange, streamClient } from "../support/socket.ts";
import { StreamServer } from "../support/stream-server.ts";
import { memoryLogger, random, timers } from "../support/system-ports.ts";

afterEach(stopAll);

const handshake = (extra: string) =>
  `GET /api/v1/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extra}\r\n`;

/** Sessions that answer with the frame's id and how many items it had, and tell when they are closed. */
function countingService() {
  const opened = Promise.withResolvers<(text: string) => boolean>();
  const closed = Promise.withResolvers<void>();
  const service: StreamService = {
    open: (push) => {
      opened.resolve(push);
      return {
        frame: async (frame) =>
          JSON.stringify({ id: frame.id, error: String(frame.enqueue?.length ?? 0) }),
        drained() {},
        stopClaiming() {},
        close: () => closed.resolve(),
      };
    },
  };
  return { service, opened: opened.promise, closed: closed.promise };
}

describe("[S14] a stream to a node that does not lead", () => {
  test("carries frames of both sides", async () => {
    const counting = countingService();
    const { url } = pair({ stream: counting.service });
    const client = await streamClient(url);
    client.socket.send('{"id":1,"enqueue":[{"queue":"q","payload":1}]}');
    expect(await client.next()).toEqual({ id: 1, error: "1" });
    client.socket.send('{"id":2}');
    expect(await client.next()).toEqual({ id: 2, error: "0" });
    const push = await counting.opened;
    push('{"revoked":[]}');
    expect(await client.next()).toEqual({ revoked: [] });
    client.socket.close(1000);
    await counting.closed;
  });

  test("[S2] has an answer to the frame with the largest id that there is", async () => {
    const { url } = pair({ stream: countingService().service });
    const client = await streamClient(url);
    const id = Number.MAX_SAFE_INTEGER;
    client.socket.send(JSON.stringify({ id, enqueue: [{ queue: "q", payload: 1 }] }));
    expect(await client.next()).toEqual({ id, error: "1" });
  });

  test("gets the leader's own reason when it closes", async () => {
    const { url } = pair();
    const client = await streamClient(url);
    client.socket.send("not json");
    expect((await client.closed).code).toBe(1007);
  });

  test("is told to connect again when another node leads", async () => {
    const counting = countingService();
    const { url, forward } = pair({ stream: counting.service });
    const client = await streamClient(url);
    await counting.opened;
    forward.state.url = "http://127.0.0.1:1";
    expect(await client.next()).toEqual({ closing: true });
    expect(await client.closed).toEqual({
      code: 1012,
      reason: "connect again: the leader changed",
    });
    await counting.closed;
  });

  test("is told to connect again when the leader dies", async () => {
    const leader = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
      websocket: {
        message: (socket) => {
          socket.terminate();
        },
      },
    });
    const { url } = await follow(leader.url.origin);
    const client = await streamClient(url);
    client.socket.send('{"id":1}');
    expect(await client.next()).toEqual({ closing: true });
    expect((await client.closed).code).toBe(1012);
    await leader.stop(true);
  });

  test("is refused when the leader cannot be reached at all", async () => {
    const { url } = await follow("http://127.0.0.1:1");
    const answer = await exchange(url, handshake(""), (text) => text.includes("leader"));
    expect(answer).toStartWith("HTTP/1.1 503");
    expect(answer).toContain("no stream to the leader: the leader cannot be reached");
  });

  test("passes the key on, and is marked as forwarded", async () => {
    const seen = Promise.withResolvers<Headers>();
    const leader = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request, server) {
        seen.resolve(new Headers(request.headers));
        return server.upgrade(request) ? undefined : new Response();
      },
      websocket: { message() {} },
    });
    const { url } = await follow(leader.url.origin);
    const socket = new WebSocket(`${url.replace("http", "ws")}/api/v1/stream`, {
      headers: { "X-API-Key": "k" },
    });
    const headers = await seen.promise;
    expect(headers.get("x-api-key")).toBe("k");
    expect(headers.get("x-corvo-forwarded")).toBe("1");
    socket.close();
    await leader.stop(true);
  });

  test("is refused when it was passed on already, or no leader is known", async () => {
    const { url } = pair();
    expect(await exchange(url, handshake("X-Corvo-Forwarded: 1\r\n"))).toStartWith("HTTP/1.1 503");
    const alone = await follow(undefined);
    expect(await exchange(alone.url, handshake(""))).toStartWith("HTTP/1.1 503");
  });

  test("ends when frames come faster than the leader takes them, beyond the bound", async () => {
    const leader = httpFixture();
    const forward = leadership(leader.listen());
    const follower = httpFixture({ forward, limits: { streamBufferBytesMax: 1000 } });
    started.push(follower, leader);
    const client = await streamClient(follower.listen());
    client.socket.send(`{"id":1,"x":"${"x".repeat(2000)}"}`);
    expect((await client.closed).code).toBe(1012);
  });
});

test("a worker carries on through a node that follows, when the leader changes", async () => {
  const leaders = [new StreamServer().start(), new StreamServer().start()] as const;
  const { url, forward } = await follow(leaders[0].url);
  for (const leader of leaders) leader.add("q", new RawJson("1"));
  const done: string[] = [];
  const allDone = Promise.withResolvers<void>();
  const worker = createWorker({
    stream: { server: url, WebSocket, timers, random, defer: setImmediate, backoffMs: 10 },
    queues: ["q"],
    concurrency: 2,
    leaseMs: 60_000,
    workerId: "w",
    logger: memoryLogger(),
    handler: async ({ job }) => {
      done.push(job.job_id);
      if (done.length === 1) forward.state.url = leaders[1].url;
      if (done.length === 2) allDone.resolve();
      return { kind: "done", result: undefined };
    },
  });
  await allDone.promise;
  worker.stop(1000);
  const report = await worker.finished;
  expect(report).toMatchObject({ done: 2, unknown: 0 });
  for (const leader of leaders) await leader.stop();
});

test("[S14] streams of a node that stops leading are told to connect again", async () => {
  const forward = leadership(undefined);
  forward.state.leads = true;
  const fixture = httpFixture({ forward });
  started.push(fixture);
  const client = await streamClient(fixture.listen());
  client.socket.send('{"id":1}');
  expect(await client.next()).toEqual({ id: 1 });
  forward.state.leads = false;
  expect(await client.next()).toEqual({ closing: true });
  expect((await client.closed).code).toBe(1012);
});
