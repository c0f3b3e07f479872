/** The streaming protocol over real sockets. Rules [S…] are in docs/spec/streaming.md. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import type { ClientFrame, StreamService } from "../../src/api/stream.ts";
import { RawJson } from "../../src/base/json.ts";
import { httpFixture } from "../support/http-app.ts";
import { exchange, streamClient } from "../support/socket.ts";

/** A service whose answers the test releases, by frame id. */
function heldService() {
  const frames: ClientFrame[] = [];
  const release = new Map<number, () => void>();
  const seen = Promise.withResolvers<void>();
  let expected = Number.POSITIVE_INFINITY;
  const service: StreamService = {
    open: () => ({
      frame: (frame) =>
        new Promise((resolve) => {
          frames.push(frame);
          release.set(frame.id, () => resolve(JSON.stringify({ id: frame.id })));
          if (frames.length === expected) seen.resolve();
        }),
      drained() {},
      stopClaiming() {},
      close() {},
    }),
  };
  return {
    service,
    frames,
    release: (id: number) => release.get(id)?.(),
    arrived: (count: number) => {
      expected = count;
      if (frames.length >= count) seen.resolve();
      return seen.promise;
    },
  };
}

test("[S3] a frame reaches the session checked, with raw values as their text", async () => {
  const held = heldService();
  await using fixture = httpFixture({ stream: held.service });
  const client = await streamClient(fixture.listen());

  client.socket.send(
    '{"id":1,"enqueue":[{"queue":"q","payload":{"n":1.0}}],"ack":[{"job_id":"a","result":[ 1]}],"x":1}',
  );
  await held.arrived(1);

  expect(held.frames[0]).toEqual({
    id: 1,
    enqueue: [{ queue: "q", payload: new RawJson('{"n":1.0}') }],
    ack: [{ job_id: "a", result: new RawJson("[ 1]") }],
    x: 1,
  } as ClientFrame);
});

test("[S4] answers come in the order the frames complete", async () => {
  const held = heldService();
  await using fixture = httpFixture({ stream: held.service });
  const client = await streamClient(fixture.listen());

  for (const id of [1, 2, 3]) client.socket.send(JSON.stringify({ id }));
  await held.arrived(3);
  for (const id of [2, 3, 1]) held.release(id);

  expect([await client.next(), await client.next(), await client.next()]).toEqual([
    { id: 2 },
    { id: 3 },
    { id: 1 },
  ]);
});

test("[S5] a frame that breaks the schema is answered with the reason, and the connection lives on", async () => {
  await using fixture = httpFixture();
  const client = await streamClient(fixture.listen());

  client.socket.send('{"id":4,"enqueue":[{"queue":"q"},{"queue":7}]}');
  client.socket.send('{"id":5}');

  expect(await client.next()).toEqual({
    id: 4,
    error:
      "enqueue[1].queue: expected a string of 1 to 255 characters matching ^[A-Za-z0-9{][A-Za-z0-9._:/@+{}-]*$, got 7",
    code: "VALIDATION_ERROR",
    details: { path: "enqueue[1].queue" },
    hint: "Correct the field that the message names.",
  });
  expect(await client.next()).toEqual({ id: 5 });
});

test("[S5] a payload over its limit is refused by name, without the rest of the frame", async () => {
  const held = heldService();
  await using fixture = httpFixture({ stream: held.service, limits: { payloadBytesMax: 50 } });
  const client = await streamClient(fixture.listen());

  client.socket.send(
    `{"id":1,"enqueue":[{"queue":"q"},{"queue":"q","payload":"${"é".repeat(30)}"}]}`,
  );

  expect(await client.next()).toMatchObject({
    id: 1,
    code: "PAYLOAD_TOO_LARGE",
    error: "enqueue[1].payload has 62 bytes; the limit payloadBytesMax (--max-payload-size) is 50",
  });
  expect(held.frames).toEqual([]);
});

test("[S6] a frame without a readable id ends the connection with a reason", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();
  const cases: [string | Uint8Array, number][] = [
    ["{nope", 1007],
    ["", 1007],
    ["[1]", 1008],
    ["null", 1008],
    ['{"id":-1}', 1008],
    ['{"id":1.5}', 1008],
    ['{"id":9007199254740993}', 1008],
    ['{"id":"1"}', 1008],
    [`{"id":1,"x":${"[".repeat(200)}${"]".repeat(200)}}`, 1007],
    [new Uint8Array([123, 125]), 1003],
  ];

  for (const [message, code] of cases) {
    const client = await streamClient(url);
    client.socket.send(message);
    const closed = await client.closed;
    expect([message, closed.code]).toEqual([message, code]);
    expect(closed.reason.length).toBeGreaterThan(10);
  }
});

test("[S6] text that is not UTF-8 and frames over the body limit end the connection", async () => {
  await using fixture = httpFixture({ limits: { bodyBytesMax: 1000 } });
  const url = fixture.listen();

  const large = await streamClient(url);
  large.socket.send(`{"id":1,"x":"${"x".repeat(1000)}"}`);
  expect((await large.closed).code).toBe(1009);

  // A masked text frame whose only byte is 0xff.
  const text = await exchange(
    url,
    Buffer.concat([Buffer.from(handshake), Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])]),
    () => false,
  );
  expect(text).toStartWith("HTTP/1.1 101");
  expect(fixture.lines).toEqual([]);
});

