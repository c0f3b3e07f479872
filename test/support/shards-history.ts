/**
 * Histories of jobs that belong together, told to any number of shards. A job is known by its queue and the name in its payload, which its
 * shard and its number do not show; so what came of a history in several shards can be compared with what came of it in one.
 */
import fc from "fast-check";
import { formatGroupId } from "../../src/base/ids.ts";
import type { NewJob } from "../../src/engine/change.ts";
import type { Job } from "../../src/engine/job.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { ShardsRig } from "./shards-rig.ts";

/** Two queues in each of three shards, and where dead jobs and callbacks go is one of them, too. */
export const queueNames = [...new ShardsRig(3).queues("a"), ...new ShardsRig(3).queues("b")];
export const deadQueue = new ShardsRig(3).queues("dead")[1] ?? "";

export const queue = fc.constantFrom(...queueNames);
const pick = fc.nat(1000);
const oneOf = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const enqueueStep = fc.record({
  kind: fc.constant("enqueue" as const),
  queue,
  dependsOn: fc.array(pick, { maxLength: 2 }),
  policy: fc.constantFrom("fail" as const, "wait" as const, "ignore" as const),
  parent: oneOf(pick),
  cascades: fc.boolean(),
  batch: oneOf(pick),
  steps: fc.array(queue, { maxLength: 3 }),
  onFailure: oneOf(fc.oneof(fc.constant("continue"), queue)),
  onExit: oneOf(queue),
  isPassedOn: fc.boolean(),
});

export const batchStep = fc.record({
  kind: fc.constantFrom("open" as const, "call" as const),
  queues: fc.array(queue, { minLength: 1, maxLength: 4 }),
  callbacks: fc.record({ onSuccess: queue, onFailure: queue, onComplete: queue }),
});

export const historyStep = fc.oneof(
  { weight: 5, arbitrary: enqueueStep },
  { weight: 2, arbitrary: batchStep },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("finish" as const),
      pick,
      how: fc.constantFrom("ack" as const, "ack" as const, "fail" as const, "exit" as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("manage" as const),
      pick,
      action: fc.constantFrom("cancel" as const, "delete" as const, "retry" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      pick,
      action: fc.constantFrom("seal" as const, "cancel" as const),
    }),
  },
);
export type HistoryStep = typeof historyStep extends fc.Arbitrary<infer T> ? T : never;
type Step<Kind> = Extract<HistoryStep, { readonly kind: Kind }>;

interface Known {
  readonly id: string;
  readonly shard: number;
  readonly job: Job;
}

export class HistoryWorld {
  rig: ShardsRig;
  /** Ids of jobs and batches in the order in which the history made them; undefined when they were refused. */
  readonly jobIds: (string | undefined)[] = [];
  readonly batchIds: (string | undefined)[] = [];
  readonly #stepsMax: number | undefined;

  /** With so many steps of aftermath in each batch. */
  constructor(shards: number, stepsMax?: number) {
    this.#stepsMax = stepsMax;
    this.rig = new ShardsRig(shards, undefined, stepsMax);
  }

