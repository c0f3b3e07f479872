/**
 * What becomes of an enqueue with a unique key. When nobody holds the key, the new job takes it. When somebody does, the
 * newcomer's `onConflict` decides:
 *
 * existing   the holder is the answer             reject     a refusal
 * replace    a waiting holder becomes the new job; one that runs, is held or is done is the answer
 * keep_last  as replace, but while the holder runs one more job waits for its end: the follow-up, which later ones replace
 * cancel     whatever is unfinished under the key is cancelled, and the new job takes it
 */
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { added, insertJob } from "./insert.ts";
import { isFinished, type Job } from "./job.ts";
import { isSameLane } from "./limits/lane.ts";
import { backlogRefusal } from "./limits/limit-changes.ts";
import { engineLimits } from "./limits.ts";
import { uniqueName } from "./memory-state.ts";
import { mergePayloads } from "./merge-payloads.ts";
import { chosenFields, untried } from "./new-job.ts";
import type { JobOptions } from "./options.ts";
import { type EnqueueResult, type Rejection, reject } from "./outcome.ts";
import {
  followUpOf,
  hasRoomForHold,
  holderOf,
  type KeyHolder,
  pinKey,
  takeKey,
} from "./unique-key.ts";
import { refuseBytes } from "./values.ts";

export function admit(core: Core, spec: NewJob, options: JobOptions): EnqueueResult {
  const key = options.uniqueKey ?? "";
  if (options.uniqueScope === "period" && !hasRoomForHold(core, spec.queue, key)) {
    return reject(
      "OVERLOADED",
      `${engineLimits.keyHoldsMax} unique keys are held for a period already (keyHoldsMax)`,
    );
  }
  const holder = holderOf(core, spec.queue, key);
  if (options.onConflict === "keep_last") {
    const next = followUpOf(core, spec.queue, key);
    if (next !== undefined) return rewrite(core, next, spec, options);
    if (holder?.job?.state === "active") return addFollowUp(core, spec, options, holder.job);
  }
  if (holder === undefined) {
    return backlogFull(core, spec, options) ?? addHolder(core, spec, options);
  }
  switch (options.onConflict) {
    case "existing":
      return duplicateOf(holder);
    case "reject":
      return reject("CONFLICT", `a job of queue "${spec.queue}" holds the unique key "${key}"`);
    case "replace":
    case "keep_last":
      return isReplaceable(holder.job)
        ? rewrite(core, holder.job, spec, options)
        : duplicateOf(holder);
    case "cancel":
      return isUnfinished(holder.job)
        ? replaceAll(core, spec, options, holder.job)
        : duplicateOf(holder);
  }
}

/** Cancels whoever is there for the key, and adds the new job. */
function replaceAll(core: Core, spec: NewJob, options: JobOptions, holder: Job): EnqueueResult {
  const next = followUpOf(core, spec.queue, options.uniqueKey ?? "");
  const refusal = backlogFull(core, spec, options, holder, next);
  if (refusal !== undefined) return refusal;
  // The one that waits goes first: it would take the key that the other one leaves.
  if (next !== undefined) cancelFor(core, next);
  cancelFor(core, holder);
  return addHolder(core, spec, options);
}

/** Why a new job finds no room in its queue or its group; those that are `gone` then make some. */
function backlogFull(
  core: Core,
  spec: NewJob,
  { lane }: JobOptions,
  ...gone: readonly (Job | undefined)[]
): Rejection | undefined {
  const full = refuseBytes(core, spec, gone);
  if (full !== undefined) return full;
  const group = lane?.group;
  if (group === undefined) return undefined;
  const makesRoom = gone.some(
    (job) => job !== undefined && job.state !== "active" && job.options.lane?.group === group,
  );
  return makesRoom ? undefined : backlogRefusal(core, spec.queue, group);
}

function addHolder(core: Core, spec: NewJob, options: JobOptions): EnqueueResult {
  const job = insertJob(core, spec, options);
  takeKey(core, job);
  return added(job);
}

