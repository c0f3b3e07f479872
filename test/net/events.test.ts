/** The stream of life-cycle events over real sockets: its exact bytes, resuming, slow readers, and how it ends. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { RawJson } from "../../src/base/json.ts";
import { readEvents } from "../../src/sdk/events.ts";
import { EventFeed } from "../../src/service/event-feed.ts";
import { httpFixture } from "../support/http-app.ts";
import { NodeRig, neverAborted, settle } from "../support/node-rig.ts";
import { random, timers } from "../support/system-ports.ts";

/** A node in memory whose events a real server gives out. */
function eventsFixture(limits: { readonly eventReadersMax?: number } = {}) {
  const rig = new NodeRig();
  const feed = new EventFeed([rig.node.events], timers);
  const fixture = httpFixture({ events: feed, limits });
  return { rig, feed, fixture, url: fixture.listen() };
}

async function untilReaders(feed: EventFeed, count: number): Promise<void> {
  while (feed.readerCount !== count) await settle();
}

/** Whole events as a foreign parser reads them, one after the other. */
async function* sse(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  if (!response.ok || response.body === null) throw new Error(await response.text());
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      if (!block.startsWith(":")) yield block;
    }
  }
}

async function take<T>(from: AsyncGenerator<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < count) {
    const { value, done } = await from.next();
    if (done === true) break;
    taken.push(value);
  }
  await from.return(undefined);
  return taken;
}

const all = (url: string) => `${url}/api/v1/events?last_event_id=0`;

test("[EV9] an event is three lines and an empty one, and its data is one line of JSON", async () => {
  const { rig, fixture, url } = eventsFixture();
  await using _ = fixture;
  const { job_id } = await rig.enqueue({ queue: "mail" });
  await rig.fetch({ queues: ["mail"], worker_id: "w 1" });
  // A line break between the parts of JSON is legal, and would end the line.
  const jobs = { [job_id]: { progress: new RawJson('{"at":\n1}') } };
  const input = { params: {}, query: {}, body: { jobs } };
  await rig.service.handlers.heartbeat(input, { signal: neverAborted });

  const [enqueued, started, progress] = await take(sse(all(url)), 3);

  const ns = `${rig.time.nowMs()}000000`;
  const who = `"job_id":"${job_id}","queue":"mail","at_ns":${ns}`;
  expect(enqueued).toBe(`id: 1\nevent: enqueued\ndata: {"seq":1,"type":"enqueued",${who}}`);
  expect(started).toBe(
    `id: 2\nevent: started\ndata: {"seq":2,"type":"started",${who},"attempt":1,"data":{"worker_id":"w 1"}}`,
  );
  expect(progress).toBe(
    `id: 3\nevent: progress\ndata: {"seq":3,"type":"progress",${who},"attempt":1,"data":{"at": 1}}`,
  );
});

test("a reader goes on after the event that it names, in the query or as a browser does, and else begins now", async () => {
  const { rig, feed, fixture, url } = eventsFixture();
  await using _ = fixture;
  for (let i = 0; i < 5; i++) await rig.enqueue({ queue: "q" });

  const events = `${url}/api/v1/events`;
  const byQuery = await take(sse(`${events}?last_event_id=3`), 2);
  const byHeader = await take(sse(`${events}?last_event_id=1`, { "last-event-id": "4" }), 1);
  await untilReaders(feed, 0);
  const live = sse(events);
  const next = live.next();
  await untilReaders(feed, 1);
  await rig.enqueue({ queue: "late" });
  const first = await next;
  await live.return(undefined);

  expect(byQuery.map((block) => block.split("\n")[0])).toEqual(["id: 4", "id: 5"]);
  expect(byHeader.map((block) => block.split("\n")[0])).toEqual(["id: 5"]);
  expect(first.value).toContain("id: 6\n");
});

