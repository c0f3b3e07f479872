/**
 * What a job's batch and parent mean for it. It is tied to them while it is unfinished, and cancelled with them:
 * all members of a batch that is cancelled, and the children with `cascadeCancel` of a parent that is cancelled, or deleted before
 * its end. A child that is cancelled so is a cancelled parent itself, and so on down.
 */
import { must } from "../base/assert.ts";
import { parseGroupId, parseJobId } from "../base/ids.ts";
import { countMember } from "./batches.ts";
import type { Core } from "./core.ts";
import { findByIdText } from "./depend.ts";
import { parentsLevel } from "./feature-levels.ts";
import { follow, tellFollowers, unfollow } from "./following.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import type { Owner } from "./links.ts";
import type { JobOptions } from "./options.ts";
import { type Rejection, reject } from "./outcome.ts";
import { elsewhere, type Place } from "./place.ts";

/** A parent was cancelled. */
export interface CancelChildren {
  readonly kind: "cancelChildren";
  readonly parent: Owner;
  /** The children up to this one have been cancelled. */
  readonly after: number;
}

/** A batch was cancelled. */
export interface CancelMembers {
  readonly kind: "cancelMembers";
  readonly batch: Owner;
  readonly after: number;
}

/** Why a job may not have this parent. `$n` has not been resolved: those jobs come into being just before. */
export function refuseParent(core: Core, options: Partial<JobOptions>): Rejection | undefined {
  const { parentId } = options;
  if (parentId === undefined || parentId.startsWith("$")) return undefined;
  if (elsewhere(core.place, parentId) !== undefined) return undefined;
  // Programs of level 1 take any text for a parent, and all replicas must decide alike.
  if (core.state.meta.featureLevel < parentsLevel) return undefined;
  const parent = findByIdText(core, parentId);
  if (parent === undefined) {
    return reject("NOT_FOUND", `parent_id: no job "${parentId}"; it may be gone already`);
  }
  if (options.cascadeCancel !== true || parent.state !== "cancelled") return undefined;
  return reject(
    "PARENT_ERROR",
    `parent_id: job "${parentId}" was cancelled, and cascade_cancel would cancel this one with it`,
  );
}

/** Why so many more jobs may not belong to something. */
export function refuseTies(core: Core, count: number): Rejection | undefined {
  const { size } = core.ties;
  if (size + count <= engineLimits.tiesMax) return undefined;
  return reject(
    "OVERLOADED",
    `${size} unfinished jobs belong to a batch or to a parent with cascade_cancel, at most ${engineLimits.tiesMax} (tiesMax)`,
  );
}

/** A job that belongs to something changed. */
export function reactForOwners(core: Core, before: Job | undefined, after: Job | undefined): void {
  const wasLive = before !== undefined && !isFinished(before.state);
  const isLive = after !== undefined && !isFinished(after.state);
  if (wasLive !== isLive) {
    const seq = (after ?? before)?.seq ?? 0;
    if (isLive) tie(core, after, before === undefined);
    else untie(core, seq);
  }
  countMember(core, before, after);
}

/** Some jobs are tied to others: is this a parent that takes its children along? */
export function reactForChildren(
  core: Core,
  before: Job | undefined,
  after: Job | undefined,
): void {
  if (before === undefined || isFinished(before.state)) return;
  if (after !== undefined && after.state !== "cancelled") return;
  tellFollowers(core, before.seq);
  if (!core.ties.hasMembers(before.seq)) return;
  core.aftermath.push({ kind: "cancelChildren", parent: before.seq, after: 0 });
}

function tie(core: Core, { seq, options }: Job, isNew: boolean): void {
  const owners = ownersOf(core.place, options);
  if (owners.length === 0) return;
  for (const owner of owners) if (!core.ties.hasMembers(owner)) follow(core, owner, isNew);
  core.ties.tie(seq, owners);
}

function untie(core: Core, seq: number): void {
  const owners = core.ties.of(seq);
  core.ties.untie(seq);
  for (const owner of owners) if (!core.ties.hasMembers(owner)) unfollow(core, owner);
}

/** Cancels the next child. Ends when the parent was taken back meanwhile. */
export function stepCancelChildren(core: Core, work: CancelChildren): CancelChildren | undefined {
  const parent = typeof work.parent === "string" ? undefined : core.state.getJob(work.parent);
  if (parent !== undefined && parent.state !== "cancelled") return undefined;
  const seq = core.ties.memberAfter(work.parent, work.after);
  if (seq === undefined) return undefined;
  const job = must(core.state.getJob(seq), "a job that is tied exists");
  cancelWith(core, job, `its parent ${job.options.parentId}`);
  return { ...work, after: seq };
}

/** Cancels the next member. */
export function stepCancelMembers(core: Core, work: CancelMembers): CancelMembers | undefined {
  const seq = core.ties.memberAfter(work.batch, work.after);
  if (seq === undefined) return undefined;
  const job = must(core.state.getJob(seq), "a job that is tied exists");
  cancelWith(core, job, `its batch ${job.options.batchId}`);
  return { ...work, after: seq };
}

function cancelWith(core: Core, job: Job, owner: string): void {
  if (job.state === "active") core.revoke(job, "cancel");
  core.move(job, "cancel", {
    token: 0,
    dueAtMs: 0,
    finishedAtMs: core.nowMs,
    reason: `cancelled with ${owner}`,
  });
}

/** With what a job is cancelled. */
export function ownersOf(place: Place, { batchId, parentId, cascadeCancel }: JobOptions): Owner[] {
  const owners: Owner[] = [];
  const isAway = (id: string) => elsewhere(place, id) !== undefined;
  if (batchId !== undefined) {
    owners.push(isAway(batchId) ? batchId : (parseGroupId("batch", batchId)?.seq ?? 0));
  }
  if (cascadeCancel && parentId !== undefined) {
    owners.push(isAway(parentId) ? parentId : (parseJobId(parentId)?.seq ?? 0));
  }
  return owners;
}
