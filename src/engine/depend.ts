/**
 * What dependencies mean. A job waits until each job that it depends on is completed; what else may become of one is
 * answered by the dependent's `onDependencyFailure`:
 *
 * - `fail`: the dependent is dead, with a reason that names the dependency;
 * - `wait`: it waits on, until a retry by hand completes the dependency. One that no longer exists cannot be retried, so
 *   then it fails: nothing is blocked for ever;
 * - `ignore`: an end is an end.
 *
 * Rings cannot arise: what a job depends on exists before it.
 *
 * A dependency in another shard is watched there: the dependent waits until that shard tells how it ended, which may be at once.
 */
import { must } from "../base/assert.ts";
import { parseJobId } from "../base/ids.ts";
import type { Core } from "./core.ts";
import type { DependenciesRemoved, DependencyEnd, DependencyEnded } from "./dependencies.ts";
import { toldAloneLevel } from "./feature-levels.ts";
import { isFinished, type Job } from "./job.ts";
import { askToJoin, joiningOf } from "./joining.ts";
import { recordAttempt } from "./lease.ts";
import { engineLimits } from "./limits.ts";
import type { Owner } from "./links.ts";
import type { Ended, Unwatch, Watch } from "./mail.ts";
import type { JobOptions } from "./options.ts";
import { type Rejection, reject } from "./outcome.ts";
import { jobElsewhere } from "./place.ts";

/** Why a job may not wait for these, before anything is added. `$n` has been resolved. */
export function refuseDependencies(
  core: Core,
  options: Partial<JobOptions>,
): Rejection | undefined {
  const ids = options.dependsOn ?? [];
  const isIgnorant = options.onDependencyFailure === "ignore";
  for (const id of ids) {
    if (id.startsWith("$") || isIgnorant || jobElsewhere(core.place, id) !== undefined) continue;
    if (findByIdText(core, id) !== undefined) continue;
    return reject(
      "NOT_FOUND",
      `depends_on: no job "${id}"; it may be gone already (on_dependency_failure "ignore" takes that for done)`,
    );
  }
  const count = core.dependencies.openCount + ids.length;
  if (count <= engineLimits.dependenciesMax) return undefined;
  return reject(
    "OVERLOADED",
    `depends_on: jobs wait for ${core.dependencies.openCount} dependencies already, at most ${engineLimits.dependenciesMax} (dependenciesMax)`,
  );
}

/** Lets a new job wait for its dependencies, and for its batch when that is elsewhere. False when none is open. */
export function waitForDependencies(core: Core, seq: number, options: JobOptions): boolean {
  const open: Owner[] = [];
  for (const id of options.dependsOn ?? []) {
    const shard = jobElsewhere(core.place, id);
    if (shard !== undefined) {
      open.push(id);
      core.post.send(shard, { kind: "watch", id, at: seq });
      continue;
    }
    const job = findByIdText(core, id);
    if (job === undefined || job.state === "completed") continue;
    if (!isFinished(job.state)) open.push(job.seq);
    else if (options.onDependencyFailure !== "ignore") {
      open.push(job.seq);
      tellNewcomer(core, seq, job);
    }
  }
  const batch = askToJoin(core, seq, options);
  if (batch !== undefined) open.push(batch);
  if (open.length > 0) core.dependencies.block(seq, open, seq);
  return open.length > 0;
}

/**
 * A finished job is run again by hand: it waits again for those dependencies that are unfinished now. One that ended
 * without success does not stop it, since an operator's word counts more.
 */
export function waitAgain(core: Core, job: Job): void {
  if (!isFinished(job.state)) return;
  const batch = joiningOf(core, job.seq);
  const open: Owner[] = batch === undefined ? [] : [batch];
  for (const id of job.options.dependsOn ?? []) {
    if (jobElsewhere(core.place, id) !== undefined) {
      open.push(id);
      continue;
    }
    const dependency = findByIdText(core, id);
    if (dependency !== undefined && !isFinished(dependency.state)) open.push(dependency.seq);
  }
  if (open.length === 0) return;
  const since = core.takeNumber();
  for (const id of open) {
    // The batch has been asked when the job was added, and only that answer counts.
    const shard = typeof id === "string" && id !== batch ? jobElsewhere(core.place, id) : undefined;
    if (shard === undefined) continue;
    core.post.send(shard, { kind: "watch", id: String(id), at: since, again: true });
  }
  core.dependencies.block(job.seq, open, since);
}

