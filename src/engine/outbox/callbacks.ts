/**
 * Jobs that name a URL for their result. When such a job has come to its end, one delivery with the result is made in the
 * same batch. A place for it is kept from the enqueue on, so that there is room when the time comes.
 */
import { jsonFor } from "../../base/stored-value.ts";
import type { Core } from "../core.ts";
import { isFinished, type Job } from "../job.ts";
import { engineLimits } from "../limits.ts";
import { type Rejection, reject } from "../outcome.ts";
import { addDelivery } from "./deliveries.ts";
import { callbacksId, traceOf } from "./delivery.ts";

/** Why no further jobs with callbacks may come in. */
export function refuseCallbacks({ outbox }: Core, count: number): Rejection | undefined {
  const taken = outbox.stats(callbacksId).openJobs + outbox.waitingOf(callbacksId);
  if (taken + count <= engineLimits.callbacksMax) return undefined;
  return reject(
    "OVERLOADED",
    `callback_url: ${taken} results are to be sent or will be, at most ${engineLimits.callbacksMax} (callbacksMax)`,
  );
}

/** Hears of every change of a job that has a callback, before or after it. */
export function reactForCallbacks(
  core: Core,
  before: Job | undefined,
  after: Job | undefined,
): void {
  const wasOpen = isOpen(before);
  const staysOpen = isOpen(after);
  const by = Number(staysOpen) - Number(wasOpen);
  if (by !== 0) {
    const { openJobs } = core.outbox.stats(callbacksId);
    core.outbox.noteStats(callbacksId, { openJobs: openJobs + by });
  }
  if (before === undefined || !wasOpen) return;
  if (after === undefined) tellEnd(core, before, "deleted");
  else if (isFinished(after.state) && after.options.callback !== undefined) {
    tellEnd(core, after, endOf(before, after));
  }
}

function isOpen(job: Job | undefined): boolean {
  return job?.options.callback !== undefined && !isFinished(job.state);
}

/** Only a job that waits can run out of time; one that runs dies of its failures. */
function endOf(before: Job, after: Job): string {
  const isExpired = after.state === "dead" && before.expireAtMs > 0 && before.state !== "active";
  return isExpired && before.expireAtMs <= after.finishedAtMs ? "expired" : after.state;
}

function tellEnd(core: Core, job: Job, type: string): void {
  const { callback } = job.options;
  if (callback === undefined) return;
  if (core.outbox.waitingOf(callbacksId) >= 2 * engineLimits.callbacksMax) {
    const { missed } = core.outbox.stats(callbacksId);
    core.outbox.noteStats(callbacksId, { missed: missed + 1, missedAtMs: core.nowMs });
    return;
  }
  const event = {
    ...{ number: 0, type, seq: job.seq, jobCreatedAtMs: job.createdAtMs, queue: job.queue },
    ...{ atMs: core.nowMs, data: dataOf(core, job), dataOmitted: false },
    trace: traceOf(job.options.tags),
  };
  addDelivery(core, event, { webhook: callbacksId, callback });
}

/**
 * The result goes in as the text that the worker sent; bytes are named, and the job has them. Of a dead job the error is that of
 * its last attempt, which says what went wrong, and the reason why there is no further one.
 */
function dataOf(core: Core, { state, attempt, result, reason, options }: Job): string {
  const error = (state === "dead" ? core.lastError : undefined) ?? reason;
  const members = [
    `"state":${JSON.stringify(state)}`,
    `"attempt":${attempt}`,
    ...(result === undefined ? [] : [`"result":${jsonFor(result)}`]),
    ...(error === undefined ? [] : [`"error":${JSON.stringify(error)}`]),
    ...(reason === undefined || reason === error ? [] : [`"reason":${JSON.stringify(reason)}`]),
    ...(options.tags === undefined ? [] : [`"tags":${options.tags}`]),
  ];
  return `{${members.join(",")}}`;
}