  /** Carries a step out. False when it was refused; what `isRefused` says was refused elsewhere is not tried. */
  act(step: HistoryStep, isRefused = false): boolean {
    switch (step.kind) {
      case "enqueue":
        return this.#enqueue(step, isRefused);
      case "open":
      case "call":
        return this.#begin(step);
      case "finish":
        return this.#finish(step);
      case "manage": {
        const all = [...this.jobs().values()];
        const found = pickOf(all, step.pick);
        if (found === undefined || (step.action === "retry" && this.#isParted(found.job)))
          return true;
        const heirs = all.some(({ job }) => job.options.parentId === found.id && isHeir(job));
        if (step.action !== "delete" || !heirs) this.rig.manage(step.action, found.id);
        return true;
      }
      case "batch": {
        const id = pickOf(this.batchIds, step.pick);
        const shard = id === undefined ? 0 : Number.parseInt(id.slice(17, 20), 16);
        const batch = Number.parseInt(id?.slice(20) ?? "0", 16);
        const kind = step.action === "seal" ? "sealBatch" : "cancelBatch";
        if (id !== undefined) this.rig.apply(shard, { kind, batch });
        return true;
      }
    }
  }

  /** Goes on with copies that were made of the shards at different moments. */
  restore(copies: readonly MemoryState[]): void {
    const { nowMs } = this.rig;
    this.rig = new ShardsRig(copies.length, copies, this.#stepsMax);
    // A number that is given again is that of another time.
    this.rig.nowMs = nowMs + 1;
    for (const shard of copies.keys()) this.rig.apply(shard, { kind: "reunite" });
  }

  /** Gives out everything that is ready, so that the order of lines does not matter. */
  claimAll(): void {
    for (const name of [...queueNames, deadQueue]) while (this.rig.claim(name) !== undefined);
  }

  /** All jobs by queue, name and how many of that name came before. */
  jobs(): Map<string, Known> {
    const known = new Map<string, Known>();
    const counts = new Map<string, number>();
    for (const [shard, { state }] of this.rig.shards.entries()) {
      for (const job of [...state.jobs.values()].sort((one, other) => one.seq - other.seq)) {
        const name = `${job.queue}/${nameOf(job)}`;
        const count = counts.get(name) ?? 0;
        counts.set(name, count + 1);
        known.set(`${name}#${count}`, { id: this.rig.idOf(shard, job), shard, job });
      }
    }
    return new Map([...known].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** What can be seen of it, in words that do not depend on the shards. */
  view(): object {
    const jobs = [...this.jobs()].map(([name, { job }]) => `${name} ${job.state}`);
    const groups: string[] = [];
    for (const { state } of this.rig.shards) {
      for (const [, batch] of state.records("batch").entries()) {
        const { name, total, pending, completed, dead, cancelled } = batch;
        const jobsAfter = [batch.successJob, batch.failureJob, batch.completeJob].map(Boolean);
        const counts = [total, pending, completed, dead, cancelled].join();
        groups.push(`batch ${name}: ${batch.state} ${counts} ${jobsAfter}`);
      }
      for (const [, chain] of state.records("chain").entries()) {
        const { state: is, at, steps, exitJob, failureJob } = chain;
        groups.push(`chain: ${is} ${at}/${steps} ${[exitJob, failureJob].map(Boolean)}`);
      }
    }
    return { jobs, groups: groups.sort() };
  }

  /** A chain that is taken up again after its batch or parent was cancelled is cancelled once more where it goes to another shard. */
  #isParted({ options: { batchId = "", parentId = "", cascadeCancel, chainId } }: Job): boolean {
    if (chainId === undefined) return false;
    const batches =
      this.rig.shards[Number.parseInt(batchId.slice(17, 20), 16)]?.state.records("batch");
    const batch = batches?.get(String(Number.parseInt(batchId.slice(20), 16)));
    const isBatchOff = batch?.state === "cancelling" || batch?.state === "cancelled";
    const parent = parentId === "" ? undefined : this.rig.job(parentId);
    return isBatchOff || (cascadeCancel && parent?.state === "cancelled");
  }

  #enqueue(step: Step<"enqueue">, isRefused: boolean): boolean {
    const at = this.jobIds.length;
    const batch = step.batch === undefined ? undefined : pickOf(this.batchIds, step.batch);
    const parent = step.parent === undefined ? undefined : pickOf(this.jobIds, step.parent);
    const named = step.dependsOn
      .map((n) => pickOf(this.jobIds, n))
      .filter((id) => id !== undefined);
    const shard = this.rig.shardOf(step.queue);
    const follower = (to: string, name: string): NewJob => ({
      queue: to,
      payload: JSON.stringify({ name: `${at}.${name}` }),
    });
    const { onFailure, onExit } = step;
    const chain = {
      steps: step.steps.map((to, i) => follower(to, String(i + 1))),
      shard,
      ...(onExit !== undefined && { onExit: follower(onExit, "exit") }),
      ...(onFailure !== undefined && {
        onFailure:
          onFailure === "continue" ? ("continue" as const) : follower(onFailure, "failure"),
      }),
    };
    // Two that are cancelled together, one of which waits for the other, hear of both in an order that is up to their shards.
    const isTied = batch !== undefined || (parent !== undefined && step.cascades);
    const options: Partial<JobOptions> = {
      ...(named.length > 0 && !isTied && { dependsOn: [...new Set(named)] }),
      onDependencyFailure: step.policy,
      ...(parent !== undefined && { parentId: parent, cascadeCancel: step.cascades }),
      ...(batch !== undefined && { batchId: batch }),
      ...(step.steps.length > 0 && { chain }),
      ...(step.isPassedOn && step.queue !== deadQueue && { deadQueue }),
    };
    const job = { queue: step.queue, payload: JSON.stringify({ name: String(at) }), options };
    const id = isRefused ? undefined : this.rig.enqueue([job]).ids[0];
    this.jobIds.push(id?.startsWith("job_") === true ? id : undefined);
    return this.jobIds[at] !== undefined;
  }

  #begin({ kind, queues, callbacks }: Step<"open" | "call">): boolean {
    const name = String(this.batchIds.length);
    const [first = ""] = queues;
    const shard = this.rig.shardOf(first);
    const follower = (queueName: string, what: string): NewJob => ({
      queue: queueName,
      payload: JSON.stringify({ name: `b${name}.${what}` }),
    });
    const batch = {
      name,
      shard,
      onSuccess: follower(callbacks.onSuccess, "success"),
      onFailure: follower(callbacks.onFailure, "failure"),
      onComplete: follower(callbacks.onComplete, "complete"),
    };
    const jobs = queues.map((to, i) => follower(to, String(i)));
    const parts = [...Map.groupBy(jobs, (job) => this.rig.shardOf(job.queue)).values()];
    const [own = [], ...others] = parts;
    const split = others.length > 0 ? { parts: others.length } : {};
    const begun =
      kind === "open"
        ? this.rig.apply(shard, {
            kind: "enqueue",
            jobs: [],
            shard,
            batch: { ...batch, openMs: 1e6 },
          })
        : this.rig.enqueue(own, { batch: { ...batch, ...split } }).outcome;
    if (begun.kind !== "enqueued" || begun.batch === undefined) throw new Error("no batch");
    const [seq, createdAtMs] = begun.batch;
    const id = formatGroupId("batch", { seq, createdAtMs, shard });
    this.batchIds.push(id);
    if (kind === "call") for (const part of others) this.rig.enqueue(part, { partOf: id });
    return true;
  }

  #finish({ pick: which, how }: Step<"finish">): boolean {
    const active = [...this.jobs().values()].filter(({ job }) => job.state === "active");
    const found = pickOf(active, which);
    if (found === undefined) return true;
    const { seq, token } = found.job;
    const item = { seq, token };
    if (how === "fail") {
      const items = [{ ...item, error: "boom", retryable: false }];
      this.rig.apply(found.shard, { kind: "fail", items });
    } else {
      const items = [how === "exit" ? { ...item, exit: "enough" } : { ...item, result: "1" }];
      this.rig.apply(found.shard, { kind: "ack", items });
    }
    return true;
  }
}

/** What follows from a child after its parent was deleted finds no parent: elsewhere nobody can tell that from one that had ended. */
function isHeir({ options }: Job): boolean {
  return options.cascadeCancel && options.chainId !== undefined;
}

function nameOf(job: Job): string {
  return (JSON.parse(job.payload) as { name: string }).name;
}

export function pickOf<T>(list: readonly T[], at: number): T | undefined {
  return list.length === 0 ? undefined : list[at % list.length];
}
