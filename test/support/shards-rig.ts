/**
 * Engines of several shards and a post between them that the test drives: messages are taken when it says so, as often and in
 * whatever order between the shards it likes, and an engine can be made anew from its state at any moment.
 */
import { formatJobId, parseJobId } from "../../src/base/ids.ts";
import { shardOfQueue } from "../../src/base/placement.ts";
import type { AckItem, Change, EnqueueJobs, NewJob } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import type { Job } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { Outcome } from "../../src/engine/outcome.ts";
import { hashState } from "../../src/engine/state-hash.ts";
import { refuseIllFormed } from "../../src/engine/well-formed.ts";

interface Shard {
  readonly state: MemoryState;
  engine: Engine;
}

export class ShardsRig {
  readonly shards: readonly Shard[];
  readonly #stepsMax: number | undefined;
  readonly #others: readonly Shard[] | undefined;
  nowMs = 1_800_000_000_000;

  /** New ones, or as they are in these states. */
  constructor(count: number, states?: readonly MemoryState[], stepsMax?: number) {
    this.#stepsMax = stepsMax;
    const make = () =>
      Array.from({ length: count }, (_, shard) => {
        const state = new MemoryState(states?.[shard]);
        state.meta.featureLevel = newestFeatureLevel;
        return { state, engine: new Engine(state, stepsMax, { shard, shards: count }) };
      });
    this.shards = make();
    // Those that never start anew, to be compared with those that do.
    if (stepsMax !== undefined) this.#others = make();
  }

