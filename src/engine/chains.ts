/**
 * Chains: jobs that run one after the other, each with the result of the one before. What is left of a chain travels in the options of its
 * current job; a record per chain keeps where it stands and which jobs it had. The record is what makes each step begin
 * once, whatever is done to the jobs by hand.
 *
 * The record is where the first job is. A step may be in another shard: it takes along what is left of the chain, and that shard tells what
 * becomes of the job, with what is left.
 */
import { formatJobId, parseGroupId } from "../base/ids.ts";
import { jsonFor } from "../base/stored-value.ts";
import { countSpawned } from "./batches.ts";
import { mergePayload } from "./chain-payload.ts";
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { insertNew } from "./insert.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import { type Added, type StepMoved, sendable } from "./mail.ts";
import type { JobOptions } from "./options.ts";
import { type Rejection, reject } from "./outcome.ts";
import { elsewhere, queueElsewhere } from "./place.ts";
import { tooManyQueues } from "./queue-settings.ts";

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

/** Number and time of creation, from which ids are made, and the shard when it is another one. The number is 0 while that has not told it. */
export type JobRef = readonly [seq: number, createdAtMs: number, shard?: number];

/** To whom the jobs of a chain belong, all of them. */
type Belonging = Pick<JobOptions, "parentId" | "cascadeCancel" | "batchId">;

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
export function advanceChain(core: Core, job: Job, plan: ChainPlan, exit?: string): void {
  const { result } = job;
  if (elsewhere(core.place, job.options.chainId) !== undefined) {
    const said = { ...(result !== undefined && { result }), ...(exit !== undefined && { exit }) };
    tellChain(core, job, { how: "completed", ...said, ...handedOver(job, plan) });
    return;
  }
  const found = currentChain(core, job);
  if (found !== undefined) advance(core, found, { ...stepOf(job, plan), result, exit });
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
  const wasFinished = isFinished(before.state);
  const isOver = after === undefined || isFinished(after.state);
  if (wasFinished === isOver || (isOver && job.state === "completed")) return;
  const { reason } = job;
  const plan = job.options.chain;
  const died = after?.state === "dead" ? { error: core.lastError, reason } : undefined;
  if (elsewhere(core.place, job.options.chainId) !== undefined) {
    if (plan !== undefined) tellOfEnd(core, job, { plan, wasFinished, died });
    return;
  }
  const found = currentChain(core, job);
  if (found === undefined) return;
  // A step that was completed once has handed the chain on, even if it was run again since and failed.
  if (wasFinished) {
    if (plan !== undefined) resume(core, found);
  } else if (died === undefined) finish(core, found, { state: "cancelled" });
  else if (plan !== undefined) failChain(core, found, { ...stepOf(job, plan), ...died });
}

/** What became of a step in another shard. */
export function takeStep(core: Core, mail: StepMoved): void {
  const found = chainOf(core, mail.chain);
  if (found?.chain.at !== mail.step || found.chain.jobs.at(-1)?.[2] === undefined) return;
  const { plan, how, parentId, cascadeCancel = false, batchId } = mail;
  if (how === "cancelled") finish(core, found, { state: "cancelled" });
  else if (how === "runsAgain") resume(core, found);
  else if (plan === undefined) loseStep(core, mail.chain, mail.reason ?? "");
  else {
    const belongs = { parentId, cascadeCancel, batchId };
    const step = { ...mail, id: mail.job, chainId: mail.chain, plan, belongs };
    if (how === "dead") failChain(core, found, step);
    else {
      // Lost for a time, it was taken for dead.
      resume(core, found);
      advance(core, chainOf(core, mail.chain) ?? found, step);
    }
  }
}

/** The job of the step that is away will not be heard of, and with it what was to follow. */
export function loseStep(core: Core, chainId: string, reason: string): void {
  const found = chainOf(core, chainId);
  if (found !== undefined) finish(core, found, { state: "failed", reason });
}

