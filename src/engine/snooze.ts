/** Takes a job back from a worker that says "not now": the attempt is not spent, and how often that may happen is bounded. */
import type { SnoozeItem, SnoozeJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { done, findHolder } from "./lease.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";

export function snoozeJobs(core: Core, change: SnoozeJobs): Outcome {
  return { kind: "items", results: change.items.map((item) => snoozeJob(core, item)) };
}

function snoozeJob(core: Core, item: SnoozeItem): ItemResult {
  const found = findHolder(core, item, "SNOOZE_ERROR");
  if (found.kind === "refused") return found.rejection;
  const { job } = found;
  if (found.kind === "repeated") {
    return reject("LEASE_LOST", `this lease is over: it ended with the job ${job.state}`);
  }
  if (job.snoozes >= job.options.snoozesMax) {
    return reject(
      "SNOOZE_ERROR",
      `the job was snoozed ${job.snoozes} times, which is all it may be (max_snoozes); it is still active`,
    );
  }
  const next = core.move(job, "snooze", {
    attempt: Math.max(0, job.attempt - 1),
    snoozes: job.snoozes + 1,
    lostLeases: 0,
    token: 0,
    dueAtMs: core.nowMs + item.delayMs,
    checkpoint: item.checkpoint ?? job.checkpoint,
  });
  return done(next, job.state);
}