  /** Hashes of the states of all shards, and of those whose engines never started anew. */
  hashes(): readonly [string[], string[]] {
    const of = (shards: readonly Shard[]) => shards.map(({ state }) => hashState(state.contents()));
    return [of(this.shards), of(this.#others ?? this.shards)];
  }

  /** A queue of each shard, with a name that begins so. */
  queues(stem: string): string[] {
    const names: string[] = [];
    for (let i = 0; names.filter(Boolean).length < this.shards.length; i++) {
      names[this.shardOf(`${stem}-${i}`)] ??= `${stem}-${i}`;
    }
    return names;
  }

  shardOf(queue: string): number {
    return shardOfQueue(queue, this.shards.length);
  }

  at(shard: number): Shard {
    const found = this.shards[shard];
    if (found === undefined) throw new Error(`no shard ${shard}`);
    return found;
  }

  apply(shard: number, change: Change): Outcome {
    const [outcome] = this.applyAll(shard, [change]);
    if (outcome === undefined) throw new Error("one change has one outcome");
    return outcome;
  }

  /** All in one entry of the log. */
  applyAll(shard: number, asked: readonly Change[]): Outcome[] {
    for (const change of asked) refuseIllFormed(change);
    const { engine, state } = this.at(shard);
    // What other nodes read from the log is text.
    const changes = JSON.parse(JSON.stringify(asked)) as Change[];
    const outcomes = engine.apply({ nowMs: this.nowMs, seed: 1, changes });
    this.#others?.[shard]?.engine.apply({ nowMs: this.nowMs, seed: 1, changes });
    const violations = findViolations(state.contents(), engine);
    if (violations.length > 0) throw new Error(`shard ${shard}: ${violations.join("\n")}`);
    return outcomes;
  }

  /** The engine of the shard is made anew from its records. */
  restart(shard: number): void {
    const { state } = this.at(shard);
    const place = { shard, shards: this.shards.length };
    this.at(shard).engine = new Engine(state, this.#stepsMax, place);
  }

  enqueue(
    jobs: readonly NewJob[],
    more: Partial<EnqueueJobs> = {},
  ): { ids: string[]; batch: readonly [number, number] | undefined; outcome: Outcome } {
    const shard = this.shardOf(jobs[0]?.queue ?? "");
    const outcome = this.apply(shard, { kind: "enqueue", jobs, shard, across: true, ...more });
    if (outcome.kind !== "enqueued") return { ids: [], batch: undefined, outcome };
    const [seq = 0, createdAtMs = 0] = outcome.batch ?? [];
    const ids = idsOf(shard, outcome);
    return { ids, batch: outcome.batch && [seq, createdAtMs], outcome };
  }

  /** Adds one job; its id. */
  add(queue: string, options: Partial<NewJob["options"]> = {}): string {
    const { ids, outcome } = this.enqueue([{ queue, payload: "{}", options }]);
    const [id] = ids;
    if (id === undefined || !id.startsWith("job_")) throw new Error(JSON.stringify(outcome));
    return id;
  }

  claim(queue: string): Job | undefined {
    const shard = this.shardOf(queue);
    const change = { kind: "claim", queues: [queue], count: 1, leaseMs: 60_000 } as const;
    const outcome = this.apply(shard, change);
    return outcome.kind === "claimed" ? outcome.jobs[0] : undefined;
  }

  /** Runs the next job of the queue, which must be there. */
  run(queue: string, how: "ack" | "fail" = "ack", extra: Partial<AckItem> = {}): Job {
    const job = this.claim(queue);
    if (job === undefined) throw new Error(`no job is ready in ${queue}`);
    const { seq, token } = job;
    const shard = this.shardOf(queue);
    if (how === "ack") this.apply(shard, { kind: "ack", items: [{ seq, token, ...extra }] });
    else {
      const item = { seq, token, error: "boom", retryable: false };
      this.apply(shard, { kind: "fail", items: [item] });
    }
    return job;
  }

  manage(action: "cancel" | "delete" | "retry", id: string): Outcome {
    const { shard, seq } = parsed(id);
    return this.apply(shard, { kind: "manage", action, seqs: [seq] });
  }

  job(id: string): Job | undefined {
    const { shard, seq } = parsed(id);
    return this.at(shard).state.getJob(seq);
  }

  idOf(shard: number, { seq, createdAtMs }: Job): string {
    return formatJobId(seq, createdAtMs, shard);
  }

  /** All that are in a queue and not finished, or finished. */
  jobsOf(queue: string): Job[] {
    const { state } = this.at(this.shardOf(queue));
    return [...state.jobs.values()].filter((job) => job.queue === queue);
  }

  /** Lets a shard take what another one has for it, some of it, or from an earlier point than needed. */
  take(from: number, to: number, { most = 1000, again = 0 } = {}): boolean {
    const delivery = this.deliveryOf(from, to, { most, again });
    if (delivery === undefined) return false;
    this.apply(to, delivery);
    return true;
  }

  /** The change that does so; undefined when there is nothing. */
  deliveryOf(from: number, to: number, { most = 1000, again = 0 } = {}): Change | undefined {
    const { post } = this.at(from).engine;
    const taken = Math.max(0, this.at(to).engine.post.takenFrom(from) - again);
    const { first, mails } = post.after(to, taken, most);
    return mails.length === 0 ? undefined : { kind: "deliver", from, first, mails };
  }

  forget(from: number, to: number): boolean {
    const first = this.at(from).engine.post.firstTo(to);
    const through = this.at(to).engine.post.takenFrom(from);
    if (first === undefined || through < first) return false;
    this.apply(from, { kind: "forgetMail", to, through });
    return true;
  }

  /** Until nothing is on its way and nothing is left to do. */
  settle(): void {
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const [from, shard] of this.shards.entries()) {
        if (shard.engine.nextDeadlineMs() <= this.nowMs) {
          this.apply(from, { kind: "advanceTime", limit: 1000 });
          isMoving = true;
        }
        for (const to of [...shard.engine.post.destinations()]) {
          if (this.take(from, to)) isMoving = true;
          if (this.forget(from, to)) isMoving = true;
        }
      }
    }
  }
}

/** Ids of the jobs that an outcome added, or the codes of what it refused. */
export function idsOf(shard: number, outcome: Outcome): string[] {
  const results = outcome.kind === "enqueued" ? outcome.results : [];
  return results.map((result) =>
    result.kind === "rejected" ? result.code : formatJobId(result.seq, result.createdAtMs, shard),
  );
}

function parsed(id: string): { shard: number; seq: number } {
  const found = parseJobId(id);
  if (found === undefined) throw new Error(`not a job: ${id}`);
  return found;
}
