/** Adds jobs. */
import { formatJobId } from "../base/ids.ts";
import { admit } from "./admit.ts";
import {
  batchIdOf,
  beginBatch,
  noteBegun,
  refuseBatch,
  refuseMember,
  takePartDone,
} from "./batches.ts";
import { refuseParent, refuseTies } from "./belonging.ts";
import { type JobRef, refuseChains } from "./chains.ts";
import type { EnqueueJobs, NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { refuseDependencies } from "./depend.ts";
import { added, insertJob } from "./insert.ts";
import { backlogRefusal, requirementsRefusal } from "./limits/limit-changes.ts";
import { engineLimits } from "./limits.ts";
import { optionsOf } from "./new-job.ts";
import type { JobOptions } from "./options.ts";
import { refuseCallbacks } from "./outbox/callbacks.ts";
import { type EnqueueResult, type Outcome, type Rejection, reject } from "./outcome.ts";
import { elsewhere, queueElsewhere } from "./place.ts";
import { refuseDraining, tooManyQueues } from "./queue-settings.ts";
import { refuseBytes } from "./values.ts";

export function enqueueJobs(core: Core, change: EnqueueJobs): Outcome {
  const { idempotency } = change;
  if (idempotency === undefined) return refuseRelations(core, change) ?? addAll(core, change);

  forgetOldKeys(core);
  const known = core.state.getIdempotency(idempotency.key);
  if (known !== undefined && known.expiresAtMs > core.nowMs) {
    if (known.fingerprint === idempotency.fingerprint) {
      return enqueued(known.results, known.batch);
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
  const outcome = addAll(core, change);
  const { kind: _, ...answer } = outcome;
  core.state.putIdempotency({
    key: idempotency.key,
    fingerprint: idempotency.fingerprint,
    expiresAtMs: core.nowMs + engineLimits.idempotencyMs,
    ...answer,
  });
  return outcome;
}

type Enqueued = Extract<Outcome, { kind: "enqueued" }>;

function enqueued(results: readonly EnqueueResult[], batch: JobRef | undefined): Enqueued {
  return { kind: "enqueued", results, ...(batch === undefined ? {} : { batch }) };
}

/** Half of what belongs together is worse than nothing: a job whose relations cannot be refuses the whole call. */
function refuseRelations(core: Core, { jobs, batch, partOf }: EnqueueJobs): Rejection | undefined {
  let chains = 0;
  let ties = 0;
  let callbacks = 0;
  if (batch !== undefined) {
    const refusal = refuseBatch(core) ?? refuseTies(core, jobs.length);
    if (refusal !== undefined) return refusal;
  }
  if (partOf !== undefined) {
    const refusal = refuseMember(core, { batchId: partOf }) ?? refuseTies(core, jobs.length);
    if (refusal !== undefined) return refusal;
  }
  for (let i = 0; i < jobs.length; i++) {
    const options = jobs[i]?.options;
    if (options === undefined) continue;
    if (options.batchId !== undefined || options.cascadeCancel === true) ties++;
    const refusal =
      (ties === 0 ? undefined : refuseTies(core, ties)) ??
      refuseMember(core, options) ??
      refuseParent(core, options) ??
      (options.dependsOn === undefined ? undefined : refuseDependencies(core, options)) ??
      (options.chain === undefined ? undefined : refuseChains(core, ++chains)) ??
      (options.callback === undefined ? undefined : refuseCallbacks(core, ++callbacks));
    if (refusal === undefined) continue;
    return jobs.length === 1 ? refusal : reject(refusal.code, `jobs[${i}]: ${refusal.message}`);
  }
  return undefined;
}

function addAll(core: Core, change: EnqueueJobs): Enqueued {
  const batch = change.batch === undefined ? undefined : beginBatch(core, change.batch);
  const batchId = change.partOf ?? (batch && batchIdOf(batch, change.shard ?? 0));
  const results: EnqueueResult[] = [];
  for (const job of change.jobs) {
    const names = job.options?.dependsOn !== undefined || job.options?.parentId !== undefined;
    const spec = names ? resolveReferences(job, results, change) : job;
    if (spec === undefined) results.push(notAdded());
    else if (batchId === undefined) results.push(addJob(core, spec));
    else results.push(addJob(core, { ...spec, options: { ...spec.options, batchId } }));
  }
  if (batch !== undefined) noteBegun(core, batch);
  if (change.partOf !== undefined) endPart(core, change.partOf);
  return enqueued(results, batch);
}

/** The jobs of a call that began a batch are here as far as this shard has to do with them. */
function endPart(core: Core, batch: string): void {
  const shard = elsewhere(core.place, batch);
  if (shard === undefined) takePartDone(core, { kind: "partDone", batch });
  else core.post.endPart(shard, batch);
}

function notAdded(): Rejection {
  return reject("CONFLICT", "a job of this call that this one names was not added");
}

/** Ids in the place of `$n`. Undefined when one of those jobs was not added. */
function resolveReferences(
  job: NewJob,
  results: readonly EnqueueResult[],
  change: EnqueueJobs,
): NewJob | undefined {
  let isLost = false;
  const idOf = (id: string): string => {
    const result = id.startsWith("$") ? results[Number(id.slice(1))] : undefined;
    if (result === undefined) return id;
    if (result.kind !== "rejected") {
      return formatJobId(result.seq, result.createdAtMs, change.shard ?? 0);
    }
    isLost = true;
    return id;
  };
  const { dependsOn, parentId } = job.options ?? {};
  const options = {
    ...job.options,
    ...(dependsOn !== undefined && { dependsOn: [...new Set(dependsOn.map(idOf))] }),
    ...(parentId !== undefined && { parentId: idOf(parentId) }),
  };
  return isLost ? undefined : { ...job, options };
}

/** Adds one job, unless its unique key says otherwise; or says why not. */
export function addJob(core: Core, spec: NewJob): EnqueueResult {
  if (core.openQueue(spec.queue) === undefined) return tooManyQueues(spec.queue);
  const closed = refuseDraining(core, spec.queue);
  if (closed !== undefined) return closed;
  const options = optionsOf(core, spec);
  const { deadQueue } = options;
  if (deadQueue !== undefined && queueElsewhere(core.place, deadQueue) === undefined) {
    if (core.openQueue(deadQueue) === undefined) return tooManyQueues(deadQueue);
  }
  const full = refuseMail(core, spec.queue, options);
  if (full !== undefined) return full;
  const unknown = requirementsRefusal(core, spec.queue, options.lane);
  if (unknown !== undefined) return unknown;
  if (options.uniqueKey !== undefined) return admit(core, spec, options);
  const large = refuseBytes(core, spec);
  if (large !== undefined) return large;
  const group = options.lane?.group;
  const refusal = group === undefined ? undefined : backlogRefusal(core, spec.queue, group);
  return refusal ?? added(insertJob(core, spec, options));
}

/** While other shards do not take what this one has for them, nothing is added that may give rise to more. */
function refuseMail(core: Core, queue: string, options: JobOptions): Rejection | undefined {
  const { place, post } = core;
  if (place.shards === 1 || post.size < engineLimits.mailMax) return undefined;
  const { dependsOn, parentId, batchId, deadQueue, chain } = options;
  const ids = [...(dependsOn ?? []), parentId, batchId];
  const isAcross =
    chain !== undefined ||
    ids.some((id) => elsewhere(place, id) !== undefined) ||
    (deadQueue !== undefined && queueElsewhere(place, deadQueue) !== undefined);
  if (!isAcross) return undefined;
  return reject(
    "OVERLOADED",
    `queue "${queue}": ${post.size} messages to other shards wait to be taken (mailMax), and the job would give rise to more`,
  );
}

/** Two go for each that comes, so the table shrinks back; bounded, so one call never pays for a day of keys. */
function forgetOldKeys(core: Core): void {
  for (let i = 0; i < 2; i++) {
    const oldest = core.state.oldestIdempotency();
    if (oldest === undefined || oldest.expiresAtMs > core.nowMs) return;
    core.state.deleteIdempotency(oldest.key);
  }
}
