/**
 * Why a job does not run, and why a queue gives nothing: what the engine finds, then what the engine cannot know: whether
 * anybody waits for work, drains, may write. Who asks a node without a leader gets what that node has, and that reason.
 *
 * Estimates say what they rest on. A time is exact where time is all that stops a job. A place in line becomes a time by how
 * fast the queue was claimed in the last minute. Anything else is unknown, and said to be.
 */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { Job } from "../engine/job.ts";
import type { LimitStatus } from "../engine/limits/limit-view.ts";
import type { QueueStanding, Standing } from "../engine/limits/standing.ts";
import type { Obstacle } from "../engine/why.ts";
import {
  type Cause,
  causeOf,
  count,
  inLine,
  limitCause,
  nodeCauses,
  noLeader,
  noWorker,
  queueDraining,
  queuePaused,
  requires,
  tooLate,
} from "./causes.ts";
import type { Node } from "./node.ts";

type JobExplanation = ResultOf<Operations["explainJob"]>;
type QueueExplanation = ResultOf<Operations["explainQueue"]>;
type Estimate = JobExplanation["starts"];

/** Limits that a queue's answer names, of those that stop its jobs. */
const stoppedMax = 5;
/** Jobs that are looked through for the one that is due first. */
const duePageMax = 1000;

export function createExplainHandlers(node: Node): Pick<Handlers, "explainJob" | "explainQueue"> {
  return {
    explainJob: async ({ params }) => explainJob(node, params.job_id),
    explainQueue: ({ params }) => explainQueue(node, params.name),
  };
}

function explainJob(node: Node, jobId: string): JobExplanation {
  const job = node.findJob(jobId);
  const { why } = node.replica.engine;
  const obstacles = why.job(job, node.readMs).filter((one) => !isMet(node, job.queue, one));
  const standing = obstacles.length === 0 ? why.standing(job, node.readMs) : undefined;
  const causes = obstacles.map((obstacle) => causeOf(node, job, obstacle));
  if (standing !== undefined && standing.ahead > 0) causes.push(inLine(job, standing));
  const waits = obstacles.every(({ kind }) => kind !== "finished" && kind !== "active");
  const around = waits ? surroundings(node, job.queue, standing !== undefined) : [];
  const startMs = waits ? earliestOf(obstacles) : 0;
  const isTooLate = job.expireAtMs > node.readMs && job.expireAtMs <= startMs;
  if (isTooLate) causes.unshift(tooLate(job, startMs));
  if (around[0]?.code === "no_leader") causes.length = 0;
  causes.push(...around);
  let starts: Estimate = {
    basis: isTooLate || obstacles[0]?.kind === "finished" ? "never" : "now",
  };
  if (waits && !isTooLate) starts = estimate(node, job, { obstacles, standing, around });
  return {
    job_id: jobId,
    queue: job.queue,
    state: job.state,
    summary: causes[0]?.message ?? nothingStops(node, job.queue),
    causes,
    stale: !node.replica.isLeader,
    starts,
  };
}

/** Before this time nothing lets a job start. A pause may be ended by hand, so it does not count. */
function earliestOf(obstacles: readonly Obstacle[]): number {
  const times = obstacles.map((one) =>
    one.kind === "due" || one.kind === "rate" ? one.untilMs : 0,
  );
  return Math.max(0, ...times);
}

/** Requirements stop nobody where a worker meets them. */
function isMet(node: Node, queue: string, obstacle: Obstacle): boolean {
  if (obstacle.kind !== "requires") return false;
  return node.workers.meeting(queue, obstacle.labels) > 0;
}

function nothingStops(node: Node, queue: string): string {
  return node.replica.isLeader
    ? "Nothing stops it: it is next, and a worker is being given it."
    : `Nothing stops it: it is the next job of queue "${queue}".`;
}

/** What else has to be there for jobs to be handed out. Whether somebody waits matters only where they could be. */
function surroundings(node: Node, queue: string, isOpen: boolean): Cause[] {
  if (!node.replica.isLeader) {
    return knowsLeader(node) ? [] : [noLeader(node)];
  }
  const causes = nodeCauses(node);
  const isLonely = node.claims.waitingAt(queue) === 0;
  if (isOpen && isLonely && causes.length === 0) causes.push(noWorker(node, queue));
  return causes;
}

