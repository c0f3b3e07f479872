/**
 * What became of chains and batches, as the entries that are applied tell, first node first. Each step of a chain begins once, and
 * only after the one before; what follows the end of a batch runs once, when all its jobs have ended, and is told their counts.
 */
import { batchIdOf, type JobBatch } from "../../src/engine/batches.ts";
import { type Chain, type ChainPlan, exitStep, failureStep } from "../../src/engine/chains.ts";
import { isFinished, type Job, type JobState } from "../../src/engine/job.ts";

interface KnownChain {
  readonly plan: ChainPlan;
  /** Jobs by step. */
  readonly jobs: Map<number, number>;
}

interface KnownBatch {
  record: JobBatch;
  readonly members: number[];
  /** The jobs that followed its end. */
  readonly called: Set<string>;
}

interface Told {
  readonly batch_id: string;
  readonly total: number;
  readonly completed: number;
  readonly dead: number;
  readonly cancelled: number;
  readonly callback: string;
}

/** Workers of the simulation end a chain when they ack one of these. */
export function endsChain(seq: number): boolean {
  return seq % 7 === 0;
}

export class FlowLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #states = new Map<number, JobState>();
  /** Jobs that were completed at any time: as steps, they have handed their chain on. */
  readonly #completed = new Set<number>();
  readonly #chains = new Map<string, KnownChain>();
  readonly #batches = new Map<string, KnownBatch>();

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  jobChanges(previous: Job | undefined, next: Job): void {
    this.#states.set(next.seq, next.state);
    if (next.state === "completed") this.#completed.add(next.seq);
    if (previous !== undefined) return;
    const { batchId, chainId, cascadeCancel } = next.options;
    if (cascadeCancel) this.#note("children");
    if (batchId !== undefined) this.#batches.get(batchId)?.members.push(next.seq);
    if (chainId !== undefined) this.#beginStep(next, chainId);
    if (next.payload.startsWith('{"batch_id"')) this.#callBack(JSON.parse(next.payload) as Told);
  }

  /** A record of any kind was put, or deleted when undefined. */
  changed(kind: string, key: string, value: unknown): void {
    if (kind !== "batch" || value === undefined) return;
    const record = value as JobBatch;
    const id = batchIdOf([Number(key), record.createdAtMs], record.shard);
    const known = this.#batches.get(id);
    if (known === undefined) {
      this.#batches.set(id, { record, members: [], called: new Set() });
      return;
    }
    if (known.record.finishedAtMs === 0 && record.finishedAtMs > 0) {
      this.#note(`batch_${record.state}`);
    }
    known.record = record;
  }

  /** At the end, when nothing is left to do but what waits for people. */
  check(chains: Iterable<readonly [string, Chain]>): void {
    for (const [key, chain] of chains) this.#checkChain(key, chain);
    for (const [id, batch] of this.#batches) this.#checkBatch(id, batch);
  }

  #beginStep(job: Job, chainId: string): void {
    const { chain: plan, chainStep: step = 0 } = job.options;
    const known = this.#chains.get(chainId);
    if (known === undefined) {
      if (plan === undefined || step !== 0) {
        this.#report(`job ${job.seq} is step ${step} of chain ${chainId}, which has not begun`);
      } else this.#chains.set(chainId, { plan, jobs: new Map([[0, job.seq]]) });
      return;
    }
    this.#note(step >= 0 ? "chainSteps" : "chainEnds");
    const before = known.jobs.get(step);
    if (before !== undefined) {
      this.#report(`step ${step} of chain ${chainId} began as job ${before} and as ${job.seq}`);
    }
    const last = known.jobs.get(step - 1);
    const lastState = this.#states.get(last ?? 0);
    const mayFollow =
      lastState === "completed" || (lastState === "dead" && known.plan.onFailure === "continue");
    if (step > 0 && !mayFollow) {
      this.#report(`step ${step} of chain ${chainId} began when job ${last} was ${lastState}`);
    }
    known.jobs.set(step, job.seq);
  }

  #checkChain(key: string, { state, at, jobs }: Chain): void {
    const [first] = jobs;
    const known = [...this.#chains.values()].find((chain) => chain.jobs.get(0) === first?.[0]);
    if (known === undefined) {
      this.#report(`chain ${key} was never seen to begin`);
      return;
    }
    const seq = known.jobs.get(at) ?? 0;
    const ended = this.#completed.has(seq) ? "completed" : this.#states.get(seq);
    const isLast = at === known.plan.steps.length;
    const end = isLast ? "completed" : "exited";
    const mayEnd = isLast || endsChain(seq);
    const isRight =
      ended === "completed"
        ? state === end && mayEnd
        : ended === "dead"
          ? state === "failed"
          : state === (ended === "cancelled" ? "cancelled" : "running");
    if (!isRight) this.#report(`chain ${key} is ${state} with step ${at} ${ended}`);
    const hasExit = known.jobs.has(exitStep);
    if (hasExit !== (ended === "completed" && known.plan.onExit !== undefined)) {
      this.#report(`chain ${key} is ${state} ${hasExit ? "with" : "without"} what follows its end`);
    }
    if (state === "failed" && typeof known.plan.onFailure === "object") {
      if (!known.jobs.has(failureStep)) this.#report(`nobody was told that chain ${key} failed`);
    }
  }

  #callBack(told: Told): void {
    const { batch_id, callback, ...counts } = told;
    const batch = this.#batches.get(batch_id);
    if (batch === undefined) {
      this.#report(`${callback} of a batch ${batch_id} that is unknown`);
      return;
    }
    this.#note(`callback_${callback}`);
    if (batch.called.has(callback)) this.#report(`${callback} of batch ${batch_id} runs twice`);
    batch.called.add(callback);
    const count = (state: JobState) =>
      batch.members.filter((seq) => this.#states.get(seq) === state).length;
    const seen = {
      total: batch.members.length,
      completed: count("completed"),
      dead: count("dead"),
      cancelled: count("cancelled"),
    };
    if (JSON.stringify(seen) !== JSON.stringify(counts)) {
      this.#report(
        `${callback} of batch ${batch_id} was told ${JSON.stringify(counts)}, and there are ${JSON.stringify(seen)}`,
      );
    }
    const isWhole = seen.completed === seen.total;
    const isOver = seen.completed + seen.dead + seen.cancelled === seen.total;
    const isCancelled = batch.record.state === "cancelling";
    const mayRun =
      callback === "complete" || (!isCancelled && isWhole === (callback === "success"));
    if (!isOver || !mayRun) {
      this.#report(`${callback} of batch ${batch_id} runs with ${JSON.stringify(seen)}`);
    }
  }

  /** Each batch of the simulation has all three callbacks. */
  #checkBatch(id: string, { record, members, called }: KnownBatch): void {
    const { state, finishedAtMs } = record;
    if (state === "open") this.#report(`batch ${id} was never sealed`);
    const isOver = members.every((seq) => isFinished(this.#states.get(seq) ?? "pending"));
    if (isOver && finishedAtMs === 0) this.#report(`batch ${id} is ${state}, and all have ended`);
    const expected = finishedAtMs === 0 ? 0 : state === "cancelled" ? 1 : 2;
    if (called.size !== expected) {
      this.#report(`batch ${id} is ${state}, and of what follows ran ${[...called]}`);
    }
  }
}
