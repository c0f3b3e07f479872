/** Takes a job back from a worker that did not work on it: the attempt is not spent. */
import type { ReleaseItem, ReleaseJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { done, findHolder } from "./lease.ts";
import { raisePause } from "./limits/limit-changes.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";

export function releaseJobs(core: Core, change: ReleaseJobs): Outcome {
  return { kind: "items", results: change.items.map((item) => releaseJob(core, item)) };
}

function releaseJob(core: Core, item: ReleaseItem): ItemResult {
  const found = findHolder(core, item, "RELEASE_ERROR");
  if (found.kind === "refused") return found.rejection;
  const { job } = found;
  if (found.kind === "repeated") {
    return reject("LEASE_LOST", `this lease is over: it ended with the job ${job.state}`);
  }

  const refusal = item.pause === undefined ? undefined : raisePause(core, job, item.pause);
  if (refusal !== undefined) return refusal;
  const attempt = Math.max(0, job.attempt - 1);
  const delayMs = item.delayMs ?? 0;
  if (delayMs > 0) {
    const next = core.move(job, "releaseLater", {
      attempt,
      token: 0,
      dueAtMs: core.nowMs + delayMs,
    });
    return done(next, job.state);
  }
  return done(core.move(job, "release", { attempt, token: 0 }), job.state);
}
