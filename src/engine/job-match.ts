/**
 * Does a job that a search found still match, as far as its record tells? What a search saw is as old as the last checkpoint,
 * and an action on everything that matched must leave alone what has changed since.
 *
 * The text of payloads does not change, and the creation of a job neither; errors of attempts are not part of its record. All of
 * that stays the search's word. Times that are 0 mean "never", which is neither before nor after anything.
 */
import type { Job } from "./job.ts";
import type { JobFilter } from "./query.ts";

export function mayStillMatch(job: Job, filter: JobFilter): boolean {
  return (
    fitsRecord(job, filter) &&
    (filter.any ?? []).every((group) => group.some((one) => mayStillMatch(job, one))) &&
    !(filter.not ?? []).some((one) => mustMatch(job, one))
  );
}

/** Does its record alone say that the job matches? */
function mustMatch(job: Job, filter: JobFilter): boolean {
  return (
    Object.keys(filter).every((member) => recorded.has(member)) &&
    fitsRecord(job, filter) &&
    (filter.any ?? []).every((group) => group.some((one) => mustMatch(job, one))) &&
    !(filter.not ?? []).some((one) => mayStillMatch(job, one))
  );
}

/** Members that are answered below. */
const recorded: ReadonlySet<string> = new Set<keyof JobFilter>([
  "queue",
  "states",
  "priority",
  "attemptMin",
  "attemptMax",
  "workerId",
  "uniqueKey",
  "scheduledAfterMs",
  "scheduledBeforeMs",
  "startedAfterMs",
  "startedBeforeMs",
  "completedAfterMs",
  "completedBeforeMs",
  "expireAfterMs",
  "expireBeforeMs",
  "any",
  "not",
]);

function fitsRecord(job: Job, filter: JobFilter): boolean {
  const { queue, states, priority, attemptMin, attemptMax, workerId } = filter;
  return (
    (queue === undefined || job.queue === queue) &&
    (states === undefined || states.includes(job.state)) &&
    (priority === undefined || job.priority === priority) &&
    (attemptMin === undefined || job.attempt >= attemptMin) &&
    (attemptMax === undefined || job.attempt <= attemptMax) &&
    (workerId === undefined || job.workerId === workerId) &&
    (filter.uniqueKey === undefined || job.options.uniqueKey === filter.uniqueKey) &&
    isWithin(job.scheduledAtMs, filter.scheduledAfterMs, filter.scheduledBeforeMs) &&
    isWithin(job.startedAtMs, filter.startedAfterMs, filter.startedBeforeMs) &&
    isWithin(job.finishedAtMs, filter.completedAfterMs, filter.completedBeforeMs) &&
    isWithin(job.expireAtMs, filter.expireAfterMs, filter.expireBeforeMs)
  );
}

/** Exclusive bounds. */
function isWithin(timeMs: number, afterMs: number | undefined, beforeMs: number | undefined) {
  if (afterMs === undefined && beforeMs === undefined) return true;
  if (timeMs === 0) return false;
  return (
    (afterMs === undefined || timeMs > afterMs) && (beforeMs === undefined || timeMs < beforeMs)
  );
}
