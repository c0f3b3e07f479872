/** The rules of docs/spec/flow.md on chains, with a list and scans. */
import { parseGroupId } from "../../src/base/ids.ts";
import type { ChainPlan, ChainState } from "../../src/engine/chains.ts";
import type { NewJob } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { GroupKeeper } from "./naive-groups.ts";
import type { ModelJob } from "./naive-job.ts";

interface ModelChain {
  readonly seq: number;
  state: ChainState;
  at: number;
  finishedAtMs: number;
  jobs: number[];
  exitJob: number | undefined;
  failureJob: number | undefined;
}

export interface ChainHost {
  readonly nowMs: () => number;
  /** Adds a job of a chain; its number. */
  readonly add: (spec: NewJob, of: Partial<JobOptions>) => number;
}

export class NaiveChains implements GroupKeeper {
  readonly #host: ChainHost;
  #chains: ModelChain[] = [];

  constructor(host: ChainHost) {
    this.#host = host;
  }

  began(job: ModelJob): void {
    if (job.options.chain === undefined) return;
    this.#chains.push({
      seq: job.seq,
      state: "running",
      at: 0,
      finishedAtMs: 0,
      jobs: [job.seq],
      exitJob: undefined,
      failureJob: undefined,
    });
  }

  /** The step was acked; `plan` is what was left of the chain before. */
  acked(job: ModelJob, plan: ChainPlan | undefined, exit: boolean): void {
    const chain = this.#of(job);
    if (chain === undefined || plan === undefined) return;
    const [next] = plan.steps;
    if (next !== undefined && !exit) {
      this.#goOn(chain, job, plan, next);
      return;
    }
    if (plan.onExit !== undefined) chain.exitJob = this.#spawn(plan.onExit, job, -1);
    this.#end(chain, next === undefined ? "completed" : "exited");
  }

  stepEnded(job: ModelJob, how: "completed" | "dead" | "cancelled" | "deleted"): void {
    const chain = this.#of(job);
    const plan = job.options.chain;
    if (chain === undefined || how === "completed") return;
    if (how !== "dead" || plan === undefined) {
      this.#end(chain, "cancelled");
      return;
    }
    const [next] = plan.steps;
    if (plan.onFailure === "continue" && next !== undefined) {
      this.#goOn(chain, job, plan, next);
      return;
    }
    if (typeof plan.onFailure === "object") {
      chain.failureJob ??= this.#spawn(plan.onFailure, job, -2);
    }
    this.#end(chain, "failed");
  }

  /** By hand, before the job's state changes. */
  runsAgain(job: ModelJob): void {
    const chain = this.#of(job);
    // A step that was completed once has handed the chain on.
    if (chain === undefined || job.options.chain === undefined) return;
    chain.state = "running";
    chain.finishedAtMs = 0;
  }

  /** Those that are over. */
  ended(): readonly ModelChain[] {
    return this.#chains.filter(({ finishedAtMs }) => finishedAtMs > 0);
  }

  forget(seq: number): void {
    this.#chains = this.#chains.filter((chain) => chain.seq !== seq);
  }

  view(): unknown {
    return [...this.#chains].sort((one, other) => one.seq - other.seq);
  }

  #of(job: ModelJob): ModelChain | undefined {
    const { chainId, chainStep } = job.options;
    const seq = parseGroupId("chn", chainId ?? "")?.seq;
    return this.#chains.find((chain) => chain.seq === seq && chain.at === chainStep);
  }

  #goOn(chain: ModelChain, job: ModelJob, plan: ChainPlan, next: NewJob): void {
    const rest = { ...plan, steps: plan.steps.slice(1) };
    chain.jobs.push(this.#spawn(next, job, chain.at + 1, rest));
    chain.at++;
  }

  #spawn(spec: NewJob, after: ModelJob, chainStep: number, chain?: ChainPlan): number {
    const { chainId, parentId, cascadeCancel, batchId } = after.options;
    const inherited = { chainId, parentId, cascadeCancel, batchId };
    return this.#host.add(spec, { ...inherited, chainStep, chain });
  }

  #end(chain: ModelChain, state: ChainState): void {
    if (chain.finishedAtMs > 0) return;
    chain.state = state;
    chain.finishedAtMs = this.#host.nowMs();
  }
}
