/**
 * Recounts a whole state and names every place where its books disagree: counters with jobs, lines with orders, leases
 * with active jobs, unique locks with their holders, retention groups with finished jobs. It reads everything, so it is
 * for tests and for looking at a state that is in doubt, never for the path of a write.
 */
import { checkBelonging } from "./belonging-checks.ts";
import type { Engine } from "./engine.ts";
import { isFinished, type Job, jobStates } from "./job.ts";
import { limitName } from "./limits/setting.ts";
import { engineLimits } from "./limits.ts";
import { checkMail } from "./mail-checks.ts";
import { uniqueName } from "./memory-state.ts";
import { checkOutbox } from "./outbox/outbox-checks.ts";
import { checkRelations } from "./relation-checks.ts";
import { type Meta, type QueueRecord, retentionClasses, retentionClassOf } from "./state.ts";
import type { StateContents } from "./state-hash.ts";
import { checkValues } from "./value-checks.ts";

/** One sentence for each violation; empty when all is in order. */
export function findViolations(contents: StateContents, engine: Engine): string[] {
  const report = new Report();
  const jobs = [...contents.jobs()];
  const queues = [...contents.queues()];
  for (const job of jobs) checkJob(report, job, contents.meta);
  checkNumbers(report, jobs);
  for (const queue of queues) {
    const ofQueue = jobs.filter((job) => job.queue === queue.name);
    checkCounts(report, queue, ofQueue);
    checkLine(report, queue, ofQueue, engine);
  }
  const known = new Set(queues.map(({ name }) => name));
  for (const job of jobs)
    report.check(known.has(job.queue), `job ${job.seq}: no queue ${job.queue}`);
  checkUnits(report, jobs, engine);
  checkRetention(report, contents.meta, jobs, queues);
  checkUniques(report, contents, jobs);
  checkKeys(report, contents, jobs);
  checkAttempts(report, contents, jobs);
  checkRelations(
    (holds, violation) => report.check(holds, violation),
    jobs,
    [...contents.records()],
    engine,
  );
  checkMail(
    (holds, violation) => report.check(holds, violation),
    jobs,
    [...contents.records()],
    engine.place,
  );
  checkBelonging(
    (holds, violation) => report.check(holds, violation),
    jobs,
    [...contents.records()],
    engine.place,
  );
  checkSchedules(report, jobs, engine);
  checkValues(
    (holds, violation) => report.check(holds, violation),
    contents,
    { jobs, queues },
    engine.keptBytes,
  );
  checkOutbox((holds, violation) => report.check(holds, violation), jobs, engine);
  return report.found;
}

class Report {
  readonly found: string[] = [];

  check(holds: boolean, violation: string): void {
    if (!holds) this.found.push(violation);
  }
}

/** What must hold of a record alone. */
function checkJob(report: Report, job: Job, meta: Meta): void {
  const check = (holds: boolean, says: string) => {
    if (!holds) report.check(false, `job ${job.seq} (${job.state}): ${says}`);
  };
  const isActive = job.state === "active";
  const waitsForTime = job.state === "scheduled" || job.state === "retrying";
  check(job.seq > 0 && job.seq < meta.nextNumber, "its number was never given");
  check(job.createdAtMs <= meta.nowMs, "it was created in the future");
  check(isActive === job.leaseExpiresAtMs > 0, `lease end ${job.leaseExpiresAtMs}`);
  check(isActive === job.leaseMs > 0, `lease of ${job.leaseMs} ms`);
  check(!isActive || job.token > 0, "it is active without a token");
  check(job.token < meta.nextToken, `token ${job.token} was never given`);
  check(job.state === "pending" || job.order === 0, `place ${job.order}`);
  check(job.order < meta.nextNumber, `place ${job.order} was never given`);
  check(waitsForTime || job.dueAtMs === 0, `due at ${job.dueAtMs}`);
  check(isFinished(job.state) === job.finish > 0, `finish number ${job.finish}`);
  check(isFinished(job.state) === job.finishedAtMs > 0, `finished at ${job.finishedAtMs}`);
  const { timeoutMs, deadlineAtMs } = job.options;
  check(
    timeoutMs === 0 || job.leaseExpiresAtMs <= job.startedAtMs + timeoutMs,
    "its lease outlasts its attempt's deadline",
  );
  check(
    deadlineAtMs === 0 || job.leaseExpiresAtMs <= deadlineAtMs,
    "its lease outlasts its deadline",
  );
  const waits = !isActive && !isFinished(job.state);
  const isBounded = job.expireAtMs > 0 && job.expireAtMs <= deadlineAtMs;
  check(!waits || deadlineAtMs === 0 || isBounded, "it may wait beyond its deadline");
  check(job.snoozes <= job.options.snoozesMax, `it was snoozed ${job.snoozes} times`);
}

