/**
 * Chains: jobs that run one after the other, each with the result of the one before. What is left of a chain travels in the options of its
 * current job; a record per chain keeps where it stands and which jobs it had. The record is what makes each step begin
 * once, whatever is done to the jobs by hand.
 */
import { formatJobId, parseGroupId } from "../base/ids.ts";
import { bytesValueOf, jsonOf } from "../base/stored-value.ts";
import { mergePayload } from "./chain-payload.ts";
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { insertNew } from "./insert.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import { type Rejection, reject } from "./outcome.ts";

/** What is left of a chain after one of its jobs. */
export interface ChainPlan {
  readonly steps: readonly NewJob[];
  /** What is run when a step is dead; `continue` goes on with the next step instead. */
  readonly onFailure?: NewJob | "continue";
  /** What is run when the chain ended well. */
  readonly onExit?: NewJob;
  /** Shard that ids in payloads name. */
  readonly shard: number;
}

/** Steps of jobs that are none of a chain's own: they are followed by nothing. */
export const exitStep = -1;
export const failureStep = -2;

export type ChainState = "running" | "completed" | "exited" | "failed" | "cancelled";

/** Number and time of creation, from which ids are made. */
export type JobRef = readonly [seq: number, createdAtMs: number];

export interface Chain {
  readonly createdAtMs: number;
  readonly state: ChainState;
  /** Steps in all, and the one where it stands. */
  readonly steps: number;
  readonly at: number;
  /** The job of each step that began. */
  readonly jobs: readonly JobRef[];
  readonly exitJob?: JobRef;
  readonly failureJob?: JobRef;
  /** Why it ended, when that is not plain. */
  readonly reason?: string;
  /** 0 while it runs. */
  readonly finishedAtMs: number;
}

/** Why a call may not begin so many chains. */
export function refuseChains(core: Core, count: number): Rejection | undefined {
  const running = core.state.records("chain").size - core.finishedGroups.count("chain");
  if (running + count <= engineLimits.chainsMax) return undefined;
  return reject(
    "OVERLOADED",
    `chain: ${running} chains are running, at most ${engineLimits.chainsMax} (chainsMax)`,
  );
}

/** A result that is no JSON is named; it is read from the job before. */
function resultText(result: string): string {
  return jsonOf(result) ?? JSON.stringify(bytesValueOf(result));
}

/** A new job is the first of a chain. */
function beginChain(core: Core, job: Job, plan: ChainPlan): void {
  core.state.records("chain").put(String(job.seq), {
    createdAtMs: job.createdAtMs,
    state: "running",
    steps: plan.steps.length + 1,
    at: 0,
    jobs: [[job.seq, job.createdAtMs]],
    finishedAtMs: 0,
  });
}

/** A step is completed: the next begins, unless the worker ended the chain (`exit`, with its reason). */
export function advanceChain(
  core: Core,
  job: Job,
  plan: ChainPlan,
  exit: string | undefined,
): void {
  const found = currentChain(core, job);
  if (found === undefined) return;
  const given: [string, string][] = [["previous_job_id", idText(job, plan)]];
  if (job.result !== undefined) given.push(["previous_result", resultText(job.result)]);
  const [next] = plan.steps;
  if (next !== undefined && exit === undefined) {
    beginStep(core, found, { job, plan, next, given });
    return;
  }
  const reason = exit === undefined || exit === "" ? {} : { reason: exit };
  const state = next === undefined ? "completed" : "exited";
  const exitJob =
    plan.onExit === undefined
      ? undefined
      : spawn(core, { spec: plan.onExit, after: job, step: exitStep, given });
  finish(core, found, { state, ...reason, ...jobOrProblem("exitJob", exitJob) });
}

/** A job of a chain is new, ended without success, or is run again by hand. */
export function reactForChains(core: Core, before: Job | undefined, after: Job | undefined): void {
  if (before === undefined) {
    if (after?.options.chain !== undefined && after.options.chainStep === 0) {
      beginChain(core, after, after.options.chain);
    }
    return;
  }
  const job = after ?? before;
  const found = currentChain(core, job);
  if (found === undefined) return;
  const wasFinished = isFinished(before.state);
  const isOver = after === undefined || isFinished(after.state);
  if (wasFinished && !isOver) {
    // A step that was completed once has handed the chain on, even if it was run again since and failed.
    if (job.options.chain !== undefined) resume(core, found);
  } else if (!wasFinished && isOver && job.state !== "completed") {
    if (after?.state === "dead") failChain(core, found, after);
    else finish(core, found, { state: "cancelled" });
  }
}

