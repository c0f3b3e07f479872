/**
 * What can happen to a job or a queue, as others hear of it: the one table of life-cycle events. The reference page is
 * made from it. Names that clients of 0.3 know are kept.
 *
 * Every change of a job's state has its event. A job that ends has exactly one of `completed`, `dead` and `cancelled` at its end;
 * where the cause has an event of its own, that one comes right before. Removal by retention is not an event.
 */

interface EventRow {
  /** On disk; never used again for another type. */
  readonly code: number;
  readonly of: "job" | "queue";
  /** The state that the job is in after it: one, or that which the data name, or the one before. */
  readonly state: string;
  readonly when: string;
  /** Members of `data`; empty when there is none. */
  readonly data: string;
}

export const eventTable = {
  enqueued: {
    code: 1,
    of: "job",
    state: "pending, or as `data.state` says",
    when: "A job was added, by a call, a schedule, a chain, a batch or as a copy of a dead job.",
    data: "`state` unless it is pending; `scheduled_at`; `reason` when it is held; `blocked` while it waits for other jobs",
  },
  started: {
    code: 2,
    of: "job",
    state: "active",
    when: "A worker got the job under a lease.",
    data: "`worker_id` when the worker has a name",
  },
  completed: {
    code: 3,
    of: "job",
    state: "completed",
    when: "The attempt succeeded.",
    data: "",
  },
  failed: {
    code: 4,
    of: "job",
    state: "as `data.state` says",
    when: "An attempt failed: its worker said so, or its time was over. `dead` follows when no further attempt may begin.",
    data: "`state`, `error`, `error_class`, `next_attempt_at`",
  },
  lease_expired: {
    code: 5,
    of: "job",
    state: "as `data.state` says",
    when: "The worker was silent until its lease ended. `dead` or `held` follows when the job is not run again.",
    data: "`state`, `error`, `worker_id`",
  },
  released: {
    code: 6,
    of: "job",
    state: "as `data.state` says",
    when: "The worker gave the job back; the attempt is not spent.",
    data: "`state`, `next_attempt_at`",
  },
  snoozed: {
    code: 7,
    of: "job",
    state: "retrying",
    when: "The worker put the job off; the attempt is not spent.",
    data: "`next_attempt_at`",
  },
  progress: {
    code: 8,
    of: "job",
    state: "active",
    when: "The worker reported progress.",
    data: "the progress itself; when that is too long, `truncated` and its `length`",
  },
  ready: {
    code: 9,
    of: "job",
    state: "pending",
    when: "A job that waited may be run: its time has come, or what it waited for is over.",
    data: "`from`: scheduled, retrying, held or blocked; `blocked` when its time has come and it waits for other jobs still",
  },
  scheduled: {
    code: 10,
    of: "job",
    state: "scheduled",
    when: "A job that waited for its unique key has it, and now waits for its time.",
    data: "`scheduled_at`",
  },
  held: {
    code: 11,
    of: "job",
    state: "held",
    when: "The job was held, by an operator or since it lost too many leases.",
    data: "`reason`",
  },
  approved: {
    code: 12,
    of: "job",
    state: "pending",
    when: "A held job was approved.",
    data: "",
  },
  rejected: {
    code: 13,
    of: "job",
    state: "dead",
    when: "A held job was rejected; `dead` follows.",
    data: "`reason`",
  },
  expired: {
    code: 14,
    of: "job",
    state: "dead",
    when: "Its time to live or its deadline was over while it waited; `dead` follows.",
    data: "`reason`",
  },
  dependency_failed: {
    code: 15,
    of: "job",
    state: "dead",
    when: "A job that it depends on ended without success; `dead` follows.",
    data: "`reason`",
  },
  dead: {
    code: 16,
    of: "job",
    state: "dead",
    when: "The job has ended without success and is not run again by itself.",
    data: "`reason`, `error`",
  },
  cancelled: {
    code: 17,
    of: "job",
    state: "cancelled",
    when: "The job was cancelled, by a call or with its parent or batch.",
    data: "`from`, `reason`",
  },
  retried: {
    code: 18,
    of: "job",
    state: "pending",
    when: "The job is to run again, by a call.",
    data: "`from`: the state before",
  },
  replaced: {
    code: 19,
    of: "job",
    state: "as `data.state` says",
    when: "A waiting job became that of a later enqueue with the same unique key.",
    data: "`state`, `scheduled_at`",
  },
  moved: {
    code: 20,
    of: "job",
    state: "as before",
    when: "A job was moved to another queue; `queue` is the new one.",
    data: "`from`: the queue before",
  },
  priority_changed: {
    code: 21,
    of: "job",
    state: "as before",
    when: "A waiting job got another priority.",
    data: "`from`, `to`",
  },
  deleted: {
    code: 22,
    of: "job",
    state: "gone",
    when: "A job was deleted by a call. What retention removes has no event.",
    data: "`from`: the state before",
  },
  queue_paused: { code: 40, of: "queue", state: "", when: "A queue was paused.", data: "" },
  queue_resumed: { code: 41, of: "queue", state: "", when: "A queue goes on.", data: "" },
  queue_draining: {
    code: 42,
    of: "queue",
    state: "",
    when: "A queue takes no new jobs any more.",
    data: "",
  },
  queue_undrained: {
    code: 43,
    of: "queue",
    state: "",
    when: "A queue takes new jobs again.",
    data: "",
  },
  queue_cleared: {
    code: 44,
    of: "queue",
    state: "",
    when: "Ready jobs of a queue were deleted; each has its event too.",
    data: "`deleted`: how many in this step",
  },
  queue_deleted: { code: 45, of: "queue", state: "", when: "A queue was deleted.", data: "" },
} as const satisfies Readonly<Record<string, EventRow>>;

export type EventType = keyof typeof eventTable;

export const eventTypes = Object.keys(eventTable) as EventType[];

const typesByCode = new Map<number, EventType>(
  eventTypes.map((type) => [eventTable[type].code, type]),
);

/** Undefined for a type that only a later program knows. */
export function typeOfCode(code: number): EventType | undefined {
  return typesByCode.get(code);
}