test("[S7] more unanswered frames than the limit are answered OVERLOADED", async () => {
  const held = heldService();
  await using fixture = httpFixture({ stream: held.service, limits: { streamFramesMax: 2 } });
  const client = await streamClient(fixture.listen());

  for (const id of [1, 2, 3]) client.socket.send(JSON.stringify({ id }));
  const refused = await client.next();
  held.release(1);
  const answered = await client.next();
  client.socket.send('{"id":4}');
  await held.arrived(3);
  held.release(4);

  expect(refused).toMatchObject({ id: 3, code: "OVERLOADED", retry_after_ms: 10 });
  expect(answered).toEqual({ id: 1 });
  expect(await client.next()).toEqual({ id: 4 });
});

test("[S8] connections over the limit get 503, and a place is free again after a close", async () => {
  const closed = Promise.withResolvers<void>();
  await using fixture = httpFixture({
    limits: { streamsMax: 1 },
    stream: {
      open: () => ({
        frame: async (frame) => JSON.stringify({ id: frame.id }),
        drained() {},
        stopClaiming() {},
        close: () => closed.resolve(),
      }),
    },
  });
  const url = fixture.listen();
  const first = await streamClient(url);

  const refused = await exchange(url, handshake, (received) => received.includes("}"));
  first.socket.close();
  await closed.promise;
  const second = await streamClient(url);
  second.socket.send('{"id":1}');

  expect(refused).toStartWith("HTTP/1.1 503");
  expect(refused).toContain("the limit streamsMax is 1");
  expect(await second.next()).toEqual({ id: 1 });
});

test("[S1] a plain GET of the streaming path says what it is", async () => {
  await using fixture = httpFixture();

  const reply = await fetch(`${fixture.listen()}/api/v1/stream`);

  expect(reply.status).toBe(400);
  expect(await reply.json()).toMatchObject({ error: "/api/v1/stream speaks WebSocket only" });
});

const textLengths = { "large texts": 60_000, "small texts": 60 };
test.each(Object.entries(textLengths))(
  "[S9] push says of %s when the client does not keep up, drained says when it has",
  async (_, length) => {
    const pushed = Promise.withResolvers<number>();
    const drained = Promise.withResolvers<void>();
    await using fixture = httpFixture({
      stream: {
        open: (push) => ({
          frame: async (frame) => {
            const text = JSON.stringify({ jobs: [], filler: "x".repeat(length) });
            let count = 1;
            while (push(text)) count++;
            pushed.resolve(count);
            return JSON.stringify({ id: frame.id });
          },
          drained: () => drained.resolve(),
          stopClaiming() {},
          close() {},
        }),
      },
    });
    const url = new URL(fixture.listen());
    const socket = connect(Number(url.port), url.hostname);
    const answered = new Promise<void>((resolve) => socket.once("data", () => resolve()));
    socket.write(handshake);
    await answered;
    socket.pause();
    socket.write(Buffer.from([0x81, 0x88, 0, 0, 0, 0, ...Buffer.from('{"id":1}')]));

    const count = await pushed.promise;
    socket.resume();
    await drained.promise;

    expect(count).toBeGreaterThan(1);
    socket.destroy();
  },
);

test("[S9] a client that does not read at all is cut off at the buffer limit", async () => {
  const closed = Promise.withResolvers<void>();
  await using fixture = httpFixture({
    limits: { streamBufferBytesMax: 1_000_000 },
    stream: {
      open: (push) => ({
        frame: async (frame) => {
          // A session that does not heed the answer of push.
          for (let i = 0; i < 400; i++) push(JSON.stringify({ filler: "x".repeat(60_000) }));
          return JSON.stringify({ id: frame.id });
        },
        drained() {},
        stopClaiming() {},
        close: () => closed.resolve(),
      }),
    },
  });
  const url = new URL(fixture.listen());
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => {});
  const answered = new Promise<void>((resolve) => socket.once("data", () => resolve()));
  socket.write(handshake);
  await answered;
  socket.pause();

  socket.write(Buffer.from([0x81, 0x88, 0, 0, 0, 0, ...Buffer.from('{"id":1}')]));

  await closed.promise;
  socket.destroy();
});

test("[A11] a session that rejects is a fault: logged, and the connection ends", async () => {
  await using fixture = httpFixture({
    stream: {
      open: () => ({
        frame: () => Promise.reject(new Error("secret detail")),
        drained() {},
        stopClaiming() {},
        close() {},
      }),
    },
  });
  const client = await streamClient(fixture.listen());

  client.socket.send('{"id":1}');
  const closed = await client.closed;

  expect(closed.code).toBe(1011);
  expect(closed.reason).not.toContain("secret");
  expect(fixture.lines).toHaveLength(1);
});

const handshake = [
  "GET /api/v1/stream HTTP/1.1",
  "Host: q",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "\r\n",
].join("\r\n");