function addFollowUp(core: Core, spec: NewJob, options: JobOptions, holder: Job): EnqueueResult {
  const table = core.state.records("followUps");
  if (table.size >= engineLimits.followUpsMax) {
    return reject(
      "OVERLOADED",
      `${engineLimits.followUpsMax} jobs wait for a unique key already (followUpsMax)`,
    );
  }
  const refusal = backlogFull(core, spec, options);
  if (refusal !== undefined) return refusal;
  const key = options.uniqueKey ?? "";
  pinKey(core, holder, key);
  const job = insertJob(core, spec, options, `waits for the running job with unique key "${key}"`);
  table.put(uniqueName(spec.queue, key), { seq: job.seq });
  return added(job);
}

function belongs({ batchId, cascadeCancel }: JobOptions): boolean {
  return batchId !== undefined || cascadeCancel;
}

/** Held jobs wait for a person, who decides about what is there to see. */
function isReplaceable(job: Job | undefined): job is Job {
  return job?.state === "pending" || job?.state === "scheduled" || job?.state === "retrying";
}

/** Makes a waiting job that of a later enqueue: its id stays, and its place in line where it can. */
function rewrite(core: Core, job: Job, spec: NewJob, options: JobOptions): EnqueueResult {
  // What waits for the waiting job may be what the new one would wait for: a ring.
  if (options.dependsOn !== undefined) {
    return reject(
      "CONFLICT",
      "depends_on: the waiting job that this one would replace may not depend on others",
    );
  }
  // Its place in a chain cannot be taken over, and a chain cannot begin in the middle of a life.
  if (options.chain !== undefined || job.options.chainId !== undefined) {
    return reject(
      "CONFLICT",
      "a waiting job that belongs to a chain is neither replaced nor replaces another",
    );
  }
  if (belongs(options) || belongs(job.options)) {
    return reject(
      "CONFLICT",
      "a waiting job of a batch, or one that is cancelled with its parent, is neither replaced nor replaces another",
    );
  }
  const refusal = backlogFull(core, spec, options, job);
  if (refusal !== undefined) return refusal;
  const payload = mergePayloads(options.merge, job.payload, spec.payload);
  if (typeof payload !== "string") return payload;
  // It stays the run of the schedule that made it.
  const { schedule } = job.options;
  const kept = options.schedule === schedule ? options : { ...options, schedule };
  const chosen = chosenFields(core, { ...spec, payload }, kept, job.createdAtMs);
  const { state, dueAtMs, ...fields } = chosen;
  core.dependencies.drop(job.seq);
  if (job.state === "held") {
    return replaced(core.amend(job, fields));
  }
  const staysInLine =
    job.order > 0 &&
    state === "pending" &&
    job.priority === chosen.priority &&
    isSameLane(job.options.lane, options.lane);
  const next = staysInLine
    ? core.amend(job, { ...untried, ...fields })
    : core.move(job, state === "pending" ? "replace" : "replaceLater", {
        ...untried,
        ...fields,
        dueAtMs,
      });
  takeKey(core, next);
  return replaced(next);
}

function isUnfinished(job: Job | undefined): job is Job {
  return job !== undefined && !isFinished(job.state);
}

function cancelFor(core: Core, job: Job): void {
  if (job.state === "active") core.revoke(job, "cancel");
  core.move(job, "cancel", {
    token: 0,
    dueAtMs: 0,
    finishedAtMs: core.nowMs,
    reason: "a newer job took its unique key",
  });
}

function duplicateOf({ seq, createdAtMs, job }: KeyHolder): EnqueueResult {
  return { kind: "duplicate", seq, createdAtMs, state: job?.state ?? "completed" };
}

function replaced(job: Job): EnqueueResult {
  return { kind: "replaced", seq: job.seq, createdAtMs: job.createdAtMs, state: job.state };
}
