/**
 * What the handlers share: the replica with its claims, the readers of stored data, and the settings of this server.
 * `proposeItems` and its like are the only ways from an operation to the log.
 */
import { CorvoError } from "../base/errors.ts";
import { formatGroupId, formatJobId, type ParsedJobId, parseJobId } from "../base/ids.ts";
import { shardOfQueue } from "../base/placement.ts";
import type { Clock, Logger, Random, Timers } from "../base/ports.ts";
import type { JobRef } from "../engine/chains.ts";
import type { Change, NewBatch, NewJob } from "../engine/change.ts";
import type { Attempt, Job } from "../engine/job.ts";
import type { Effects, ItemResult, Outcome } from "../engine/outcome.ts";
import type { JobSearch } from "../engine/query.ts";
import { ClaimRates } from "../replica/claim-rates.ts";
import { Claims } from "../replica/claims.ts";
import { Courier } from "../replica/courier.ts";
import type { LeaderPart } from "../replica/duty.ts";
import { Planner } from "../replica/planner.ts";
import type { Replica } from "../replica/replica.ts";
import { Sweeper } from "../replica/sweeper.ts";
import { Trimmer } from "../replica/trimmer.ts";
import { Waker } from "../replica/waker.ts";
import type { BackupControl } from "./backup.ts";
import type { ClusterControl, DrainControl } from "./cluster.ts";
import { EventLog } from "./event-log.ts";
import type { FilterEnv } from "./filter/body.ts";
import { IdleWatch } from "./idle-watch.ts";
import type { Hmac } from "./incoming-signature.ts";
import { messageOf, type Post, wakeMessageOf } from "./outbound-message.ts";

import { defaultPacking, type Packing } from "./packed-values.ts";
import { isAcross, refuseScattered } from "./relations.ts";
import { dueTimes } from "./timetable.ts";
import { WorkerRegistry } from "./worker-registry.ts";

export interface ServiceOptions {
  /** Number of the shard whose jobs these are; their ids have it. */
  readonly shard: number;
  /** How many there are. */
  readonly shards: number;
  /** Refuse acks, fails, releases and heartbeats without a lease token. */
  readonly requireLeaseToken: boolean;
  readonly serverVersion: string;
  readonly commit: string;
  readonly nodeId: string;
  /** How durable an acknowledged write is, in words. */
  readonly durability: string;
  /** Bounds of what is packed; the defaults when absent. */
  readonly packing?: typeof defaultPacking;
}

export interface ServiceDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly search: JobSearch;
  /** Is a leader known, and everything applied that is known to be committed? */
  readonly isCurrent: () => boolean;
  readonly cluster: ClusterControl;
  readonly drain: DrainControl;
  /** The blobs of this node; a node without any takes none. */
  readonly blobs?: BlobControl;
  /** Bounds what the node keeps; without it nothing does. */
  readonly disk?: DiskControl;
  readonly backup: BackupControl;
  readonly attemptsOf: (job: Job) => Attempt[];
  /** Makes what the engine holds readable by `search`. */
  readonly fingerprint: (text: string) => string;
  readonly hmac: Hmac;
  /** Calls others. */
  readonly post: Post;
  readonly sizes: () => {
    readonly logBytes: number;
    readonly stateBytes: number;
    readonly memoryBytes: number;
    /** The index of texts, and the last job in it; undefined when there is none. */
    readonly texts: { readonly bytes: number; readonly throughSeq: number } | undefined;
  };
}

export interface DiskControl {
  /** Throws DISK_BUDGET when there is no room for new payloads of so many bytes. */
  admit(bytes: number): void;
  readonly fullReason: string | undefined;
  readonly usedBytes: number;
  readonly budgetBytes: number | undefined;
}

export interface BlobControl {
  /** Size of a blob that is here. */
  bytesOf(hash: string): number | undefined;
  /** Resolves when the blob is as durable as a job of this shard would be. */
  ensure(hash: string, shard: number): Promise<number>;
}

/** Hears that a lease which a worker holds ended by something else than that worker. */
export type RevokeListener = (lease: {
  readonly jobId: string;
  readonly token: number;
  readonly reason: "cancel" | "lost";
}) => void;

/** Looked through at the earliest with so many. */
const leaseOwnersMin = 65_536;

export class Node {
  readonly deps: ServiceDeps;
  readonly options: ServiceOptions;
  readonly replica: Replica;
  readonly claims: Claims;
  readonly claimRates: ClaimRates;
  readonly events: EventLog;
  readonly courier: Courier;
  readonly workers: WorkerRegistry;
  readonly idleWatch: IdleWatch;
  /** What is seen to while this node leads. */
  readonly #duties: readonly LeaderPart[];
  readonly startedAtMs: number;
  /** How payloads and results become what the log holds. */
  readonly packing: Packing;
  readonly #startedMs: number;
  readonly #finishWatchers = new Map<number, Set<() => void>>();
  readonly #bulkWatchers = new Map<string, Set<() => void>>();
  readonly #leaseOwners = new Map<number, RevokeListener>();
  readonly #passedOn = new WeakSet<RevokeListener>();
  #ownersMax = leaseOwnersMin;