/** A job changed: it may have been waiting, and others may be waiting for it. */
export function reactForDependents(
  core: Core,
  before: Job | undefined,
  after: Job | undefined,
): void {
  const { dependencies } = core;
  const seq = (after ?? before)?.seq ?? 0;
  if (after === undefined || isFinished(after.state)) dependencies.drop(seq);
  if (!dependencies.hasDependents(seq)) return;
  const wasFinished = before !== undefined && isFinished(before.state);
  if (after === undefined) {
    dependencies.forgetRemoval(seq);
    tellDependents(core, seq, "deleted");
  } else if (!isFinished(after.state)) {
    dependencies.forgetRemoval(seq);
  } else if (!wasFinished) {
    tellDependents(core, seq, after.state as DependencyEnd);
  } else if (dependencies.isAwaited(seq)) {
    // Moved to another queue, it counts as finished anew.
    dependencies.awaitRemoval(after);
  }
}

/** Retention removed the finished jobs of a class with these finish numbers. */
export function noteRemoval(core: Core, removed: Omit<DependenciesRemoved, "kind">): void {
  const { of, from, below } = removed;
  if (core.dependencies.awaitedBetween(of, from, below) === undefined) return;
  core.aftermath.push({ kind: "dependenciesRemoved", of, from, below });
}

export function stepRemoved(
  core: Core,
  work: DependenciesRemoved,
): DependenciesRemoved | undefined {
  const seq = core.dependencies.awaitedBetween(work.of, work.from, work.below);
  if (seq === undefined) return undefined;
  core.dependencies.forgetRemoval(seq);
  tellDependents(core, seq, "removed");
  return work;
}

/** Tells the next dependent. */
export function stepEnded(core: Core, work: DependencyEnded): DependencyEnded | undefined {
  const { dependencies } = core;
  const seq = dependencies.dependentAfter(work.seq, work.after);
  // A number that was given later is that of a job that came later.
  const isTold = seq === undefined || (seq >= work.before && tellsAlone(core));
  if (isTold) {
    const isOwn = typeof work.seq === "number";
    if (isOwn && (work.how === "dead" || work.how === "cancelled")) watchEnded(core, work.seq);
    return undefined;
  }
  const left = { ...work, after: seq };
  const since = must(dependencies.blockedOf(seq), "a dependent is blocked").since;
  if (since >= work.before || since < (work.from ?? 0)) return left;
  const job = must(core.state.getJob(seq), "a blocked job exists");
  const policy = job.options.onDependencyFailure;
  if (work.how === "completed" || policy === "ignore") {
    if (dependencies.settle(seq, work.seq) && job.state === "pending") core.rehome(job, {});
  } else if (policy === "fail" || isGone(work.how)) {
    failDependent(core, job, work);
  }
  return left;
}

/** Some wait for another end of a job that ended without success. */
function watchEnded(core: Core, seq: number): void {
  if (!core.dependencies.hasDependents(seq)) return;
  const job = core.state.getJob(seq);
  // Removed while its dependents were told: retention found nobody to be told then.
  if (job === undefined) tellDependents(core, seq, "removed");
  else if (job.state === "dead" || job.state === "cancelled") core.dependencies.awaitRemoval(job);
}

function isGone(how: DependencyEnd): boolean {
  return how === "deleted" || how === "removed" || how === "missing";
}

function tellDependents(core: Core, seq: number, how: DependencyEnd): void {
  const watchers = core.dependencies.watchersOf(seq);
  if (watchers !== undefined) {
    const { id } = watchers;
    for (const [shard, at] of Object.entries(watchers.at)) {
      core.post.send(Number(shard), { kind: "ended", id, how, at });
    }
  }
  const before = core.state.meta.nextNumber;
  core.aftermath.push({ kind: "dependencyEnded", seq, how, before, after: 0 });
}