/** Of the shard that the node is for. */
function knowsLeader(node: Node): boolean {
  const { shards } = node.deps.cluster.view();
  if (shards.length === 0) return node.deps.cluster.leaderUrl() !== undefined;
  return shards.some((view) => view.shard === node.options.shard && view.leaderId !== undefined);
}

interface Found {
  readonly obstacles: readonly Obstacle[];
  readonly standing: Standing | undefined;
  readonly around: readonly Cause[];
}

function estimate(node: Node, job: Job, { obstacles, standing, around }: Found): Estimate {
  const unknown = { basis: "unknown" };
  if (around.some(({ code }) => code !== "no_worker")) return unknown;
  if (standing !== undefined) {
    if (standing.ahead > 0) return byRate(node, job.queue, standing.ahead);
    return { basis: around.length === 0 && node.replica.isLeader ? "now" : "worker" };
  }
  let untilMs = 0;
  let isFull = false;
  let isAlone = true;
  for (const obstacle of obstacles) {
    if (obstacle.kind === "due" || obstacle.kind === "paused") {
      untilMs = Math.max(untilMs, obstacle.untilMs);
    } else if (obstacle.kind === "rate") {
      const turnMs = obstacle.untilMs + turnsMs(node, job, obstacle.status);
      isAlone &&= turnMs === obstacle.untilMs;
      untilMs = Math.max(untilMs, turnMs);
    } else if (obstacle.kind === "full" && obstacle.status.target.scope === "queue") {
      isFull = true;
    } else {
      return unknown;
    }
  }
  if (!isFull) return { basis: isAlone ? "time" : "rate", at: formatTime(untilMs) };
  // The queue gives one job for each that ends; how fast that goes is how fast it was claimed.
  const place = node.replica.engine.why.standing(job, node.readMs).before;
  return untilMs === 0 ? byRate(node, job.queue, place) : unknown;
}

/** How long those before a job keep a rate busy, one unit each. */
function turnsMs(node: Node, job: Job, { target, setting }: LimitStatus): number {
  const before = node.replica.engine.why.takersBefore(job, target, node.readMs);
  const { windowMs = 0, count: units = 1 } = setting?.rate ?? {};
  return Math.ceil((before * windowMs) / units);
}

function byRate(node: Node, queue: string, ahead: number): Estimate {
  const perSecond = node.replica.isLeader ? node.claimRates.perSecond(queue) : 0;
  if (perSecond === 0) return { basis: "unknown" };
  const waitMs = Math.ceil(((ahead + 1) * 1000) / perSecond);
  const claims_per_second = round(perSecond);
  return { basis: "rate", at: formatTime(node.readMs + waitMs), claims_per_second };
}

async function explainQueue(node: Node, name: string): Promise<QueueExplanation> {
  const { engine } = node.replica;
  const queue = engine.state.getQueue(name);
  if (queue === undefined) {
    throw new CorvoError("NOT_FOUND", `no queue "${name}"`, {
      hint: "A queue exists from its first job on; `corvo queue list` shows them.",
    });
  }
  const nowMs = node.readMs;
  const found = engine.why.queue(name, nowMs);
  const unmet = unmetOf(node, name, found);
  const open = unmet.reduce((left, { jobs }) => left - jobs, found.open);
  const causes: Cause[] = [];
  if (queue.paused) causes.push(queuePaused(name));
  causes.push(...engine.why.queueLimits(name, nowMs).map((stop) => limitCause(node, stop)));
  const isOpen = causes.length === 0;
  for (const { labels, jobs } of unmet) causes.push(requires(node, labels, jobs));
  if (found.open === 0) causes.push(...(await whyNoneIsOpen(node, name)));
  const around = surroundings(node, name, isOpen && open > 0);
  if (around[0]?.code === "no_leader") causes.length = 0;
  causes.push(...around);
  const next = isOpen ? engine.nextClaimable(name) : undefined;
  const job = next === undefined ? undefined : engine.state.getJob(next);
  const leads = node.replica.isLeader;
  return {
    queue: name,
    summary: causes[0]?.message ?? `Nothing stops it: ${count(open, "job")} can be claimed.`,
    causes,
    stale: !leads,
    ...(job === undefined ? {} : { next_job_id: node.idOf(job) }),
    ready: found.ready,
    open: isOpen ? open : 0,
    active: queue.counts.active,
    ...(leads
      ? {
          waiting_workers: node.claims.waitingAt(name),
          claims_per_second: round(node.claimRates.perSecond(name)),
        }
      : {}),
  };
}