/** A job of the chain was added in another shard, or could not be. */
export function takeAddedStep(core: Core, from: number, added: Added): void {
  const { errand, job, problem = "" } = added;
  if (errand.kind !== "step") return;
  const found = chainOf(core, errand.chain);
  const ref = job === undefined ? undefined : ([job[0], job[1], from] as const);
  if (ref === undefined && errand.batch !== undefined) countSpawned(core, errand.batch, -1);
  if (found === undefined) return;
  const { chain } = found;
  const { step } = errand;
  if (step < 0) {
    const name = step === exitStep ? "exitJob" : "failureJob";
    const { [name]: _, ...rest } = chain;
    put(core, { ...found, chain: rest }, jobOrProblem(name, ref ?? problem));
  } else if (ref !== undefined) {
    put(core, found, { jobs: chain.jobs.map((one, i) => (i === step ? ref : one)) });
  } else if (chain.at === step) {
    const left = { ...found, chain: { ...chain, at: step - 1, jobs: chain.jobs.slice(0, step) } };
    put(core, left, {});
    finish(core, left, { state: "failed", reason: problem });
  }
}

interface Found {
  readonly key: string;
  readonly chain: Chain;
}

/** A step that ended, wherever it is. */
interface Step {
  readonly id: string;
  readonly chainId: string | undefined;
  /** What is left after it. */
  readonly plan: ChainPlan;
  readonly belongs: Belonging;
  readonly result?: string | undefined;
  readonly exit?: string | undefined;
  readonly error?: string | undefined;
  readonly reason?: string | undefined;
}

function stepOf({ seq, createdAtMs, options }: Job, plan: ChainPlan): Step {
  const { chainId, parentId, cascadeCancel, batchId } = options;
  const id = formatJobId(seq, createdAtMs, plan.shard);
  return { id, chainId, plan, belongs: { parentId, cascadeCancel, batchId } };
}

/** A step of a chain of another shard ended without success, or is run again. */
function tellOfEnd(
  core: Core,
  job: Job,
  of: {
    readonly plan: ChainPlan;
    readonly wasFinished: boolean;
    readonly died: Pick<Step, "error" | "reason"> | undefined;
  },
): void {
  if (of.wasFinished) tellChain(core, job, { how: "runsAgain" });
  else if (of.died === undefined) tellChain(core, job, { how: "cancelled" });
  else {
    const { error, reason } = of.died;
    const said = { ...(error !== undefined && { error }), ...(reason !== undefined && { reason }) };
    tellChain(core, job, { how: "dead", ...said, ...handedOver(job, of.plan) });
  }
}

/** What the shard of the chain needs to go on after a step. */
function handedOver(
  { options: { parentId, cascadeCancel, batchId } }: Job,
  plan: ChainPlan,
): Pick<StepMoved, "plan" | "parentId" | "cascadeCancel" | "batchId"> {
  return {
    plan,
    ...(parentId !== undefined && { parentId }),
    ...(cascadeCancel && { cascadeCancel }),
    ...(batchId !== undefined && { batchId }),
  };
}

/** Tells the shard of the chain what became of its step here. */
function tellChain(
  core: Core,
  { seq, createdAtMs, options: { chainId = "", chainStep = exitStep } }: Job,
  moved: Omit<StepMoved, "kind" | "chain" | "step" | "job">,
): void {
  const shard = elsewhere(core.place, chainId);
  if (shard === undefined || chainStep < 0) return;
  const job = formatJobId(seq, createdAtMs, core.place.shard);
  core.post.send(shard, { kind: "step", chain: chainId, step: chainStep, job, ...moved });
}

/** The chain of this shard behind an id. */
function chainOf(core: Core, id: string): Found | undefined {
  const parsed = elsewhere(core.place, id) === undefined ? parseGroupId("chn", id) : undefined;
  if (parsed === undefined) return undefined;
  const key = String(parsed.seq);
  const chain = core.state.records("chain").get(key);
  return chain === undefined ? undefined : { key, chain };
}