test("filters let through what matches all of them", async () => {
  const { rig, fixture, url } = eventsFixture();
  await using _ = fixture;
  const one = await rig.enqueue({ queue: "a" });
  const other = await rig.enqueue({ queue: "b" });
  await rig.fetch({ queues: ["b"] });
  await rig.setPaused("a", true);

  const firstOf = async (query: string) =>
    (await take(sse(`${all(url)}&${query}`), 1))[0]?.split("\n").slice(0, 2).join(" ");

  expect(await firstOf("queues=b")).toBe("id: 2 event: enqueued");
  expect(await firstOf("queues=%20b%20,&types=started")).toBe("id: 3 event: started");
  expect(await firstOf(`job_ids=${other.job_id}&types=,`)).toBe("id: 2 event: enqueued");
  expect(await firstOf("types=queue_paused,continued")).toBe("id: 4 event: queue_paused");
  expect(await firstOf(`job_ids=${one.job_id},${other.job_id}&types=started`)).toBe(
    "id: 3 event: started",
  );
});

test("a query that makes no sense is refused, with what would", async () => {
  const { fixture, url } = eventsFixture({ eventReadersMax: 1 });
  await using _ = fixture;
  const refusal = async (query: string) => {
    const response = await fetch(`${url}/api/v1/events?${query}`);
    return [response.status, ((await response.json()) as { error: string }).error];
  };

  expect(await refusal("last_event_id=x")).toEqual([
    400,
    'last_event_id: "x" is not the id of an event here; that is a whole number',
  ]);
  expect(await refusal("types=nope")).toEqual([400, 'types: "nope" is no type of event']);
  expect(await refusal("job_ids=7")).toEqual([400, 'job_ids: "7" is no id of a job']);
  const open = await fetch(`${url}/api/v1/events`);
  expect(await refusal("")).toEqual([
    429,
    "1 readers of events are connected; the limit eventReadersMax is 1",
  ]);
  await open.body?.cancel();
});