/** Numbers that must be given once. */
function checkNumbers(report: Report, jobs: readonly Job[]): void {
  const numbers: readonly [string, (job: Job) => number | string][] = [
    ["place", (job) => job.order],
    ["live token", (job) => (job.state === "active" ? job.token : 0)],
    [
      "finish number",
      (job) => (job.finish === 0 ? 0 : `${retentionClassOf(job.state)} ${job.finish}`),
    ],
  ];
  for (const [name, of] of numbers) {
    const seen = new Set<number | string>();
    for (const job of jobs) {
      const number = of(job);
      if (number === 0) continue;
      report.check(!seen.has(number), `job ${job.seq}: ${name} ${number} was given twice`);
      seen.add(number);
    }
  }
}

function checkCounts(report: Report, queue: QueueRecord, jobs: readonly Job[]): void {
  for (const state of jobStates) {
    const recount = jobs.filter((job) => job.state === state).length;
    report.check(
      queue.counts[state] === recount,
      `queue ${queue.name}: counts ${queue.counts[state]} ${state}, has ${recount}`,
    );
  }
}

/** The line holds exactly the pending jobs, and its first is the first of them. */
function checkLine(report: Report, queue: QueueRecord, jobs: readonly Job[], engine: Engine): void {
  const pending = jobs.filter((job) => job.order > 0);
  pending.sort((one, other) => one.priority - other.priority || one.order - other.order);
  const ready = engine.readyCount(queue.name);
  report.check(
    ready === pending.length,
    `queue ${queue.name}: line of ${ready}, not ${pending.length}`,
  );
  const claimable = engine.claimable(queue.name);
  const isSure = engine.nextClaimable(queue.name) !== undefined;
  report.check(
    claimable <= pending.length && claimable > 0 === isSure,
    `queue ${queue.name}: ${claimable} claimable of ${pending.length}, and ${isSure ? "a" : "no"} next one`,
  );
  const laned = jobs.filter(
    (job) => job.options.lane !== undefined && !isFinished(job.state),
  ).length;
  report.check(
    (queue.lanedJobs ?? 0) === laned,
    `queue ${queue.name}: counts ${queue.lanedJobs ?? 0} jobs with a lane, has ${laned}`,
  );
  const next = engine.nextReady(queue.name);
  report.check(
    next === pending[0]?.seq,
    `queue ${queue.name}: next is ${next}, not ${pending[0]?.seq}`,
  );
}

/** Units of keys and resources are held by active jobs and by nobody else. */
function checkUnits(report: Report, jobs: readonly Job[], engine: Engine): void {
  const held = new Map<string, number>();
  const hold = (name: string, units: number) => held.set(name, (held.get(name) ?? 0) + units);
  for (const { state, queue, options } of jobs) {
    if (state !== "active" || options.lane === undefined) continue;
    if (options.lane.key !== undefined) hold(limitName("key", queue, options.lane.key), 1);
    for (const [name, units] of options.lane.resources ?? []) {
      hold(limitName("resource", "", name), units);
    }
  }
  const out = engine.limits.unitsOut();
  for (const name of new Set([...held.keys(), ...out.keys()])) {
    const [units, counted] = [held.get(name) ?? 0, out.get(name) ?? 0];
    report.check(
      units === counted,
      `limit ${JSON.stringify(name)}: counts ${counted} units out, active jobs hold ${units}`,
    );
  }
}

function checkRetention(
  report: Report,
  meta: Meta,
  jobs: readonly Job[],
  queues: readonly QueueRecord[],
): void {
  for (const kind of retentionClasses) {
    const finished = jobs.filter((job) => job.finish > 0 && retentionClassOf(job.state) === kind);
    const buckets = meta.buckets[kind];
    report.check(
      meta.kept[kind] === finished.length,
      `${kind}: keeps ${meta.kept[kind]}, has ${finished.length}`,
    );
    report.check(
      finished.every((job) => job.finish >= meta.floor[kind] && job.finish < meta.nextFinish[kind]),
      `${kind}: a finish number below the floor or never given`,
    );
    buckets.forEach((bucket, i) => {
      const below = buckets[i + 1]?.first ?? meta.nextFinish[kind];
      report.check(bucket.first < below, `${kind}: groups out of order at ${bucket.first}`);
      const inside = finished.filter((job) => job.finish >= bucket.first && job.finish < below);
      report.check(
        bucket.count === inside.length,
        `${kind} ${bucket.first}: counts ${bucket.count}, has ${inside.length}`,
      );
      for (const queue of queues) checkShare(report, queue, inside, [kind, bucket.first]);
    });
    const known = new Set(buckets.map(({ first }) => first));
    for (const queue of queues) {
      const strange = [...queue.finished[kind].keys()].filter((first) => !known.has(first));
      report.check(
        strange.length === 0,
        `queue ${queue.name}: counts groups ${strange} that are gone`,
      );
    }
  }
}