/** A new job waits for one that has ended without success, as others may that have been told. */
function tellNewcomer(core: Core, seq: number, { seq: of, state }: Job): void {
  const how = state === "dead" ? "dead" : "cancelled";
  if (!tellsAlone(core)) {
    tellDependents(core, of, how);
    return;
  }
  const before = core.state.meta.nextNumber;
  core.aftermath.push({ kind: "dependencyEnded", seq: of, how, before, from: seq, after: seq - 1 });
}

/** With a hundred thousand that wait, each that comes would otherwise be as much work again, and all else that follows wait for it. */
function tellsAlone({ state }: Core): boolean {
  return state.meta.featureLevel >= toldAloneLevel;
}

const endings: Readonly<Record<DependencyEnd, string>> = {
  completed: "is completed",
  dead: "is dead",
  cancelled: "was cancelled",
  deleted: "was deleted",
  removed: "ended without success and was removed after its retention time",
  missing: "does not exist; it may be gone already",
};

function failDependent(core: Core, job: Job, work: DependencyEnded): void {
  const { seq } = work;
  const isIt = (one: string) => one === seq || parseJobId(one)?.seq === seq;
  const id = job.options.dependsOn?.find(isIt);
  const reason = `dependency ${id} ${endings[work.how]}`;
  const history = recordAttempt(core, job, {
    outcome: "dependency_failed",
    error: reason,
    backtrace: undefined,
    output: undefined,
  });
  core.move(job, "abandon", {
    history,
    token: 0,
    dueAtMs: 0,
    reason,
    finishedAtMs: core.nowMs,
    failedAtMs: core.nowMs,
  });
}

/** The job that an id names, if it exists here: number, time of creation and shard must be right. */
export function findByIdText(core: Core, id: string): Job | undefined {
  const parsed = parseJobId(id);
  const isHere = parsed?.shard === core.place.shard;
  const job = isHere ? core.state.getJob(parsed.seq) : undefined;
  return job?.createdAtMs === parsed?.createdAtMs ? job : undefined;
}

/** Jobs of another shard wait for one of this. What it is already is told at once. */
export function takeWatch(core: Core, from: number, { id, at, again }: Watch): void {
  const job = findByIdText(core, id);
  if (again === true && (job === undefined || isFinished(job.state))) {
    // Others of that shard may still wait for a retry of it: they are not meant.
    core.post.send(from, { kind: "ended", id, how: "completed", at, only: true });
    return;
  }
  const tell = (how: DependencyEnd) => core.post.send(from, { kind: "ended", id, how, at });
  if (job === undefined) {
    tell("missing");
    return;
  }
  core.dependencies.watch(job.seq, id, { shard: from, at });
  if (!isFinished(job.state)) return;
  tell(job.state as DependencyEnd);
  if (job.state !== "completed") core.dependencies.awaitRemoval(job);
}

export function takeUnwatch(core: Core, from: number, { id }: Unwatch): void {
  const seq = parseJobId(id)?.seq;
  if (seq !== undefined) core.dependencies.unwatch(seq, from);
}

/**
 * A job of another shard ended. Each that begins to wait for one that is dead brings the same news to all who wait for a retry of it, so
 * what is not told yet is told together.
 */
export function takeEnded(core: Core, { id, how, at, only }: Ended): void {
  const news = { kind: "dependencyEnded", seq: id, how, before: at + 1, after: 0 } as const;
  if (only === true) core.aftermath.push({ ...news, from: at });
  else if (!core.aftermath.join(news)) core.aftermath.push(news);
}

/** Nobody waits any more for something of another shard: a job, or a batch to be counted in. */
export function letGo(core: Core, id: string): void {
  const shard = jobElsewhere(core.place, id);
  if (shard !== undefined) core.post.send(shard, { kind: "unwatch", id });
}