test("over a WebSocket each event is a message, with its id", async () => {
  const { rig, feed, fixture, url } = eventsFixture();
  await using _ = fixture;
  await rig.enqueue({ queue: "q" });
  const socket = new WebSocket(`${all(url).replace("http", "ws")}&queues=q`);
  const messages: { id: string; type: string; seq: number }[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<[number, string]>();
  const { promise: both, resolve: gotBoth } = Promise.withResolvers<void>();
  socket.addEventListener("message", ({ data }) => {
    messages.push(JSON.parse(String(data)));
    if (messages.length === 2) gotBoth();
  });
  socket.addEventListener("close", ({ code, reason }) => resolve([code, reason]));
  await untilReaders(feed, 1);
  await rig.enqueue({ queue: "q" });
  await both;
  socket.send("hello");

  expect(messages).toMatchObject([
    { id: "1", seq: 1, type: "enqueued", queue: "q" },
    { id: "2", seq: 2, type: "enqueued", queue: "q" },
  ] as object[]);
  expect(await closed).toEqual([1008, "this socket only sends; the query says which events"]);
  await untilReaders(feed, 0);
});

test("[EV5] [EV6] a reader that does not read costs a bounded buffer, is told what it missed, and goes on", async () => {
  const { rig, feed, fixture, url } = eventsFixture();
  await using _ = fixture;
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.pause();
  socket.write("GET /api/v1/events?last_event_id=0 HTTP/1.1\r\nhost: a\r\n\r\n");
  await untilReaders(feed, 1);
  const jobs = Array.from({ length: 10_000 }, () => ({ queue: "q".repeat(200) }));
  let told = 0;
  // Once its socket holds no more it stands still.
  while (feed.lagMax < 20_000) {
    const input = { params: {}, query: {}, body: { jobs } };
    await rig.service.handlers.enqueueJobs(input, { signal: neverAborted });
    told += jobs.length;
    for (let i = 0; i < 50; i++) await settle();
  }

  const { promise, resolve } = Promise.withResolvers<void>();
  let text = "";
  socket.on("data", (data) => {
    text += data;
    if (text.includes(`id: ${told}\n`)) resolve();
  });
  socket.resume();
  await promise;
  socket.destroy();

  const ids = [...text.matchAll(/^id: (\d+)\r?\nevent: (\w+)$/gm)];
  let last = 0;
  let gaps = 0;
  for (const [, id, type] of ids) {
    if (type === "gap") gaps++;
    else expect(Number(id)).toBe(last + 1);
    last = Number(id);
  }
  expect(gaps).toBeGreaterThan(0);
  expect(last).toBe(told);
  await untilReaders(feed, 0);
});

test("[EV5] a client goes on at the next server after the last event it gave out", async () => {
  const { rig, feed, fixture, url } = eventsFixture();
  const second = httpFixture({ events: feed });
  await using _ = second;
  const server = `${url},${second.listen()}`;
  const losses: string[] = [];
  const events = readEvents({
    server,
    fetch: (request) => fetch(request),
    timers,
    random,
    onLoss: ({ code }) => losses.push(code),
  });
  const seen: string[] = [];
  const next = async () => {
    const { value } = await events.next();
    if (value !== undefined) seen.push(`${value.id} ${value.event.type} ${value.event.queue}`);
  };

  const first = next();
  await untilReaders(feed, 1);
  await rig.enqueue({ queue: "a" });
  await first;
  await rig.enqueue({ queue: "b" });
  await fixture.app.stop(0);
  await rig.enqueue({ queue: "c" });
  await next();
  await next();

  expect(seen).toEqual(["1 enqueued a", "2 enqueued b", "3 enqueued c"]);
  expect(losses.length).toBeGreaterThan(0);
  expect(new Set(losses)).toEqual(new Set(["UNAVAILABLE"]));
});

test("a client that heard of no event yet misses none of those that come while it is not connected", async () => {
  const { rig, feed, fixture, url } = eventsFixture();
  const second = httpFixture({ events: feed });
  await using _ = second;
  await rig.enqueue({ queue: "before" });
  const { promise: opened, resolve: answered } = Promise.withResolvers<void>();
  const events = readEvents({
    server: `${url},${second.listen()}`,
    fetch: async (request) => {
      const response = await fetch(request);
      answered();
      return response;
    },
    timers,
    random,
    queues: ["wanted"],
    // The head of the first answer has come when the connection is lost for the first time.
    onLoss: () => {
      rig.enqueue({ queue: "wanted" }).catch(() => {});
    },
  });
  const next = events.next();
  await untilReaders(feed, 1);
  await opened;
  await fixture.app.stop(0);

  const { value } = await next;
  expect(value).toMatchObject({ id: "2", event: { type: "enqueued", queue: "wanted" } });
});

test("what a server refuses ends the iteration of a client", async () => {
  const { fixture, url } = eventsFixture();
  await using _ = fixture;
  const events = readEvents({
    server: url,
    fetch: (request) => fetch(request),
    timers,
    random,
    types: ["nope"],
  });
  const failure = await events.next().catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "VALIDATION_ERROR" });
});

test("no reader is left of those who ask for the head only, go away at once, or shake hands badly", async () => {
  const { feed, fixture, url } = eventsFixture();
  await using _ = fixture;
  const events = `${url}/api/v1/events`;
  const head = await fetch(events, { method: "HEAD" });
  expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  expect(feed.readerCount).toBe(0);
  const bad = await fetch(events, { headers: { upgrade: "websocket", connection: "upgrade" } });
  expect(bad.status).toBe(400);

  for (let i = 0; i < 20; i++) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    socket.on("close", () => resolve());
    socket.write("GET /api/v1/events HTTP/1.1\r\nhost: a\r\n\r\n", () => socket.destroy());
    await gone;
  }
  await untilReaders(feed, 0);
});
