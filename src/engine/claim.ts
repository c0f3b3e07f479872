/**
 * Hands ready jobs to a worker under a lease. The order is exact over all the queues asked for: priority first, then
 * the time of becoming ready.
 */
import { must } from "../base/assert.ts";
import { expireJob } from "./advance-time.ts";
import type { ClaimJobs } from "./change.ts";
import type { Core } from "./core.ts";
import type { Job } from "./job.ts";
import { leaseEndMs } from "./lease.ts";
import type { Outcome } from "./outcome.ts";

export function claimJobs(core: Core, change: ClaimJobs): Outcome {
  const jobs: Job[] = [];
  const heads = [...new Set(change.queues)]
    .filter((name) => core.state.getQueue(name)?.paused === false)
    .map((name) => ({ name, head: core.headOf(name) }));

  while (jobs.length < change.count) {
    const best = heads.length === 1 ? heads[0] : earliest(heads);
    if (best?.head === undefined) break;
    const seq = must(core.firstReady(best.name)?.peek(), "a line with a head has a first job");
    const job = must(core.state.getJob(seq), "a job in the line exists");
    if (job.expireAtMs > 0 && job.expireAtMs <= core.nowMs) {
      expireJob(core, job);
      // What follows from its end may be a job in any of the queues.
      for (const one of heads) one.head = core.headOf(one.name);
      continue;
    }
    jobs.push(lease(core, job, change));
    best.head = core.headOf(best.name);
  }
  return { kind: "claimed", jobs };
}

interface Head {
  readonly name: string;
  head: { priority: number; order: number } | undefined;
}

function earliest(heads: readonly Head[]): Head | undefined {
  let best: Head | undefined;
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
  return core.move(job, "claim", {
    attempt: job.attempt + 1,
    token: core.state.meta.nextToken++,
    leaseMs,
    leaseExpiresAtMs: leaseEndMs(core, job.options, { leaseMs, startedAtMs: core.nowMs }),
    workerId: change.workerId,
    hostname: change.hostname,
    startedAtMs: core.nowMs,
    dueAtMs: 0,
    progress: undefined,
  });
}
