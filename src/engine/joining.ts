/**
 * Jobs that are to be counted in a batch of another shard. Such a job asks for it when it is added, and waits (`blocked`) until that
 * shard says that it is: so none runs in a batch that has ended already. Until then no change of it is told, since none counts; what it
 * has become meanwhile is told at once when the answer comes.
 *
 * Steps of a chain after the first ask nobody: the batch waits for the chain, so they are always in time.
 */
import { must } from "../base/assert.ts";
import type { Core } from "./core.ts";
import { isFinished, type Job } from "./job.ts";
import { recordAttempt } from "./lease.ts";
import type { Joined } from "./mail.ts";
import type { JobOptions } from "./options.ts";
import { elsewhere } from "./place.ts";

/** Asks for a new job, when it has to. The batch that it waits for, or undefined. */
export function askToJoin(core: Core, seq: number, options: JobOptions): string | undefined {
  const { batchId, chainId, chainStep = 0 } = options;
  const shard = elsewhere(core.place, batchId);
  if (shard === undefined || batchId === undefined) return undefined;
  if (chainStep !== 0 || elsewhere(core.place, chainId) !== undefined) return undefined;
  core.joining.put(String(seq), batchId);
  core.post.join(shard, batchId, seq);
  return batchId;
}

/** The batch in which the job waits to be counted. */
export function joiningOf(core: Core, seq: number): string | undefined {
  return core.joining.size === 0 ? undefined : core.joining.get(String(seq));
}

/** The batch counts these jobs, or does not. */
export function takeJoined(core: Core, { batch, jobs, refusal }: Joined): void {
  for (const seq of jobs) {
    // What nobody asked for is no answer.
    if (joiningOf(core, seq) !== batch) continue;
    const job = core.state.getJob(seq);
    if (refusal === undefined) enter(core, seq, job, batch);
    else stayOut(core, seq, job, `batch_id: ${refusal}`);
  }
}

function enter(core: Core, seq: number, job: Job | undefined, batch: string): void {
  core.joining.delete(String(seq));
  if (job === undefined || isFinished(job.state)) {
    const to = job === undefined ? "cancelled" : (job.state as "completed" | "dead" | "cancelled");
    const shard = must(elsewhere(core.place, batch), "only jobs of other shards ask");
    core.post.count(shard, batch, { from: "pending", to });
    return;
  }
  // What another shard answers must never end this one, whatever became of the job.
  if (core.dependencies.blockedOf(seq)?.open.includes(batch) !== true) return;
  const isReady = core.dependencies.settle(seq, batch);
  if (isReady && job.state === "pending") core.rehome(job, {});
}

/** It is none of the batch, and does not run, unless it does already: who added it wanted it counted. */
function stayOut(core: Core, seq: number, job: Job | undefined, reason: string): void {
  let left = job;
  if (job !== undefined && !isFinished(job.state) && job.state !== "active") {
    const history = recordAttempt(core, job, {
      outcome: "dependency_failed",
      error: reason,
      backtrace: undefined,
      output: undefined,
    });
    const ended = { history, token: 0, dueAtMs: 0, reason };
    const times = { finishedAtMs: core.nowMs, failedAtMs: core.nowMs };
    left = core.move(job, "abandon", { ...ended, ...times });
  }
  core.joining.delete(String(seq));
  if (left === undefined) return;
  core.state.putJob({ ...left, options: { ...left.options, batchId: undefined } });
}
