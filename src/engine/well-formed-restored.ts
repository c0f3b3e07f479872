/**
 * The shape of jobs that come back from a backup. What they are made of was written by somebody else, so what elsewhere only the
 * program itself makes is looked at as well.
 */
import { jsonFor } from "../base/stored-value.ts";
import { changeLimits as bounds, engineLimits } from "./limits.ts";
import type { JobOptions } from "./options.ts";
import type { RestoredAttempt, RestoredJob } from "./restored-job.ts";
import { absent, checked, integer, list, members, optional, type Shape, word } from "./shape.ts";
import {
  count,
  json,
  longText,
  name,
  optionRows,
  priority,
  shortText,
  storedValue,
  time,
} from "./well-formed-job.ts";

/** Numbers of jobs have twelve hexadecimal digits in ids; the upper half is left to jobs to come. */
const restoredSeq = integer(1, 2 ** 47);

const restoredAttempt: Shape<RestoredAttempt> = members<RestoredAttempt>({
  attempt: count,
  outcome: word({
    completed: true,
    failed: true,
    timed_out: true,
    lease_lost: true,
    expired: true,
    cancelled: true,
    dependency_failed: true,
  }),
  error: optional(longText),
  errorClass: optional(shortText),
  backtrace: optional(longText),
  output: optional(longText),
  workerId: optional(shortText),
  startedAtMs: time,
  endedAtMs: time,
});

/** The engine unpacks results for those who wait for them. */
const unpackable: Shape<string> = checked(storedValue, (form) => {
  try {
    jsonFor(form);
    return undefined;
  } catch {
    return "a stored value that can be unpacked";
  }
});

const alone = "a restored job is tied to no other";

/** What a job can bring back. */
export const restoredJob: Shape<RestoredJob> = members<RestoredJob>({
  seq: optional(restoredSeq),
  createdAtMs: time,
  queue: name,
  payload: unpackable,
  state: word({
    pending: true,
    scheduled: true,
    retrying: true,
    completed: true,
    dead: true,
    cancelled: true,
    held: true,
  }),
  priority,
  options: optional(
    members<Partial<JobOptions>>({
      ...optionRows,
      batchId: absent(alone),
      dependsOn: absent(alone),
      cascadeCancel: absent(alone),
      chain: absent(alone),
    }),
  ),
  deadlineAtMs: optional(time),
  dueAtMs: optional(time),
  scheduledAtMs: optional(time),
  expireAtMs: optional(time),
  attempt: optional(count),
  lostLeases: optional(count),
  snoozes: optional(count),
  firstFailedAtMs: optional(time),
  startedAtMs: optional(time),
  finishedAtMs: optional(integer(1, bounds.timeMsMax)),
  failedAtMs: optional(time),
  workerId: optional(shortText),
  hostname: optional(shortText),
  checkpoint: optional(json),
  progress: optional(json),
  result: optional(unpackable),
  reason: optional(longText),
  attempts: optional(list(restoredAttempt, 0, engineLimits.attemptsKeptMax)),
});
