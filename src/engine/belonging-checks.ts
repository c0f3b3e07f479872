/** What must hold of batches, and of the jobs that are tied to a batch or a parent. Part of `findViolations`. */
import { parseGroupId } from "../base/ids.ts";
import type { JobBatch } from "./batches.ts";
import { ownersOf } from "./belonging.ts";
import { isFinished, type Job } from "./job.ts";
import type { Place } from "./place.ts";
import { type Check, numberedOf } from "./record-checks.ts";
import type { AnyRecord } from "./records.ts";

export function checkBelonging(
  check: Check,
  jobs: readonly Job[],
  records: readonly AnyRecord[],
  place: Place,
): void {
  const isReuniting = records.some(({ kind }) => kind === "reunion");
  const ties = new Map(numberedOf(records, "tie"));
  const news = numberedOf(records, "aftermath").map(([, work]) => work);
  const live = jobs.filter(({ state }) => !isFinished(state));
  for (const job of live) {
    const owners = ownersOf(place, job.options).join();
    const tied = ties.get(job.seq)?.join() ?? "";
    check(owners === tied, `job ${job.seq} belongs to [${owners}] and is tied to [${tied}]`);
    ties.delete(job.seq);
  }
  for (const seq of ties.keys()) check(false, `job ${seq} is tied and not alive`);
  const membersOf = Map.groupBy(
    jobs.filter(({ options }) => options.batchId !== undefined),
    ({ options }) => parseGroupId("batch", options.batchId ?? "")?.seq,
  );
  for (const [seq, batch] of numberedOf(records, "batch")) {
    // What is in other shards is not here to be counted.
    if (place.shards === 1) checkCounts(check, seq, batch, membersOf.get(seq) ?? []);
    const { state, pending, finishedAtMs, sealAtMs } = batch;
    check(
      (state === "open") === sealAtMs > 0,
      `batch ${seq} is ${state} and to be sealed at ${sealAtMs}`,
    );
    const isRunning = state === "open" || state === "running" || state === "cancelling";
    check(isRunning === (finishedAtMs === 0), `batch ${seq} is ${state}, ended at ${finishedAtMs}`);
    const isTold = news.some((work) => work.kind === "batchEnded" && work.batch === seq);
    check(
      isReuniting || state === "open" || finishedAtMs > 0 || pending > 0 || isTold,
      `batch ${seq} is ${state} without unfinished jobs, and nobody will look at it`,
    );
  }
}

/** Those that are there must be counted; ended ones may have been removed since. */
function checkCounts(check: Check, seq: number, batch: JobBatch, jobs: readonly Job[]): void {
  const members = jobs.filter(({ createdAtMs }) => createdAtMs >= batch.createdAtMs);
  const { total, pending, completed, dead, cancelled } = batch;
  const unfinished = members.filter(({ state }) => !isFinished(state)).length;
  check(pending === unfinished, `batch ${seq} counts ${pending} pending, has ${unfinished}`);
  check(
    total === pending + completed + dead + cancelled,
    `batch ${seq}: ${total} jobs are not ${pending} + ${completed} + ${dead} + ${cancelled}`,
  );
  for (const state of ["completed", "dead", "cancelled"] as const) {
    const found = members.filter((job) => job.state === state).length;
    check(batch[state] >= found, `batch ${seq} counts ${batch[state]} ${state}, has ${found}`);
  }
}