  /** What filters of this shard's jobs are read with. */
  get filterEnv(): FilterEnv {
    return { shard: this.options.shard, nowMs: this.deps.clock.nowMs() };
  }

  constructor(replica: Replica, deps: ServiceDeps, options: ServiceOptions) {
    this.replica = replica;
    this.deps = deps;
    this.options = options;
    this.claimRates = new ClaimRates(() => deps.clock.monotonicMs());
    this.claims = new Claims(replica, deps.timers, this.claimRates);
    this.courier = new Courier({
      ...deps,
      replica,
      couriers: options.shards,
      send: (delivery, webhook) =>
        deps.post(
          messageOf(delivery, webhook, { shard: options.shard, nowMs: deps.clock.nowMs() }),
        ),
    });
    this.idleWatch = new IdleWatch(this);
    this.#duties = [
      this.courier,
      new Waker({
        ...deps,
        replica,
        call: (wake) => {
          const number = deps.random.uint32();
          return deps.post(wakeMessageOf(wake, { nowMs: deps.clock.nowMs(), number }));
        },
      }),
      new Planner({ ...deps, replica, dueTimes }),
      new Trimmer({ ...deps, replica }),
      new Sweeper({ ...deps, replica }),
      this.idleWatch,
    ];
    this.events = new EventLog(options.shard, replica.engine.state.events, {
      stored: deps.search,
      isCurrent: deps.isCurrent,
      isLeading: () => replica.isLeader,
    });
    this.workers = new WorkerRegistry(replica.engine, deps.clock);
    this.startedAtMs = deps.clock.nowMs();
    this.packing = {
      ...(options.packing ?? defaultPacking),
      get featureLevel() {
        return replica.engine.featureLevel;
      },
      blobBytes: (hash) => deps.blobs?.bytesOf(hash),
    };
    this.#startedMs = deps.clock.monotonicMs();
  }

  /** This node leads now: what its predecessor was about is its own matter. */
  lead(): void {
    for (const duty of this.#duties) duty.lead();
  }

  stop(): void {
    for (const duty of this.#duties) duty.stop();
  }

  /** Whatever became of the wall clock meanwhile. */
  get uptimeMs(): number {
    return Math.round(this.deps.clock.monotonicMs() - this.#startedMs);
  }

  /** The time as a reader sees it: the clock's, or the engine's where that is ahead. */
  get readMs(): number {
    return Math.max(this.deps.clock.nowMs(), this.replica.engine.state.meta.nowMs);
  }

  /** Carries on what a batch caused: wakes waiting workers, ends waits, tells workers of lost leases. */
  onEffects(effects: Effects): void {
    for (const queue of effects.readyQueues) this.claims.wake(queue);
    for (const workerId of effects.workersOrdered) this.workers.ordered(workerId);
    for (const duty of this.#duties) duty.onEffects(effects);
    if (this.#finishWatchers.size > 0) {
      for (const seq of effects.finished) {
        for (const watcher of this.#finishWatchers.get(seq) ?? []) watcher();
      }
    }
    for (const id of effects.bulksChanged) {
      for (const watcher of this.#bulkWatchers.get(id) ?? []) watcher();
    }
    for (const { seq, createdAtMs, token, reason } of effects.revoked) {
      const owner = this.#leaseOwners.get(token);
      this.#leaseOwners.delete(token);
      owner?.({ jobId: this.idOf({ seq, createdAtMs }), token, reason });
    }
  }

  idOf({ seq, createdAtMs }: { readonly seq: number; readonly createdAtMs: number }): string {
    return formatJobId(seq, createdAtMs, this.options.shard);
  }

  batchIdOf([seq, createdAtMs]: JobRef): string {
    return formatGroupId("batch", { seq, createdAtMs, shard: this.options.shard });
  }

  /** The sequence number behind an id that exists or may exist; NOT_FOUND for anything else. */
  seqOf(jobId: string): number {
    return this.findJob(jobId).seq;
  }

  findJob(jobId: string): Job {
    const job = this.tryFindJob(jobId);
    if (job === undefined) {
      throw new CorvoError("NOT_FOUND", `no job "${shorten(jobId)}"`, { hint: goneHint });
    }
    return job;
  }

  tryFindJob(jobId: string): Job | undefined {
    const parsed = this.parseId(jobId);
    const job = parsed === undefined ? undefined : this.replica.engine.state.getJob(parsed.seq);
    // The whole id must match: a guessed sequence number is not an id.
    return job?.createdAtMs === parsed?.createdAtMs ? job : undefined;
  }

  /**
   * A call for another shard came here, from a node or client that places queues differently. It would make a queue which
   * nobody looks for here.
   */
  refuseElsewhere(queue: string): void {
    const { shard, shards } = this.options;
    if (shards === 1) return;
    const right = shardOfQueue(queue, shards);
    if (right === shard) return;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `queue "${shorten(queue)}" is in shard ${right}, and shard ${shard} was asked`,
    );
  }

  /** A worker's pause goes with the end of its attempt, so it can only be of what this shard limits. */
  refuseResourceElsewhere(resource: string): void {
    const { shard, shards } = this.options;
    const right = shardOfQueue(resource, shards);
    if (right === shard) return;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `pause_resource: "${shorten(resource)}" is in shard ${right}, and the job in shard ${shard}`,
      { hint: "Names with the same {tag} in braces share a shard." },
    );
  }

  /** The same for a job, and resources that it or what follows from it could never get. */
  refuseJobElsewhere(job: NewJob): void {
    if (this.options.shards === 1) return;
    this.refuseElsewhere(job.queue);
    refuseScattered(job, (queue) => shardOfQueue(queue, this.options.shards));
  }

  /** The same for what follows the end of a batch, which may be in any shard. */
  refuseBatchElsewhere({ onSuccess, onFailure, onComplete }: NewBatch): void {
    if (this.options.shards === 1) return;
    for (const job of [onSuccess, onFailure, onComplete]) {
      if (job === undefined) continue;
      refuseScattered(job, (queue) => shardOfQueue(queue, this.options.shards));
    }
  }

  /** `across`, for a change that brings jobs which have to do with other shards. */
  acrossOf(jobs: readonly (NewJob | undefined)[]): { readonly across?: true } {
    if (this.options.shards === 1) return {};
    return jobs.some((job) => job !== undefined && isAcross(this.options, job))
      ? { across: true }
      : {};
  }

  /** The parts of an id that this shard may have given. */
  parseId(jobId: string): ParsedJobId | undefined {
    const parsed = parseJobId(jobId);
    return parsed?.shard === this.options.shard ? parsed : undefined;
  }

  async propose(change: Change, bytes: number): Promise<Exclude<Outcome, { kind: "rejected" }>> {
    const outcome = await this.replica.submit(change, bytes);
    if (outcome.kind === "rejected") throw new CorvoError(outcome.code, outcome.message);
    return outcome;
  }

  async proposeItems(change: Change, bytes: number): Promise<readonly ItemResult[]> {
    const outcome = await this.propose(change, bytes);
    if (outcome.kind !== "items") throw new Error(`unexpected outcome ${outcome.kind}`);
    return outcome.results;
  }

  /** A change that concerns one job; its rejection is thrown. */
  async proposeOne(change: Change, bytes: number): Promise<Extract<ItemResult, { kind: "done" }>> {
    const [result] = await this.proposeItems(change, bytes);
    if (result === undefined) throw new Error("a change of one item has one result");
    if (result.kind === "rejected") {
      const hint = result.code === "NOT_FOUND" ? { hint: goneHint } : {};
      throw new CorvoError(result.code, result.message, hint);
    }
    return result;
  }

  ownLease(token: number, listener: RevokeListener): void {
    this.#leaseOwners.set(token, listener);
    if (this.#leaseOwners.size > this.#ownersMax) this.#dropOwners();
  }

  /** The client of this listener is connected to another node. */
  notePassedOn(listener: RevokeListener): void {
    this.#passedOn.add(listener);
  }

  /** Leases that streams of this node's own clients were given, and that were not ended here. */
  *ownStreamLeases(): Iterable<number> {
    for (const [token, owner] of this.#leaseOwners) {
      if (!this.#passedOn.has(owner)) yield token;
    }
  }

  /** What ended while another node led was not told here. */
  #dropOwners(): void {
    const { engine } = this.replica;
    for (const token of this.#leaseOwners.keys()) {
      if (!engine.mayHoldLease(token)) this.#leaseOwners.delete(token);
    }
    this.#ownersMax = Math.max(leaseOwnersMin, 2 * this.#leaseOwners.size);
  }

  /** The lease ended by its worker's own word, on whatever connection it came. */
  disownLease(token: number | undefined): void {
    if (token !== undefined && this.#leaseOwners.size > 0) this.#leaseOwners.delete(token);
  }

  /** Calls back when the job is finished or deleted, until the returned function is called. */
  watchFinish(seq: number, watcher: () => void): () => void {
    return watchIn(this.#finishWatchers, seq, watcher);
  }

  /** Calls back whenever the bulk action gets on, until the returned function is called. */
  watchBulk(id: string, watcher: () => void): () => void {
    return watchIn(this.#bulkWatchers, id, watcher);
  }
}

/** Of jobs and of what holds them together. */
export const goneHint = "Check the id; what is finished is removed after the retention time.";

function watchIn<Key>(all: Map<Key, Set<() => void>>, key: Key, watcher: () => void): () => void {
  let watchers = all.get(key);
  if (watchers === undefined) {
    watchers = new Set();
    all.set(key, watchers);
  }
  watchers.add(watcher);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0) all.delete(key);
  };
}

export function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
