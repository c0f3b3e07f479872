/** Keeps leases alive and stores what the worker reports on the way. */
import type { HeartbeatItem, HeartbeatJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { sayProgress } from "./events.ts";
import { done, findHolder, leaseEndMs } from "./lease.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";

export function heartbeatJobs(core: Core, change: HeartbeatJobs): Outcome {
  return { kind: "items", results: change.items.map((item) => heartbeatJob(core, item)) };
}

function heartbeatJob(core: Core, item: HeartbeatItem): ItemResult {
  const found = findHolder(core, item, "LEASE_LOST");
  if (found.kind === "refused") return found.rejection;
  const { job } = found;
  if (found.kind === "repeated") {
    return reject("LEASE_LOST", `this lease is over: it ended with the job ${job.state}`);
  }

  const leaseMs = item.leaseMs ?? job.leaseMs;
  const next = {
    ...job,
    leaseMs,
    leaseExpiresAtMs: leaseEndMs(core, job.options, { leaseMs, startedAtMs: job.startedAtMs }),
    progress: item.progress ?? job.progress,
    checkpoint: item.checkpoint ?? job.checkpoint,
  };
  core.extendLease(next, job.leaseExpiresAtMs);
  if (item.progress !== undefined) sayProgress(core, next, item.progress);
  return done(next, job.state);
}
