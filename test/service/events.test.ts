/** Life-cycle events for readers: shards in one line, positions that hold, and what is said of events that are not there. */
import { expect, test } from "bun:test";
import { EventChunk, type LifecycleEvent } from "../../src/engine/event-chunk.ts";
import { EventTail } from "../../src/engine/event-tail.ts";
import type { EventType } from "../../src/engine/event-types.ts";
import { eventTable } from "../../src/engine/event-types.ts";
import type { StoredEvents, StoredEventsRequest } from "../../src/engine/query.ts";
import { EventFeed } from "../../src/service/event-feed.ts";
import { EventLog } from "../../src/service/event-log.ts";
import { ManualTime, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const hourMs = 3_600_000;

/** Events of one shard, all in memory unless `first` says that the older ones are gone. */
class ShardOfEvents {
  readonly tail: EventTail;
  readonly log: EventLog;
  isCurrent = true;
  isLeading = true;

  constructor(shard: number, first = 1) {
    this.tail = new EventTail(first, true);
    const nothing = async ({ from }: StoredEventsRequest): Promise<StoredEvents> => ({
      first: undefined,
      events: [],
      next: from,
    });
    this.log = new EventLog(shard, this.tail, {
      stored: { events: nothing },
      isCurrent: () => this.isCurrent,
      isLeading: () => this.isLeading,
    });
  }

  tell(type: EventType, seq: number, atMs: number): void {
    const subject = { seq, createdAtMs: hourMs, queue: "q", attempt: 0 };
    this.tail.add(eventTable[type].code, subject, atMs, undefined);
    this.log.noteAdded();
  }
}

function feedOf(...shards: ShardOfEvents[]) {
  const time = new ManualTime();
  const feed = new EventFeed(
    shards.map(({ log }) => log),
    time,
  );
  return { feed, time };
}

const shown = (events: readonly { shard: number; event: LifecycleEvent }[]) =>
  events.map(({ shard, event }) => `${event.type} ${shard}:${event.seq}`);

test("[EV5] events of shards come by their times, and each position goes on exactly behind its event", async () => {
  const [one, other] = [new ShardOfEvents(0), new ShardOfEvents(1)];
  const { feed } = feedOf(one, other);
  one.tell("enqueued", 1, 10);
  other.tell("enqueued", 1, 20);
  one.tell("started", 1, 30);
  one.tell("completed", 1, 30);
  other.tell("cancelled", 1, 31);

  const frames = await feed.open({ last_event_id: "0" }).next(hourMs);
  expect(frames.map(({ id, type }) => `${id} ${type}`)).toEqual([
    "1.0 enqueued",
    "1.1 enqueued",
    "2.1 started",
    "3.1 completed",
    "3.2 cancelled",
  ]);
  for (const [i, { id }] of frames.entries()) {
    if (i + 1 === frames.length) continue;
    const rest = await feed.open({ last_event_id: id }).next(hourMs);
    expect(rest).toEqual(frames.slice(i + 1));
  }
  const start = { from: [1, 1], isLenient: false, limit: 2 };
  const page = await feed.page({}, start);
  expect([shown(page.events), page.cursor, page.hasMore]).toEqual([
    ["enqueued 0:1", "enqueued 1:1"],
    "1.1",
    true,
  ]);
  const last = await feed.page({ types: "cancelled" }, { ...start, from: [2, 2] });
  expect([shown(last.events), last.cursor, last.hasMore]).toEqual([
    ["cancelled 1:1"],
    "3.2",
    false,
  ]);
});

test("a reader that has everything is woken by the next event of any shard, and hears of nothing after a while", async () => {
  const [one, other] = [new ShardOfEvents(0), new ShardOfEvents(1)];
  const { feed, time } = feedOf(one, other);
  const reader = feed.open({ types: "completed" });

  const next = reader.next(1000);
  await settle();
  other.tell("enqueued", 1, 5);
  await settle();
  other.tell("completed", 1, 5);
  expect((await next).map(({ id }) => id)).toEqual(["0.2"]);

  const quiet = reader.next(1000);
  one.tell("enqueued", 1, 6);
  await settle();
  await time.pass(1000);
  expect(await quiet).toEqual([]);
  // It has looked at the event that it does not want.
  expect(reader.position).toBe("1.2");
  expect(feed.lagMax).toBe(0);

  const closed = reader.next(1000);
  reader.close();
  expect(await closed).toEqual([]);
  expect(feed.readerCount).toBe(0);
});

test("[EV5] what is gone is told as a gap on the stream and refused on a page, except from the beginning", async () => {
  const shard = new ShardOfEvents(0, 101);
  const { feed } = feedOf(shard);
  shard.tell("enqueued", 7, 5);

  const [gap, event] = await feed.open({ last_event_id: "40" }).next(hourMs);
  expect(gap).toEqual({
    id: "100",
    type: "gap",
    text: '{"seq":100,"type":"gap","data":{"after":40,"first":101,"missed":60}}',
  });
  expect(event).toBeUndefined();
  const reader = feed.open({ last_event_id: "0" });
  expect((await reader.next(hourMs)).map(({ id }) => id)).toEqual(["101"]);
  const start = { from: [41], limit: 10 };
  expect(await feed.page({}, { ...start, isLenient: true })).toMatchObject({ cursor: "101" });
  const refused = feed.page({}, { ...start, isLenient: false });
  expect(await refused.catch((error: unknown) => error)).toMatchObject({
    code: "EVENTS_GONE",
    message: "event 41 is not kept any more; the oldest is 101",
    details: { first: 101 },
  });
});

test("[EV5] a reader ahead of all there is waits for a node that lags, and is set back when there is no such event", async () => {
  const shard = new ShardOfEvents(0);
  const { feed, time } = feedOf(shard);
  shard.tell("enqueued", 1, 5);
  shard.isCurrent = false;
  shard.isLeading = false;
  const reader = feed.open({ last_event_id: "3" });

  const waiting = reader.next(1000);
  await time.pass(1000);
  expect(await waiting).toEqual([]);
  const behind = { from: [4], isLenient: false, limit: 10 };
  expect(await feed.page({}, behind)).toEqual({ events: [], cursor: "3", hasMore: false });
  for (const type of ["started", "completed", "deleted"] as const) shard.tell(type, 1, 6);
  expect((await reader.next(1000)).map(({ id, type }) => `${id} ${type}`)).toEqual(["4 deleted"]);

  shard.isCurrent = true;
  shard.isLeading = true;
  const lost = feed.open({ last_event_id: "9" });
  const reset = lost.next(1000);
  await time.pass(1000);
  expect(await reset).toEqual([
    {
      id: "4",
      type: "gap",
      text: '{"seq":4,"type":"gap","data":{"after":9,"first":5,"reset":true}}',
    },
  ]);
  const refused = feed.page({}, { ...behind, from: [10] });
  expect(await refused.catch((error: unknown) => error)).toMatchObject({ code: "EVENTS_GONE" });
});

test("a reader finds its way through many events that it does not want", async () => {
  const shard = new ShardOfEvents(0);
  const { feed } = feedOf(shard);
  for (let i = 1; i <= 70_000; i++) shard.tell("enqueued", i, i);
  shard.tell("dead", 5, 70_001);

  const frames = await feed.open({ last_event_id: "0", types: "dead" }).next(hourMs);
  expect(frames.map(({ id }) => id)).toEqual(["70001"]);
  const page = await feed.page({ types: "dead" }, { from: [1], isLenient: false, limit: 1 });
  expect(page).toMatchObject({ cursor: "70001", hasMore: false });
});

test("the story of a job is told after it was deleted, and of no job that there never was", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q" });
  const other = await rig.enqueue({ queue: "q" });
  await rig.act("cancelJob", job_id);
  await rig.act("deleteJob", job_id);
  const eventsOf = (id: string) =>
    rig.service.handlers.jobEvents(
      { params: { job_id: id }, query: {}, body: {} },
      { signal: neverAborted },
    );

  expect(await eventsOf(job_id)).toMatchObject({
    complete: true,
    events: [{ type: "enqueued" }, { type: "cancelled" }, { type: "deleted" }],
  });
  const guessed = `${job_id.slice(0, -1)}2`;
  expect(guessed).toBe(other.job_id);
  const never = `${job_id.slice(0, -1)}9`;
  expect(await eventsOf(never).catch((error: unknown) => error)).toMatchObject({
    code: "NOT_FOUND",
  });
});