/** What stops the ready jobs of a queue, in sentences, as far as the engine and the known workers say. */
export function engineStops(node: Node, name: string): string[] {
  const { why } = node.replica.engine;
  const found = why.queue(name, node.readMs);
  return [
    ...why.queueLimits(name, node.readMs).map((stop) => limitCause(node, stop)),
    ...unmetOf(node, name, found).map(({ labels, jobs }) => requires(node, labels, jobs)),
    ...stoppedCauses(node, found),
  ].map(({ message }) => message);
}

function unmetOf(node: Node, name: string, { requiring }: QueueStanding) {
  return requiring.filter(({ labels }) => !isMet(node, name, { kind: "requires", labels }));
}

/** What limits stop jobs of a queue, and those that wait for another of their key. */
function stoppedCauses(node: Node, { stopped, behindKey }: QueueStanding): Cause[] {
  const { why } = node.replica.engine;
  const causes: Cause[] = [];
  for (const { need, jobs } of stopped.slice(0, stoppedMax)) {
    for (const stop of why.shutBy(need, node.readMs)) {
      const cause = limitCause(node, stop);
      const says = `${cause.message} ${count(jobs, "ready job")} ${jobs === 1 ? "waits" : "wait"} for that.`;
      causes.push({ ...cause, message: says, jobs });
    }
  }
  if (behindKey > 0) {
    causes.push({
      code: "jobs_waiting",
      message: `${count(behindKey, "ready job")} ${behindKey === 1 ? "waits" : "wait"} for an older one of the same fifo_key (corvo queue blocked).`,
      state: "pending",
      jobs: behindKey,
    });
  }
  return causes;
}

/** No job of the queue could be claimed, whatever holds for the queue as a whole: what each kind waits for. */
async function whyNoneIsOpen(node: Node, name: string): Promise<Cause[]> {
  const { engine } = node.replica;
  const queue = engine.state.getQueue(name);
  const found = engine.why.queue(name, node.readMs);
  const causes = stoppedCauses(node, found);
  const waiting = (state: string, jobs: number, says: string) => {
    if (jobs > 0) causes.push({ code: "jobs_waiting", message: says, state, jobs });
  };
  if (queue === undefined) return causes;
  const { scheduled, retrying, held, pending } = queue.counts;
  const blocked = pending - found.ready;
  waiting(
    "pending",
    blocked,
    `${count(blocked, "job")} ${blocked === 1 ? "waits" : "wait"} for others to be completed.`,
  );
  if (scheduled + retrying > 0) causes.push(await dueCause(node, name, scheduled + retrying));
  waiting("held", held, `${count(held, "job")} ${held === 1 ? "is" : "are"} held until approved.`);
  if (causes.length === 0) {
    const { active } = queue.counts;
    const running =
      active === 0 ? "" : ` ${count(active, "job")} ${active === 1 ? "runs" : "run"}.`;
    causes.push({ code: "empty", message: `No job waits in queue "${name}".${running}` });
  }
  if (engine.why.isDraining(name)) causes.push(queueDraining(name));
  return causes;
}

async function dueCause(node: Node, queue: string, jobs: number): Promise<Cause> {
  const { jobs: found } = await node.deps.search.page({
    filter: { queue, states: ["scheduled", "retrying"] },
    sort: "created_at",
    descending: false,
    limit: duePageMax,
  });
  const firstMs = Math.min(...found.map(({ dueAtMs }) => dueAtMs));
  const until = Number.isFinite(firstMs) ? formatTime(firstMs) : undefined;
  const by = jobs > duePageMax ? "at the latest at" : "at";
  const first = until === undefined ? "" : `; the first is due ${by} ${until}`;
  return {
    code: "jobs_waiting",
    message: `${count(jobs, "job")} ${jobs === 1 ? "is" : "are"} scheduled or ${jobs === 1 ? "waits" : "wait"} for a retry${first}.`,
    state: "scheduled",
    jobs,
    ...(until === undefined ? {} : { until }),
  };
}

function round(perSecond: number): number {
  return Math.round(perSecond * 100) / 100;
}