/** The chain whose current step this job is. */
function currentChain(core: Core, { options: { chainId, chainStep } }: Job): Found | undefined {
  const found = chainId === undefined ? undefined : chainOf(core, chainId);
  return found?.chain.at === chainStep ? found : undefined;
}

function advance(core: Core, found: Found, step: Step): void {
  const { plan, result, exit } = step;
  const given: [string, string][] = [["previous_job_id", JSON.stringify(step.id)]];
  if (result !== undefined) given.push(["previous_result", jsonFor(result)]);
  const [next] = plan.steps;
  if (next !== undefined && exit === undefined) {
    beginStep(core, found, { step, next, given });
    return;
  }
  const reason = exit === undefined || exit === "" ? {} : { reason: exit };
  const state = next === undefined ? "completed" : "exited";
  const exitJob =
    plan.onExit === undefined
      ? undefined
      : spawn(core, { spec: plan.onExit, step: exitStep, given, after: step });
  finish(core, found, { state, ...reason, ...jobOrProblem("exitJob", exitJob) });
}

function failChain(core: Core, found: Found, step: Step): void {
  const { plan } = step;
  const error = JSON.stringify(step.error ?? step.reason ?? "");
  const [next] = plan.steps;
  if (plan.onFailure === "continue" && next !== undefined) {
    const given: [string, string][] = [
      ["previous_job_id", JSON.stringify(step.id)],
      ["previous_error", error],
    ];
    beginStep(core, found, { step, next, given });
    return;
  }
  const reason = step.reason === undefined ? {} : { reason: step.reason };
  // Run again by hand and dead again, the chain has had its handler.
  if (typeof plan.onFailure !== "object" || found.chain.failureJob !== undefined) {
    finish(core, found, { state: "failed", ...reason });
    return;
  }
  const given: [string, string][] = [
    ["failed_job_id", JSON.stringify(step.id)],
    ["failed_step", String(found.chain.at)],
    ["error", error],
  ];
  const failureJob = spawn(core, { spec: plan.onFailure, step: failureStep, given, after: step });
  finish(core, found, { state: "failed", ...reason, ...jobOrProblem("failureJob", failureJob) });
}

interface Next {
  /** The step before. */
  readonly step: Step;
  readonly next: NewJob;
  readonly given: readonly (readonly [string, string])[];
}

function beginStep(core: Core, found: Found, { step, next, given }: Next): void {
  const { chain } = found;
  const at = chain.at + 1;
  const plan = { ...step.plan, steps: step.plan.steps.slice(1) };
  const begun = spawn(core, { spec: next, step: at, given, after: step, plan });
  if (typeof begun === "string") finish(core, found, { state: "failed", reason: begun });
  else put(core, found, { at, jobs: [...chain.jobs, begun] });
}

interface Spawn {
  readonly spec: NewJob;
  readonly step: number;
  readonly given: readonly (readonly [string, string])[];
  readonly after: Step;
  readonly plan?: ChainPlan;
}

/** Adds a job of the chain; it belongs where the one before it belongs. The problem in words when it cannot be added. */
function spawn(core: Core, { spec, step, given, after, plan }: Spawn): JobRef | string {
  const { chainId, belongs } = after;
  const job: NewJob = {
    ...spec,
    payload: mergePayload(spec.payload, given),
    options: { ...spec.options, chainId, chainStep: step, chain: plan, ...belongs },
  };
  const to = queueElsewhere(core.place, spec.queue);
  if (to !== undefined) {
    const { batchId: batch } = belongs;
    const of = batch === undefined ? {} : { batch };
    const errand = { kind: "step", chain: chainId ?? "", step, ...of } as const;
    core.post.send(to, { kind: "add", job: sendable(job), errand });
    if (batch !== undefined) countSpawned(core, batch, 1);
    return [0, 0, to];
  }
  const added = insertNew(core, job);
  return added === undefined ? tooManyQueues(spec.queue).message : [added.seq, added.createdAtMs];
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
