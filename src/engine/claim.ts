/**
 * Hands ready jobs to a worker under a lease. The order is exact: each queue gives the first of its jobs that no limit
 * stops (`ready-lines.ts`) and whose requirements the worker meets, and of those of all the queues asked for the best
 * priority goes first, then the earliest place.
 */
import { must } from "../base/assert.ts";
import { expireJob } from "./advance-time.ts";
import type { ClaimJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { boundedClaimsLevel } from "./feature-levels.ts";
import { draftOf, type Job } from "./job.ts";
import { leaseEndMs } from "./lease.ts";
import { engineLimits } from "./limits.ts";
import type { Outcome } from "./outcome.ts";
import type { Head } from "./ready-line.ts";

export function claimJobs(core: Core, change: ClaimJobs): Outcome {
  const jobs: Job[] = [];
  const open = [...new Set(change.queues)].filter(
    (name) => core.state.getQueue(name)?.paused === false,
  );
  let heads = candidatesOf(core, open, change.labels);
  let expired = 0;
  while (jobs.length < change.count) {
    const best = heads.length === 1 ? heads[0] : earliest(heads);
    if (best?.head === undefined) break;
    const job = must(core.state.getJob(best.head.seq), "a job in the line exists");
    if (job.expireAtMs > 0 && job.expireAtMs <= core.nowMs) {
      if (expired >= mostExpired(core)) break;
      expired++;
      expireJob(core, job);
      // What follows from its end may be a job in any of the queues.
      heads = candidatesOf(core, open, change.labels);
      continue;
    }
    const { line } = best.head;
    core.lines.serve(best.stand, best.head);
    jobs.push(lease(core, job, change));
    best.head = core.lines.head(best.stand);
    if (heads.length > 1) lookAgain(core, heads, best, line?.lane?.resources !== undefined);
  }
  return { kind: "claimed", jobs };
}

/** After a pause of the whole server all jobs of a queue may be over: who asks for one does not wait for all of them. */
function mostExpired({ state }: Core): number {
  const isBounded = state.meta.featureLevel >= boundedClaimsLevel;
  return isBounded ? engineLimits.expiredPerClaimMax : Number.POSITIVE_INFINITY;
}

interface Candidate {
  readonly queue: string;
  readonly stand: string;
  head: Head | undefined;
}

function candidatesOf(
  { lines }: Core,
  queues: readonly string[],
  labels: readonly string[] | undefined,
): Candidate[] {
  if (lines.stands.isIdle) {
    return queues.map((queue) => ({ queue, stand: queue, head: lines.head(queue) }));
  }
  return queues.flatMap((queue) =>
    lines.stands.openTo(queue, labels).map((stand) => ({ queue, stand, head: lines.head(stand) })),
  );
}

/**
 * What was claimed may have taken what the next job of another queue needs, or of another stand of its own queue. Then the
 * turn there goes to another of its groups, whose first job may well be an earlier one, so no head that this may concern is kept.
 */
function lookAgain(
  core: Core,
  heads: readonly Candidate[],
  served: Candidate,
  tookResources: boolean,
): void {
  for (const one of heads) {
    if (one === served) continue;
    const mayNeedTheSame = tookResources && one.head?.line !== undefined;
    if (mayNeedTheSame || one.queue === served.queue) one.head = core.lines.head(one.stand);
  }
}

function earliest(heads: readonly Candidate[]): Candidate | undefined {
  let best: Candidate | undefined;
  for (const candidate of heads) {
    if (candidate.head === undefined) continue;
    if (best?.head === undefined || isBefore(candidate.head, best.head)) best = candidate;
  }
  return best;
}

function isBefore(
  one: { priority: number; order: number },
  other: { priority: number; order: number },
): boolean {
  return (
    one.priority < other.priority || (one.priority === other.priority && one.order < other.order)
  );
}

function lease(core: Core, job: Job, change: ClaimJobs): Job {
  const { leaseMs } = change;
  const draft = draftOf(job);
  draft.attempt = job.attempt + 1;
  draft.token = core.state.meta.nextToken++;
  draft.leaseMs = leaseMs;
  draft.leaseExpiresAtMs = leaseEndMs(core, job.options, { leaseMs, startedAtMs: core.nowMs });
  draft.workerId = change.workerId;
  draft.hostname = change.hostname;
  draft.startedAtMs = core.nowMs;
  draft.dueAtMs = 0;
  draft.progress = undefined;
  return core.advance(job, "claim", draft);
}