/** A queue's part of one retention group. */
function checkShare(
  report: Report,
  queue: QueueRecord,
  inside: readonly Job[],
  [kind, first]: readonly ["done" | "dead", number],
): void {
  const share = queue.finished[kind].get(first) ?? { completed: 0, cancelled: 0, dead: 0 };
  for (const state of ["completed", "cancelled", "dead"] as const) {
    const recount = inside.filter((job) => job.queue === queue.name && job.state === state).length;
    report.check(
      share[state] === recount,
      `queue ${queue.name}, ${kind} ${first}: counts ${share[state]} ${state}, has ${recount}`,
    );
  }
}

/** A hold belongs to a job that may be done; who waits for a key waits for an unfinished job that holds it by a lock. */
function checkKeys(report: Report, contents: StateContents, jobs: readonly Job[]): void {
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  const locks = new Map(
    [...contents.uniques()].map(({ queue, key, lock }) => [uniqueName(queue, key), lock]),
  );
  for (const { kind, key: name, value } of contents.records()) {
    const { seq } = value as { readonly seq: number };
    const job = bySeq.get(seq);
    const isItsKey =
      job !== undefined && uniqueName(job.queue, job.options.uniqueKey ?? "") === name;
    if (kind === "keyHolds") {
      const isGone = job === undefined && seq < contents.meta.nextNumber;
      report.check(isGone || isItsKey, `hold ${name}: job ${seq} does not have this key`);
      report.check(!locks.has(name), `hold ${name}: there is a lock as well`);
    } else if (kind === "followUps") {
      const lock = locks.get(name);
      report.check(isItsKey && job.state === "held", `job ${seq} does not wait for key ${name}`);
      report.check(
        lock !== undefined && lock.seq !== seq && lock.untilMs > contents.meta.nowMs,
        `job ${seq} waits for key ${name}, which nobody holds`,
      );
    }
  }
}

/** A lock is held by an unfinished job that asked for it; a job whose key is free has let its time run out. */
function checkUniques(report: Report, contents: StateContents, jobs: readonly Job[]): void {
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  for (const { queue, key, lock } of contents.uniques()) {
    const holder = bySeq.get(lock.seq);
    const fits =
      holder !== undefined &&
      holder.queue === queue &&
      holder.options.uniqueKey === key &&
      !isFinished(holder.state);
    report.check(
      fits,
      `lock ${queue} ${key}: held by job ${lock.seq}, which is ${holder?.state ?? "gone"}`,
    );
  }
}

function checkAttempts(report: Report, contents: StateContents, jobs: readonly Job[]): void {
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  const counts = new Map<number, number>();
  for (const attempt of contents.attempts()) {
    const job = bySeq.get(attempt.seq);
    report.check(
      job !== undefined && attempt.ordinal < job.history,
      `attempt ${attempt.seq}:${attempt.ordinal}: its job does not have it`,
    );
    counts.set(attempt.seq, (counts.get(attempt.seq) ?? 0) + 1);
  }
  for (const job of jobs) {
    const kept = Math.min(job.history, engineLimits.attemptsKeptMax);
    const found = counts.get(job.seq) ?? 0;
    report.check(found === kept, `job ${job.seq}: ${found} attempts, not ${kept}`);
  }
}

/** A schedule's plan grows, and what it takes for unfinished jobs of its own are that. */
function checkSchedules(report: Report, jobs: readonly Job[], engine: Engine): void {
  const table = engine.state.records("schedule");
  if (table.size === 0) return;
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  for (const [name, { id, plan, live, plannedToMs }] of table.entries()) {
    const check = (holds: boolean, says: string) =>
      report.check(holds, `schedule ${name}: ${says}`);
    check(
      plan.every((dueMs, i) => dueMs > (plan[i - 1] ?? 0) && dueMs <= plannedToMs),
      `plan ${plan} up to ${plannedToMs}`,
    );
    for (const seq of live) {
      const job = bySeq.get(seq);
      const fits = job !== undefined && !isFinished(job.state) && job.options.schedule?.id === id;
      check(fits, `job ${seq} is ${job?.state ?? "gone"}, not a live run`);
    }
  }
}
