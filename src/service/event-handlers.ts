/** Handlers of operations on life-cycle events. */
import type { Event } from "../api/events.ts";
import type { Handlers } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { RawJson } from "../base/json.ts";
import type { LifecycleEvent } from "../engine/event-chunk.ts";
import { parseCursor } from "./event-cursor.ts";
import { type EventFeed, eventFields } from "./event-feed.ts";
import { type Node, shorten } from "./node.ts";

const defaultPage = 100;
/** Events of one job that are shown; the first ones win. */
const jobEventsMax = 1000;

export function createEventHandlers(
  node: Node,
  feed: EventFeed,
): Pick<Handlers, "clusterEvents" | "jobEvents"> {
  const { shard, shards } = node.options;
  return {
    clusterEvents: createEventPages(feed),
    async jobEvents({ params }) {
      const id = node.parseId(params.job_id);
      const found = id && (await node.events.ofJob(id, jobEventsMax));
      if (found === undefined || (found.events.length === 0 && !node.tryFindJob(params.job_id))) {
        throw new CorvoError("NOT_FOUND", `nothing is known of a job "${shorten(params.job_id)}"`);
      }
      const { events, more } = found;
      return {
        events: events.map((event) => eventView(event, shard, shards)),
        complete: !more && events[0]?.type === "enqueued",
      };
    },
  };
}

export function createEventPages(feed: EventFeed): Handlers["clusterEvents"] {
  const shards = feed.logs.length;
  return async ({ query }) => {
    const { after_seq: after, tail } = query;
    if (after !== undefined && tail !== undefined) {
      throw new CorvoError("VALIDATION_ERROR", "after_seq and tail exclude each other");
    }
    const from =
      tail === undefined
        ? parseCursor("after_seq", after ?? "0", shards).map((number) => number + 1)
        : feed.logs.map(({ next }) => Math.max(1, next - tail));
    const isLenient = tail !== undefined || (after ?? "0") === "0";
    const limit = query.limit ?? Math.max(defaultPage, tail ?? 0);
    const page = await feed.page(query, { from, isLenient, limit });
    return {
      events: page.events.map(({ shard, event }) => eventView(event, shard, shards)),
      cursor: page.cursor,
      has_more: page.hasMore,
    };
  };
}

function eventView(event: LifecycleEvent, shard: number, shards: number): Event {
  const fields = eventFields(event, shard, shards);
  return event.data === undefined ? fields : { ...fields, data: new RawJson(event.data) };
}