interface Found {
  readonly key: string;
  readonly chain: Chain;
}

/** The chain whose current step this job is. */
function currentChain(core: Core, job: Job): Found | undefined {
  const { chainId, chainStep } = job.options;
  const seq = chainId === undefined ? undefined : parseGroupId("chn", chainId)?.seq;
  if (seq === undefined) return undefined;
  const key = String(seq);
  const chain = core.state.records("chain").get(key);
  return chain === undefined || chain.at !== chainStep ? undefined : { key, chain };
}

function failChain(core: Core, found: Found, job: Job): void {
  const plan = job.options.chain;
  if (plan === undefined) return;
  const error = JSON.stringify(core.lastError ?? job.reason ?? "");
  const [next] = plan.steps;
  if (plan.onFailure === "continue" && next !== undefined) {
    const given: [string, string][] = [
      ["previous_job_id", idText(job, plan)],
      ["previous_error", error],
    ];
    beginStep(core, found, { job, plan, next, given });
    return;
  }
  const reason = job.reason === undefined ? {} : { reason: job.reason };
  // Run again by hand and dead again, the chain has had its handler.
  if (typeof plan.onFailure !== "object" || found.chain.failureJob !== undefined) {
    finish(core, found, { state: "failed", ...reason });
    return;
  }
  const given: [string, string][] = [
    ["failed_job_id", idText(job, plan)],
    ["failed_step", String(found.chain.at)],
    ["error", error],
  ];
  const failureJob = spawn(core, { spec: plan.onFailure, after: job, step: failureStep, given });
  finish(core, found, { state: "failed", ...reason, ...jobOrProblem("failureJob", failureJob) });
}

interface Next {
  /** The job before. */
  readonly job: Job;
  readonly plan: ChainPlan;
  readonly next: NewJob;
  readonly given: readonly (readonly [string, string])[];
}

function beginStep(core: Core, found: Found, { job, plan, next, given }: Next): void {
  const { chain } = found;
  const at = chain.at + 1;
  const rest = { ...plan, steps: plan.steps.slice(1) };
  const begun = spawn(core, { spec: next, after: job, step: at, given, plan: rest });
  if (typeof begun === "string") finish(core, found, { state: "failed", reason: begun });
  else put(core, found, { at, jobs: [...chain.jobs, begun] });
}

interface Spawn {
  readonly spec: NewJob;
  readonly after: Job;
  readonly step: number;
  readonly given: readonly (readonly [string, string])[];
  readonly plan?: ChainPlan;
}

/** Adds a job of the chain; it belongs where the one before it belongs. The problem in words when it cannot be added. */
function spawn(core: Core, { spec, after, step, given, plan }: Spawn): JobRef | string {
  const { chainId, parentId, cascadeCancel, batchId } = after.options;
  const job = insertNew(core, {
    ...spec,
    payload: mergePayload(spec.payload, given),
    options: {
      ...spec.options,
      ...{ chainId, chainStep: step, chain: plan },
      ...{ parentId, cascadeCancel, batchId },
    },
  });
  return job === undefined
    ? `queue "${spec.queue}" would be one more than ${engineLimits.queuesMax} (queuesMax)`
    : [job.seq, job.createdAtMs];
}

function jobOrProblem(
  name: "exitJob" | "failureJob",
  job: JobRef | string | undefined,
): Partial<Chain> {
  if (job === undefined) return {};
  return typeof job === "string" ? { reason: job } : { [name]: job };
}

function resume(core: Core, found: Found): void {
  const { chain, key } = found;
  if (chain.finishedAtMs === 0) return;
  core.finishedGroups.remove("chain", Number(key), chain.finishedAtMs);
  const { reason: _, ...rest } = chain;
  core.state.records("chain").put(key, { ...rest, state: "running", finishedAtMs: 0 });
}

function finish(core: Core, found: Found, patch: Partial<Chain>): void {
  if (found.chain.finishedAtMs > 0) return;
  put(core, found, { ...patch, finishedAtMs: core.nowMs });
  core.finishedGroups.add(core, "chain", Number(found.key), core.nowMs);
}

function put(core: Core, { key, chain }: Found, patch: Partial<Chain>): void {
  core.state.records("chain").put(key, { ...chain, ...patch });
}

function idText(job: Job, plan: ChainPlan): string {
  return `"${formatJobId(job.seq, job.createdAtMs, plan.shard)}"`;
}
