/**
 * What the engine found to stop a job, as clients see it: a code, members for programs, and one sentence that says what
 * happened, who holds what, until when, and where it helps what to do.
 */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { formatJobId, parseJobId, shardOfId } from "../base/ids.ts";
import { formatDuration, formatTime } from "../base/time.ts";
import type { Job } from "../engine/job.ts";
import { describeTarget } from "../engine/limits/setting.ts";
import type { Standing } from "../engine/limits/standing.ts";
import type { LimitObstacle, Obstacle } from "../engine/why.ts";
import { summarizeCluster } from "./cluster-summary.ts";
import { labelsView } from "./labels.ts";
import { limitView } from "./limit-views.ts";
import type { Node } from "./node.ts";

export type Cause = ResultOf<Operations["explainJob"]>["causes"][number];

/** One thing that stops a job. */
export function causeOf(node: Node, job: Job, obstacle: Obstacle): Cause {
  switch (obstacle.kind) {
    case "finished":
      return finished(job);
    case "active":
      return active(job);
    case "held":
      return {
        code: "held",
        message: `It is held: ${job.reason ?? "no reason was given"}. It runs when it is approved (corvo jobs approve).`,
        ...(job.reason === undefined ? {} : { reason: job.reason }),
      };
    case "followUp":
      return followUp(node, obstacle);
    case "due":
      return due(job, obstacle.untilMs);
    case "dependency":
      return typeof obstacle.seq === "string"
        ? dependencyElsewhere(obstacle.seq)
        : dependency(node, job, obstacle.seq);
    case "expired":
      return {
        code: "expired",
        message: `Its time to live or its deadline ended at ${formatTime(job.expireAtMs)}: it will be dead, and not run.`,
      };
    case "queuePaused":
      return queuePaused(job.queue);
    case "fifo":
      return behindKey(node, job, obstacle);
    case "requires":
      return requires(node, obstacle.labels);
    default:
      return limitCause(node, obstacle);
  }
}

/** What stops a job, or all of a queue, by a limit. */
export function limitCause(node: Node, obstacle: LimitObstacle): Cause {
  const { status, slots } = obstacle;
  const what = capital(describeTarget(status.target));
  const limit = limitView(node, status.target);
  if (obstacle.kind === "full") {
    const held_by = obstacle.holders.map((seq) => idOf(node, seq)).filter((id) => id !== undefined);
    const max = status.setting?.concurrency ?? 0;
    const needs = slots === 1 ? "" : `, and the job needs ${slots}`;
    const by =
      held_by.length === 0
        ? ""
        : ` (${held_by.join(", ")}${status.used > held_by.length ? " …" : ""})`;
    return {
      code: "limit_full",
      message: `${what} is full: ${status.used} of ${max} ${max === 1 ? "unit" : "units"} held by active jobs${by}${needs}.`,
      limit,
      needs: slots,
      held_by,
    };
  }
  const until = formatTime(obstacle.untilMs);
  if (obstacle.kind === "paused") {
    const message = `${what} is paused until ${until}.`;
    return { code: "limit_paused", message, limit, until };
  }
  const rate = status.setting?.rate;
  const words =
    rate === undefined ? "" : ` (${rate.count} per ${formatDuration(rate.windowMs)}, ${rate.kind})`;
  return {
    code: "limit_rate",
    message: `The rate of ${describeTarget(status.target)}${words} is used up until ${until}.`,
    limit,
    until,
  };
}

export function queuePaused(queue: string): Cause {
  return {
    code: "queue_paused",
    message: `Queue "${queue}" is paused: no job of it is handed out until it is resumed (corvo queue resume).`,
  };
}

export function queueDraining(queue: string): Cause {
  return {
    code: "queue_draining",
    message: `Queue "${queue}" is being drained: it takes no new jobs until that ends (corvo queue undrain).`,
  };
}

/** A job that cannot start before its life ends. */
export function tooLate(job: Job, startMs: number): Cause {
  const until = formatTime(job.expireAtMs);
  return {
    code: "expired",
    message: `Its time to live or its deadline ends at ${until}, and it cannot start before ${formatTime(startMs)}: it will be dead, and not run.`,
    until,
  };
}

/** A ready job that nothing stops, and others go first. */
export function inLine(job: Job, { ahead, before, groups, isExact }: Standing): Cause {
  const group = job.options.lane?.group;
  const jobs = `${isExact ? "" : "at least "}${count(ahead, "job")}`;
  const turns =
    groups < 2
      ? ""
      : `; ${groups} groups take turns, and by place alone ${count(before, "job")} stand before it`;
  return {
    code: "in_line",
    message: `${capital(jobs)} of queue "${job.queue}" ${ahead === 1 ? "goes" : "go"} first${turns}.`,
    ahead,
    ...(group === undefined ? {} : { group }),
  };
}

export function noWorker(node: Node, queue: string): Cause {
  const running = node.replica.engine.state.getQueue(queue)?.counts.active ?? 0;
  const busy =
    running === 0
      ? "none of its jobs is active"
      : `${count(running, "job")} of it ${running === 1 ? "is" : "are"} active, so its workers may be busy`;
  return {
    code: "no_worker",
    message: `No worker is waiting for jobs of queue "${queue}"; ${busy}.`,
  };
}

