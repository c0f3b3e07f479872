/**
 * What follows for others when a job changes its state. `Core` calls `react` after every change of a job's record that is
 * a transition: a new job, a move, a removal by hand. Retention is none: what it removes has ended long before.
 *
 * Each feature that watches jobs has one line here, and each line ends quickly for jobs that it does not concern.
 */
import { reactForChildren, reactForOwners } from "./belonging.ts";
import { reactForChains } from "./chains.ts";
import type { Core } from "./core.ts";
import { passOnDead } from "./dead-queue.ts";
import { reactForDependents } from "./depend.ts";
import type { Job } from "./job.ts";
import { reactForCallbacks } from "./outbox/callbacks.ts";
import { runEnded } from "./schedules.ts";
import { followKey } from "./unique-key.ts";

/** `before` is undefined for a new job, `after` for a deleted one. */
export function react(core: Core, before: Job | undefined, after: Job | undefined): void {
  if ((after ?? before)?.options.uniqueKey !== undefined) followKey(core, before, after);
  if (!core.dependencies.isIdle) reactForDependents(core, before, after);
  const options = (after ?? before)?.options;
  if (options?.batchId !== undefined || options?.cascadeCancel === true) {
    reactForOwners(core, before, after);
  }
  if (core.ties.size > 0 || core.followers.size > 0) reactForChildren(core, before, after);
  if (options?.chainId !== undefined) reactForChains(core, before, after);
  if (after?.state === "dead" && before?.state !== "dead") passOnDead(core, after);
  if (options?.callback !== undefined || before?.options.callback !== undefined) {
    reactForCallbacks(core, before, after);
  }
  if (before?.options.schedule !== undefined) runEnded(core, before, after);
}
