/**
 * Life-cycle events over HTTP: pages, the story of one job, and the stream at `eventsPath`, which is either server-sent events
 * or a WebSocket. What types there are: docs/reference/events.md.
 */
import { type Static, Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { Json, operation, readOperation } from "./operation.ts";
import { JobId } from "./schemas.ts";

export const eventsPath = "/api/v1/events";

const Names = (what: string) =>
  Type.Optional(
    Type.String({
      description: `Only events of these ${what}, separated by commas.`,
      maxLength: limits.eventFilterLengthMax,
    }),
  );

const filters = { queues: Names("queues"), job_ids: Names("jobs"), types: Names("types") };

const Position = Type.String({ maxLength: limits.cursorLengthMax });

/** What the stream takes in its query. All filters that are given must match. */
export const EventsQuery = Type.Object({
  last_event_id: Type.Optional({
    ...Position,
    description:
      "Go on after this event. 0: with the oldest that is kept. Left out: with what comes from now on. The header Last-Event-ID means the same.",
  }),
  ...filters,
});
export type EventsQuery = Static<typeof EventsQuery>;

export const Event = Type.Object({
  seq: Type.Integer({ description: "Number of the event; in its shard, where there are several." }),
  type: Type.String(),
  job_id: Type.Optional(Type.String()),
  queue: Type.Optional(Type.String()),
  at_ns: Type.Integer({ description: "When, in nanoseconds since 1970." }),
  attempt: Type.Optional(Type.Integer()),
  /** Where there are several. */
  shard: Type.Optional(Type.Integer()),
  data: Type.Optional(Json("What belongs to this type of event.")),
});
export type Event = Static<typeof Event>;

export const eventOperations = {
  clusterEvents: operation({
    method: "GET",
    path: "/api/v1/cluster/events",
    tag: "events",
    placement: "node",
    summary: "Life-cycle events that the asked node keeps, oldest first, a page at a time",
    query: Type.Object({
      after_seq: Type.Optional({
        ...Position,
        description:
          "Events after this one: the number or, with several shards, the cursor. Default 0.",
      }),
      limit: Type.Optional(
        Type.Integer({ description: "Default 100.", minimum: 1, maximum: limits.pageRowsMax }),
      ),
      tail: Type.Optional(
        Type.Integer({
          description: "Begin so many events before the last one. Not with after_seq.",
          minimum: 0,
          maximum: limits.pageRowsMax,
        }),
      ),
      ...filters,
    }),
    result: Type.Object({
      events: Type.Array(Event),
      cursor: Type.String({ description: "Value of after_seq for the next page." }),
      has_more: Type.Boolean(),
    }),
    errors: ["EVENTS_GONE"],
    answeredBy: "any",
  }),
  jobEvents: readOperation({
    method: "GET",
    path: "/api/v1/jobs/{job_id}/events",
    tag: "events",
    placement: "job",
    summary: "What happened to one job, as far as it is kept, oldest first",
    params: Type.Object({ job_id: JobId }),
    result: Type.Object({
      events: Type.Array(Event),
      complete: Type.Boolean({
        description:
          "False when it begins later than the job, or does not go on to its last event.",
      }),
    }),
    errors: ["NOT_FOUND"],
  }),
};

/** One event as it goes out on a stream. */
export interface EventFrame {
  /** The position after it. */
  readonly id: string;
  readonly type: string;
  /** JSON on one line. */
  readonly text: string;
}

/** A reader of the stream, who asks for what is next when it has taken the last. */
export interface EventReader {
  /** The next events; none when none came within the time, or the reader was closed. */
  next(waitMs: number): Promise<readonly EventFrame[]>;
  /** Id to go on after, whether or not there was an event for this reader. */
  readonly position: string;
  close(): void;
}

export interface EventFeed {
  /** Throws a `CorvoError` when the query makes no sense. */
  open(query: EventsQuery): EventReader;
}
