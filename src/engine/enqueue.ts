/** Adds jobs. */
import { admit } from "./admit.ts";
import type { EnqueueJobs, NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { engineLimits } from "./limits.ts";
import { added, insertJob } from "./new-job.ts";
import { defaultOptions, type JobOptions } from "./options.ts";
import { type EnqueueResult, type Outcome, reject } from "./outcome.ts";

export function enqueueJobs(core: Core, change: EnqueueJobs): Outcome {
  const { idempotency } = change;
  if (idempotency === undefined) return { kind: "enqueued", results: addAll(core, change.jobs) };

  forgetOldKeys(core);
  const known = core.state.getIdempotency(idempotency.key);
  if (known !== undefined && known.expiresAtMs > core.nowMs) {
    if (known.fingerprint === idempotency.fingerprint) {
      return { kind: "enqueued", results: known.results };
    }
    return reject("CONFLICT", `idempotency key "${idempotency.key}" was used for another call`);
  }
  // Its time is over, but the sweep had not come to it yet.
  if (known !== undefined) core.state.deleteIdempotency(idempotency.key);
  if (core.state.idempotencyCount >= engineLimits.idempotencyKeysMax) {
    return reject(
      "OVERLOADED",
      `${engineLimits.idempotencyKeysMax} idempotency keys are remembered already (idempotencyKeysMax)`,
    );
  }
  const results = addAll(core, change.jobs);
  core.state.putIdempotency({
    key: idempotency.key,
    fingerprint: idempotency.fingerprint,
    expiresAtMs: core.nowMs + engineLimits.idempotencyMs,
    results,
  });
  return { kind: "enqueued", results };
}

function addAll(core: Core, jobs: readonly NewJob[]): EnqueueResult[] {
  const results: EnqueueResult[] = [];
  for (const job of jobs) results.push(addJob(core, job));
  return results;
}

/** Adds one job, unless its unique key says otherwise; or says why not. */
export function addJob(core: Core, spec: NewJob): EnqueueResult {
  if (core.openQueue(spec.queue) === undefined) {
    return reject(
      "LIMIT_EXCEEDED",
      `queue "${spec.queue}" would be one more than ${engineLimits.queuesMax} (queuesMax)`,
    );
  }
  const options = optionsOf(core, spec);
  if (options.uniqueKey !== undefined) return admit(core, spec, options);
  return added(insertJob(core, spec, options));
}

function optionsOf(core: Core, spec: NewJob): JobOptions {
  if (spec.options === undefined && spec.deadlineMs === undefined) return defaultOptions;
  const options = { ...defaultOptions, ...spec.options };
  if (spec.deadlineMs !== undefined) options.deadlineAtMs = core.nowMs + spec.deadlineMs;
  return options;
}

/** Two go for each that comes, so the table shrinks back; bounded, so one call never pays for a day of keys. */
function forgetOldKeys(core: Core): void {
  for (let i = 0; i < 2; i++) {
    const oldest = core.state.oldestIdempotency();
    if (oldest === undefined || oldest.expiresAtMs > core.nowMs) return;
    core.state.deleteIdempotency(oldest.key);
  }
}
