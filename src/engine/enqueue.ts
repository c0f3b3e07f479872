/** Adds jobs. */
import { formatJobId } from "../base/ids.ts";
import { admit } from "./admit.ts";
import { refuseChains } from "./chains.ts";
import type { EnqueueJobs, NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { refuseDependencies } from "./depend.ts";
import { added, insertJob } from "./insert.ts";
import { backlogRefusal } from "./limits/limit-changes.ts";
import { engineLimits } from "./limits.ts";
import { optionsOf } from "./new-job.ts";
import { type EnqueueResult, type Outcome, type Rejection, reject } from "./outcome.ts";
import { refuseDraining, tooManyQueues } from "./queue-settings.ts";

export function enqueueJobs(core: Core, change: EnqueueJobs): Outcome {
  const { idempotency } = change;
  if (idempotency === undefined) {
    return refuseRelations(core, change) ?? { kind: "enqueued", results: addAll(core, change) };
  }

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
  const refusal = refuseRelations(core, change);
  if (refusal !== undefined) return refusal;
  const results = addAll(core, change);
  core.state.putIdempotency({
    key: idempotency.key,
    fingerprint: idempotency.fingerprint,
    expiresAtMs: core.nowMs + engineLimits.idempotencyMs,
    results,
  });
  return { kind: "enqueued", results };
}

/** Half of what belongs together is worse than nothing: a job whose relations cannot be refuses the whole call. */
function refuseRelations(core: Core, { jobs }: EnqueueJobs): Rejection | undefined {
  let chains = 0;
  for (let i = 0; i < jobs.length; i++) {
    const options = jobs[i]?.options;
    if (options === undefined) continue;
    const refusal =
      (options.dependsOn === undefined ? undefined : refuseDependencies(core, options)) ??
      (options.chain === undefined ? undefined : refuseChains(core, ++chains));
    if (refusal === undefined) continue;
    return jobs.length === 1 ? refusal : reject(refusal.code, `jobs[${i}]: ${refusal.message}`);
  }
  return undefined;
}

function addAll(core: Core, change: EnqueueJobs): EnqueueResult[] {
  const results: EnqueueResult[] = [];
  for (const job of change.jobs) {
    const spec =
      job.options?.dependsOn === undefined ? job : resolveReferences(job, results, change);
    results.push(spec === undefined ? notAdded() : addJob(core, spec));
  }
  return results;
}

function notAdded(): Rejection {
  return reject("CONFLICT", "depends_on: a job of this call that it names was not added");
}

/** Ids in the place of `$n`. Undefined when one of those jobs was not added. */
function resolveReferences(
  job: NewJob,
  results: readonly EnqueueResult[],
  change: EnqueueJobs,
): NewJob | undefined {
  const ids: string[] = [];
  for (const id of job.options?.dependsOn ?? []) {
    const result = id.startsWith("$") ? results[Number(id.slice(1))] : undefined;
    if (result?.kind === "rejected") return undefined;
    ids.push(
      result === undefined ? id : formatJobId(result.seq, result.createdAtMs, change.shard ?? 0),
    );
  }
  return { ...job, options: { ...job.options, dependsOn: [...new Set(ids)] } };
}

/** Adds one job, unless its unique key says otherwise; or says why not. */
export function addJob(core: Core, spec: NewJob): EnqueueResult {
  if (core.openQueue(spec.queue) === undefined) return tooManyQueues(spec.queue);
  const closed = refuseDraining(core, spec.queue);
  if (closed !== undefined) return closed;
  const options = optionsOf(core, spec);
  const { deadQueue } = options;
  if (deadQueue !== undefined && core.openQueue(deadQueue) === undefined) {
    return tooManyQueues(deadQueue);
  }
  if (options.uniqueKey !== undefined) return admit(core, spec, options);
  const group = options.lane?.group;
  const refusal = group === undefined ? undefined : backlogRefusal(core, spec.queue, group);
  return refusal ?? added(insertJob(core, spec, options));
}

/** Two go for each that comes, so the table shrinks back; bounded, so one call never pays for a day of keys. */
function forgetOldKeys(core: Core): void {
  for (let i = 0; i < 2; i++) {
    const oldest = core.state.oldestIdempotency();
    if (oldest === undefined || oldest.expiresAtMs > core.nowMs) return;
    core.state.deleteIdempotency(oldest.key);
  }
}
