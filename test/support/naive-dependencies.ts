/**
 * The rules of docs/spec/flow.md on dependencies, with nothing but arrays and scans. News of an end are told to one
 * dependent per step; how many steps a batch may do decides when, never what.
 */
import { parseJobId } from "../../src/base/ids.ts";
import { isFinished } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { ModelJob } from "./naive-job.ts";

type How = "completed" | "dead" | "cancelled" | "deleted" | "removed";

type News =
  | { kind: "ended"; seq: number; how: How; before: number; after: number; isStored: boolean }
  | { kind: "removed"; seqs: readonly number[]; isStored: boolean }
  /** Of other rules; false when nothing was left to do. */
  | { kind: "other"; step: () => boolean; isStored: boolean };

interface Wait {
  readonly seq: number;
  open: number[];
  readonly since: number;
}

/** What the model lends to these rules. */
export interface DependencyHost {
  readonly stepsMax: number;
  readonly find: (seq: number) => ModelJob | undefined;
  readonly nextNumber: () => number;
  readonly takeNumber: () => number;
  readonly standInLine: (job: ModelJob) => void;
  readonly abandon: (job: ModelJob) => void;
}

export class NaiveDependencies {
  readonly #host: DependencyHost;
  #waits: Wait[] = [];
  #news: News[] = [];
  /** Finished jobs that somebody waits for although they were told of the end. */
  #watched: number[] = [];
  #stepsLeft = 0;
  #isTelling = false;

  constructor(host: DependencyHost) {
    this.#host = host;
  }

  get hasNews(): boolean {
    return this.#news.length > 0;
  }

  isBlocked(seq: number): boolean {
    return this.#waits.some((wait) => wait.seq === seq);
  }

  /** The code with which a job is refused that depends on one that is not there. */
  refusal(options: Partial<JobOptions> | undefined): string | undefined {
    if (options?.onDependencyFailure === "ignore") return undefined;
    const isGone = (id: string) => !id.startsWith("$") && this.#byId(id) === undefined;
    return options?.dependsOn?.some(isGone) === true ? "NOT_FOUND" : undefined;
  }

  /** A new job, with ids for its references. */
  added(seq: number, options: JobOptions): void {
    const open: number[] = [];
    for (const id of options.dependsOn ?? []) {
      const job = this.#byId(id);
      if (job === undefined || job.state === "completed") continue;
      if (isFinished(job.state)) {
        if (options.onDependencyFailure === "ignore") continue;
        // Those who waited for it already have been told.
        this.#tell(job.seq, job.state as How, seq - 1);
      }
      open.push(job.seq);
    }
    if (open.length > 0) this.#waits.push({ seq, open, since: seq });
  }

  /** It waits for nobody any more. */
  drop(seq: number): void {
    this.#waits = this.#waits.filter((wait) => wait.seq !== seq);
    this.#forgetUnwaited();
  }

  /** Before a finished job is run again by hand. */
  runsAgain(job: ModelJob): void {
    if (isFinished(job.state)) {
      const open = (job.options.dependsOn ?? [])
        .map((id) => this.#byId(id))
        .filter((one) => one !== undefined && !isFinished(one.state))
        .map((one) => one?.seq ?? 0);
      if (open.length > 0) {
        this.#waits.push({ seq: job.seq, open, since: this.#host.takeNumber() });
      }
    }
    this.#unwatch(job.seq);
  }

  ended(seq: number, how: How): void {
    this.drop(seq);
    if (how === "deleted") this.#unwatch(seq);
    if (this.#dependents(seq).length > 0) this.#tell(seq, how);
  }

  /** Retention took these, in the order of their finishing. */
  removed(jobs: readonly ModelJob[]): void {
    const seqs = jobs.map(({ seq }) => seq).filter((seq) => this.#watched.includes(seq));
    if (seqs.length > 0) this.#push({ kind: "removed", seqs, isStored: false });
  }

  later(step: () => boolean): void {
    this.#push({ kind: "other", step, isStored: false });
  }

  beginBatch(): void {
    this.#stepsLeft = this.#host.stepsMax;
  }

  carryOn(): void {
    this.#isTelling = true;
    while (this.#news.length > 0 && this.#stepsLeft > 0) {
      this.#stepsLeft--;
      if (!this.#step(this.#news[0] as News)) this.#news.shift();
    }
    this.#isTelling = false;
  }

  endBatch(): void {
    for (const news of this.#news) {
      if (!news.isStored) this.#host.takeNumber();
      news.isStored = true;
    }
  }

  /** False when there was nobody left to tell. */
  #step(news: News): boolean {
    if (news.kind === "other") return news.step();
    if (news.kind === "removed") {
      const seq = news.seqs.find((one) => this.#watched.includes(one));
      if (seq === undefined) return false;
      this.#unwatch(seq);
      this.#tell(seq, "removed");
      return true;
    }
    const { seq, how } = news;
    const [wait] = this.#dependents(seq).filter((one) => one.seq > news.after);
    if (wait === undefined || wait.seq >= news.before) {
      if (how === "dead" || how === "cancelled") this.#watch(seq);
      return false;
    }
    news.after = wait.seq;
    if (wait.since >= news.before) return true;
    const job = this.#host.find(wait.seq) as ModelJob;
    const policy = job.options.onDependencyFailure;
    if (how === "completed" || policy === "ignore") {
      wait.open = wait.open.filter((one) => one !== seq);
      this.#waits = this.#waits.filter((one) => one.open.length > 0);
      this.#forgetUnwaited();
      if (wait.open.length === 0 && job.state === "pending") this.#host.standInLine(job);
    } else if (policy === "fail" || how === "deleted" || how === "removed") {
      this.#host.abandon(job);
    }
    return true;
  }

  #watch(seq: number): void {
    if (this.#dependents(seq).length === 0) return;
    const job = this.#host.find(seq);
    if (job === undefined) this.#tell(seq, "removed");
    else if (job.state === "dead" || job.state === "cancelled") this.#watched.push(seq);
  }

  #unwatch(seq: number): void {
    this.#watched = this.#watched.filter((one) => one !== seq);
  }

  #forgetUnwaited(): void {
    this.#watched = this.#watched.filter((seq) => this.#dependents(seq).length > 0);
  }

  #dependents(seq: number): Wait[] {
    return this.#waits
      .filter(({ open }) => open.includes(seq))
      .sort((one, other) => one.seq - other.seq);
  }

  #tell(seq: number, how: How, after = 0): void {
    const before = this.#host.nextNumber();
    this.#push({ kind: "ended", seq, how, before, after, isStored: false });
  }

  #push(news: News): void {
    this.#news.push(news);
    if (!this.#isTelling) this.#stepsLeft++;
  }

  #byId(id: string): ModelJob | undefined {
    const parsed = parseJobId(id);
    const job = this.#host.find(parsed?.seq ?? 0);
    return job?.createdAtMs === parsed?.createdAtMs ? job : undefined;
  }
}