test("a chunk whose types are of a later program is read past them", () => {
  const chunk = EventChunk.empty(1);
  const subject = { seq: 1, createdAtMs: 1, queue: "q", attempt: 0 };
  chunk.add(250, subject, 1);
  expect(chunk.event(1)).toBeUndefined();
  expect(chunk.matches(1, { types: new Set(["enqueued"]) })).toBe(false);
});

test("[EV6] many readers are woken together, and rest between full rounds, for the longer the more there are", async () => {
  const shard = new ShardOfEvents(0);
  const { feed, time } = feedOf(shard);
  const readers = Array.from({ length: 50 }, () => feed.open({}));
  let told = 0;
  for (const reader of readers) {
    reader.next(hourMs).then(
      () => told++,
      () => {},
    );
  }
  await settle();
  for (let i = 1; i <= 600; i++) shard.tell("enqueued", i, i);
  await settle();
  expect(told).toBe(0);
  await time.pass(5);
  expect(told).toBe(50);

  const behind = feed.open({ last_event_id: "0" });
  expect(await behind.next(hourMs)).toHaveLength(512);
  const rest = behind.next(hourMs);
  let isThere = false;
  rest.then(
    () => {
      isThere = true;
    },
    () => {},
  );
  await time.pass(101);
  expect(isThere).toBe(false);
  await time.pass(1);
  expect(await rest).toHaveLength(88);
});
