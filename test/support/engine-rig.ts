/** An engine over plain memory with a clock that the test moves, and words for what tests do most. */
import type { Change, ManageAction, NewJob, Retention } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { Effects, EnqueueResult, ItemResult, Outcome } from "../../src/engine/outcome.ts";

const startMs = 1_800_000_000_000;

export class EngineRig {
  readonly state = new MemoryState();
  readonly engine: Engine;
  nowMs = startMs;
  seed = 0;

  constructor() {
    this.state.meta.bytesFrom = 1;
    this.engine = new Engine(this.state);
  }

  /** Lets time pass; what it causes happens when `tick` is called, or in the next change that looks. */
  pass(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  apply(change: Change): Outcome {
    const [outcome] = this.engine.apply({ nowMs: this.nowMs, seed: this.seed, changes: [change] });
    const violations = findViolations(this.state.contents(), this.engine);
    if (violations.length > 0) throw new Error(violations.join("\n"));
    if (outcome === undefined) throw new Error("one change has one outcome");
    return outcome;
  }

  /** Carries out all that time has caused so far. */
  tick(): void {
    this.apply({ kind: "advanceTime", limit: 10_000 });
  }

  /** Adds one job; its number. */
  add(spec: Partial<NewJob> = {}): number {
    const result = this.enqueue(spec);
    if (result.kind !== "added") throw new Error(`not added: ${JSON.stringify(result)}`);
    return result.seq;
  }

  enqueue(spec: Partial<NewJob> = {}): EnqueueResult {
    const outcome = this.apply({
      kind: "enqueue",
      jobs: [{ queue: "q", payload: "{}", ...spec }],
    });
    const [result] = outcome.kind === "enqueued" ? outcome.results : [];
    if (result === undefined) throw new Error(`no result: ${JSON.stringify(outcome)}`);
    return result;
  }

  claimMany(count: number, queues: readonly string[] = ["q"], leaseMs = 1000): readonly Job[] {
    const outcome = this.apply({ kind: "claim", queues, count, leaseMs, workerId: "w" });
    if (outcome.kind !== "claimed") throw new Error(`not claimed: ${outcome.kind}`);
    return outcome.jobs;
  }

  /** Claims the job that is next, which must exist. */
  claim(leaseMs = 1000): Job {
    const [job] = this.claimMany(1, ["q"], leaseMs);
    if (job === undefined) throw new Error("no job is ready");
    return job;
  }

  ack(
    job: { seq: number; token?: number },
    extra: { result?: string; output?: string; exit?: string } = {},
  ) {
    return this.#one({ kind: "ack", items: [{ ...heldBy(job), ...extra }] });
  }

  fail(
    job: { seq: number; token?: number },
    extra: { retryable?: boolean; errorClass?: string } = {},
  ) {
    return this.#one({ kind: "fail", items: [{ ...heldBy(job), error: "boom", ...extra }] });
  }

  release(job: { seq: number; token?: number }, delayMs?: number) {
    const item = delayMs === undefined ? heldBy(job) : { ...heldBy(job), delayMs };
    return this.#one({ kind: "release", items: [item] });
  }

  snooze(job: { seq: number; token?: number }, delayMs: number) {
    return this.#one({ kind: "snooze", items: [{ ...heldBy(job), delayMs }] });
  }

  heartbeat(
    job: { seq: number; token?: number },
    extra: { leaseMs?: number; progress?: string; checkpoint?: string } = {},
  ) {
    return this.#one({ kind: "heartbeat", items: [{ ...heldBy(job), ...extra }] });
  }

  manage(
    action: ManageAction,
    seq: number,
    extra: { queue?: string; priority?: number; reason?: string } = {},
  ): ItemResult {
    return this.#one({ kind: "manage", action, seqs: [seq], ...extra });
  }

  keep(retention: Partial<Retention>): void {
    this.apply({ kind: "configure", retention: { ...this.state.meta.retention, ...retention } });
  }

  job(seq: number): Job {
    const job = this.state.getJob(seq);
    if (job === undefined) throw new Error(`job ${seq} is gone`);
    return job;
  }

  attempts(seq: number): readonly Attempt[] {
    return [...(this.state.attempts.get(seq)?.values() ?? [])];
  }

  takeEffects(): Effects {
    return this.engine.takeEffects();
  }

  #one(change: Change): ItemResult {
    const outcome = this.apply(change);
    const [result] = outcome.kind === "items" ? outcome.results : [];
    if (result === undefined) throw new Error(`no result: ${JSON.stringify(outcome)}`);
    return result;
  }
}

function heldBy({ seq, token }: { seq: number; token?: number }): { seq: number; token?: number } {
  return token === undefined ? { seq } : { seq, token };
}

/** The state after a change, or the code of its refusal. */
export function verdictOf(result: ItemResult): string {
  return result.kind === "done" ? result.state : result.code;
}
