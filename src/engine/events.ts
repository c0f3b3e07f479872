/**
 * Says what happened, as life-cycle events (`event-types.ts`): one place for each way in which a job changes, called by `Core`
 * before the consequences of the change, so that causes come first.
 *
 * Every event goes through `offer`. It belongs to the count that replicas share, so nothing is said before every node
 * counts alike (`eventsLevel`). Enqueue, claim and ack, the path of every job, make no object and no text here.
 */
import { formatTime } from "../base/time.ts";
import type { Core } from "./core.ts";
import type { EventSubject } from "./event-chunk.ts";
import { type EventType, eventTable } from "./event-types.ts";
import { eventsLevel } from "./feature-levels.ts";
import type { Job, JobState, Transition } from "./job.ts";
import { listen } from "./outbox/listen.ts";

/** Longer errors and reasons are cut in events; the job has them whole. */
const textMax = 1000;
/** Longer progress is left out of its event; the job has it. */
const progressMax = 4096;

/** Gives an event its number. What listens to events hears of each here. `text` is its data, for `started` the worker's name. */
function offer(core: Core, type: EventType, subject: EventSubject, text: string | undefined): void {
  const { meta, events } = core.state;
  if (meta.featureLevel < eventsLevel) return;
  events.add(eventTable[type].code, subject, core.nowMs, text);
  if (!core.outbox.isIdle) tellWebhooks(core, type, subject, text);
  meta.nextEvent++;
}

function tellWebhooks(
  core: Core,
  type: EventType,
  subject: EventSubject,
  text: string | undefined,
): void {
  // Of these only the worker's name is kept.
  const isBare = type === "started" && text !== undefined;
  const data = isBare ? JSON.stringify({ worker_id: text }) : text;
  const tags = "options" in subject ? (subject as Job).options.tags : undefined;
  listen(core, { type, subject, data, tags });
}

type Members = Readonly<Record<string, string | number | boolean | undefined>>;

function say(core: Core, type: EventType, job: EventSubject, data: Members): void {
  if (core.state.meta.featureLevel < eventsLevel) return;
  const text = JSON.stringify(data);
  offer(core, type, job, text === "{}" ? undefined : text);
}

export function sayEnqueued(core: Core, job: Job): void {
  const { state } = job;
  if (state === "pending" && job.order > 0) {
    offer(core, "enqueued", job, undefined);
    return;
  }
  say(core, "enqueued", job, {
    state: state === "pending" ? undefined : state,
    scheduled_at: timeOf(job),
    reason: state === "held" ? clip(job.reason) : undefined,
    blocked: core.dependencies.isBlocked(job.seq) || undefined,
  });
}

/** A job went through a transition. */
export function sayMoved(core: Core, transition: Transition, before: Job, after: Job): void {
  switch (transition) {
    case "claim":
      offer(core, "started", after, after.workerId);
      break;
    case "ack":
      offer(core, "completed", after, undefined);
      break;
    case "retryLater":
    case "putBack":
      sayFailed(core, before, after);
      break;
    case "die":
      sayFailed(core, before, after);
      sayDead(core, after);
      break;
    case "releaseLater":
    case "release":
      say(core, "released", before, { state: after.state, next_attempt_at: timeOf(after) });
      break;
    case "snooze":
      say(core, "snoozed", before, { next_attempt_at: timeOf(after) });
      break;
    case "loseLease":
      sayLeaseExpired(core, before, after);
      break;
    case "dieSilent":
      sayLeaseExpired(core, before, after);
      sayDead(core, after);
      break;
    case "quarantine":
      sayLeaseExpired(core, before, after);
      say(core, "held", after, { reason: clip(after.reason) });
      break;
    case "becomeDue":
    case "takeTurn":
      sayReady(core, before.state, after);
      break;
    case "takeTurnLater":
      say(core, "scheduled", after, { scheduled_at: timeOf(after) });
      break;
    case "expire":
    case "abandon":
    case "reject":
      say(core, endings[transition], after, { reason: clip(after.reason) });
      sayDead(core, after);
      break;
    case "cancel":
      say(core, "cancelled", after, { from: before.state, reason: clip(after.reason) });
      break;
    case "runAgain":
    case "requeue":
      say(core, "retried", after, { from: before.state });
      break;
    case "hold":
      say(core, "held", after, { reason: clip(after.reason) });
      break;
    case "approve":
      offer(core, "approved", after, undefined);
      break;
    case "replace":
    case "replaceLater":
      sayReplaced(core, after);
      break;
  }
}

const endings = {
  expire: "expired",
  abandon: "dependency_failed",
  reject: "rejected",
} as const satisfies Partial<Record<Transition, EventType>>;

function sayFailed(core: Core, before: Job, after: Job): void {
  say(core, "failed", before, {
    state: after.state,
    error: clip(core.lastError),
    error_class: core.lastErrorClass,
    next_attempt_at: timeOf(after),
  });
}

function sayLeaseExpired(core: Core, before: Job, after: Job): void {
  say(core, "lease_expired", before, {
    state: after.state,
    error: clip(core.lastError),
    worker_id: before.workerId,
  });
}

function sayDead(core: Core, job: Job): void {
  const error = core.lastError === job.reason ? undefined : core.lastError;
  say(core, "dead", job, { reason: clip(job.reason), error: clip(error) });
}

/** `from` is why it was not ready before. */
export function sayReady(core: Core, from: JobState | "blocked", job: Job): void {
  say(core, "ready", job, { from, blocked: core.dependencies.isBlocked(job.seq) || undefined });
}

/** A waiting job became that of a later call. */
export function sayReplaced(core: Core, job: Job): void {
  say(core, "replaced", job, { state: job.state, scheduled_at: timeOf(job) });
}

/** A waiting job stands somewhere else, or at last in its line. */
export function sayRehomed(
  core: Core,
  patch: { queue?: string; priority?: number },
  before: Job,
  after: Job,
): void {
  if (patch.queue !== undefined) say(core, "moved", after, { from: before.queue });
  else if (patch.priority === undefined) sayReady(core, "blocked", after);
  else say(core, "priority_changed", after, { from: before.priority, to: after.priority });
}

export function sayDeleted(core: Core, job: Job): void {
  say(core, "deleted", job, { from: job.state });
}

export function sayProgress(core: Core, job: Job, progress: string): void {
  const { length } = progress;
  if (length <= progressMax) offer(core, "progress", job, progress);
  else say(core, "progress", job, { truncated: true, length });
}

export function sayOfQueue(core: Core, type: EventType, queue: string, data: Members = {}): void {
  say(core, type, { seq: 0, createdAtMs: 0, queue, attempt: 0 }, data);
}

function clip(text: string | undefined): string | undefined {
  return text !== undefined && text.length > textMax ? `${text.slice(0, textMax)}…` : text;
}

/** When a job that waits for a time becomes ready. */
function timeOf({ dueAtMs }: Job): string | undefined {
  return dueAtMs === 0 ? undefined : formatTime(dueAtMs);
}