/** What stops everything, wherever it waits. */
export function nodeCauses(node: Node): Cause[] {
  const causes: Cause[] = [];
  const readOnly = node.replica.readOnlyReason;
  if (readOnly !== undefined) {
    causes.push({
      code: "read_only",
      message: `The server is read-only, so no claim can be written: ${readOnly}.`,
      reason: readOnly,
    });
  }
  const { members, selfId } = node.deps.cluster.view();
  const draining = members.filter(({ state }) => state === "draining").map(({ id }) => id);
  if (node.deps.drain.isOn && !draining.includes(selfId)) draining.push(selfId);
  if (draining.length > 0 && draining.length >= members.length) {
    causes.push({
      code: "draining",
      message: `Every node drains (${draining.join(", ")}) and gives out no work; corvo server drain --undo ends that.`,
    });
  }
  return causes;
}

export function noLeader(node: Node): Cause {
  const { sentence } = summarizeCluster(node.deps.cluster.view());
  return {
    code: "no_leader",
    message: `No job is handed out while the cluster has no leader, as node ${node.options.nodeId} sees it. ${sentence}`,
  };
}

function finished(job: Job): Cause {
  const at = formatTime(job.finishedAtMs);
  const why = job.reason === undefined ? "" : `: ${job.reason}`;
  const again =
    job.state === "completed" ? "" : " It runs again when it is retried (corvo jobs retry).";
  return {
    code: "finished",
    message: `It is ${job.state} since ${at}${why}.${again}`,
    state: job.state,
    ...(job.reason === undefined ? {} : { reason: job.reason }),
  };
}

function active(job: Job): Cause {
  const worker = job.workerId ?? "an unnamed worker";
  const host = job.hostname === undefined ? "" : ` on ${job.hostname}`;
  const until = formatTime(job.leaseExpiresAtMs);
  return {
    code: "active",
    message: `It runs: attempt ${job.attempt}, by ${worker}${host} since ${formatTime(job.startedAtMs)}; the lease ends at ${until}.`,
    until,
    ...(job.workerId === undefined ? {} : { worker_id: job.workerId }),
  };
}

function due(job: Job, untilMs: number): Cause {
  const until = formatTime(untilMs);
  const message =
    job.state === "retrying"
      ? `Attempt ${job.attempt} of ${Math.max(1, job.options.maxRetries)} failed; the next one is due at ${until}.`
      : `It is scheduled for ${until}.`;
  return { code: "due", message, until, state: job.state };
}

function dependency(node: Node, job: Job, seq: number): Cause {
  const job_id =
    idOf(node, seq) ?? job.options.dependsOn?.find((id) => parseJobId(id)?.seq === seq);
  const state = node.replica.engine.state.getJob(seq)?.state ?? "removed";
  return {
    code: "dependency",
    message: `It waits for job ${job_id ?? seq}, which is ${state}.`,
    state,
    ...(job_id === undefined ? {} : { job_id }),
  };
}

/** A job of another shard, or the batch there in which the job is to be counted before it runs. */
function dependencyElsewhere(id: string): Cause {
  const shard = shardOfId(id) ?? 0;
  if (!id.startsWith("job_")) {
    return {
      code: "dependency",
      message: `It waits to be counted in ${id}, which is in shard ${shard}.`,
      shard,
    };
  }
  return {
    code: "dependency",
    message: `It waits for job ${id}, which is in shard ${shard} and has not ended well as far as this shard was told.`,
    job_id: id,
    shard,
  };
}

function followUp(node: Node, { key, holder }: Extract<Obstacle, { kind: "followUp" }>): Cause {
  const job_id = idOf(node, holder);
  const state = node.replica.engine.state.getJob(holder)?.state ?? "removed";
  return {
    code: "unique_key",
    message: `It follows job ${job_id ?? holder}, which is ${state} and holds the unique key "${key}" until it ends.`,
    state,
    unique_key: key,
    ...(job_id === undefined ? {} : { job_id }),
  };
}

function behindKey(
  node: Node,
  job: Job,
  { key, holder }: Extract<Obstacle, { kind: "fifo" }>,
): Cause {
  const job_id = idOf(node, holder);
  const state = node.replica.engine.state.getJob(holder)?.state ?? "removed";
  return {
    code: "fifo_key",
    message: `Jobs of queue "${job.queue}" with fifo_key "${key}" run one after the other, and job ${job_id ?? holder}, which is ${state}, goes first.`,
    fifo_key: key,
    state,
    ...(job_id === undefined ? {} : { job_id }),
  };
}

/** No worker that was heard of lately meets the requirements of a job, or of so many of a queue. */
export function requires(node: Node, labels: readonly string[], jobs?: number): Cause {
  const what = `${labels.length === 1 ? "the label" : "the labels"} ${labels.join(", ")}`;
  const none = node.replica.isLeader ? ", and none asked for jobs lately" : "";
  return {
    code: "requires",
    message:
      jobs === undefined
        ? `Only a worker with ${what} gets it${none} (corvo workers list).`
        : `${count(jobs, "ready job")} ${jobs === 1 ? "needs" : "need"} a worker with ${what}${none} (corvo workers list).`,
    requires: labelsView(labels),
    ...(jobs === undefined ? {} : { jobs }),
  };
}

function idOf(node: Node, seq: number): string | undefined {
  const job = node.replica.engine.state.getJob(seq);
  return job === undefined ? undefined : formatJobId(seq, job.createdAtMs, node.options.shard);
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
