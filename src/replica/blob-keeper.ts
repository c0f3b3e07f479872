/**
 * Keeps the blobs that jobs use on the nodes that keep the jobs.
 *
 * - Before a job is proposed that has a blob, the leader has the blob on a majority of the voters (`ensure`), durable. So
 *   what survives the loss of nodes with the job survives it with the blob.
 * - A node whose state names a blob that it has not fetches it from any other (`repair`): after a snapshot, after it was away, or
 *   because it was not in that majority. A blob that is not here says nothing of the job: reads ask the others.
 * - A blob that no job uses is removed after a while (`sweep`). This node alone cannot know that: its state may be behind, and
 *   an upload may be on its way to a job. So it asks the leader of every shard, whose answer is as good as a linearizable
 *   read, and keeps what anybody needs. Without that answer nothing is removed.
 *
 * Invariant: between `ensure` and the entry that uses the blob no sweep removes it, since each use of a file keeps it for
 * `graceMs`, which is far longer than a proposal waits.
 */
import { CorvoError } from "../base/errors.ts";
import type { Logger, Timers } from "../base/ports.ts";
import type { ConfState } from "../raft/message.ts";

/** The blobs of this node; `store/blobs` has them. */
export interface LocalBlobs {
  bytesOf(hash: string): number | undefined;
  use(hash: string): boolean;
  put(request: { content: AsyncIterable<Uint8Array>; hash: string }): Promise<unknown>;
  unusedFor(ageMs: number): string[];
  removeUnused(hash: string, ageMs: number): boolean;
}

/** The blobs of the others. Everything may be refused or lost on the way. */
export interface PeerBlobs {
  /** The node has it, now or already. */
  give(nodeId: number, hash: string): Promise<void>;
  /** Undefined when the node has it not. */
  take(nodeId: number, hash: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Those that the leader of the shard needs. */
  needed(nodeId: number, shard: number, hashes: readonly string[]): Promise<readonly string[]>;
}

/** What a shard of this node has to do with blobs. */
export interface BlobShard {
  readonly isLeader: boolean;
  readonly leaderId: number | undefined;
  readonly conf: ConfState;
  /** Hashes of the blobs that its jobs use, as far as they are known here. */
  uses(hash: string): boolean;
  used(): Iterable<string>;
  readBarrier(): Promise<void>;
}

interface Found {
  readonly isHere: boolean;
  /** Why one of the others could not be asked, or could not give it: it may be there. */
  readonly doubt?: string;
}

interface KeeperDeps {
  readonly selfId: number;
  readonly local: LocalBlobs;
  readonly peers: PeerBlobs;
  readonly shards: readonly BlobShard[];
  /** Numbers of the other nodes. */
  readonly others: () => readonly number[];
  readonly timers: Timers;
  readonly logger: Logger;
  /** How long a blob that no job uses is kept. */
  readonly graceMs: number;
}

const repairRetryMs = 2000;
const sweepMsMax = 60_000;
/** Hashes of one question. */
export const neededHashesMax = 1000;

export class BlobKeeper {
  readonly #deps: KeeperDeps;
  readonly #fetches = new Map<string, Promise<Found>>();
  #missing: readonly string[] = [];
  #isRepairing = false;
  #isAskedFor = false;
  #isStopped = false;
  #cancelRepair: (() => void) | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Blobs that jobs use and that are not here. */
  get missing(): number {
    return this.#missing.length;
  }

  start(): void {
    this.changed();
    this.#sweepLater();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRepair?.();
    this.#cancelSweep?.();
  }

  /** A job has another blob than before. */
  changed(): void {
    this.#isAskedFor = true;
    if (this.#isRepairing || this.#isStopped) return;
    this.#cancelRepair?.();
    this.#isRepairing = true;
    // The entries of one start, or of one batch, are looked at together.
    queueMicrotask(() => void this.#repair());
  }

  /** Size of the blob, once it is durable on a majority of the voters of the shard. Throws when that cannot be. */
  async ensure(hash: string, shard: number): Promise<number> {
    const { local, selfId, shards } = this.#deps;
    if (!local.use(hash)) refuseMissing(hash, await this.#find(hash));
    const conf = shards[shard]?.conf;
    if (conf === undefined) throw new Error(`there is no shard ${shard}`);
    await this.#spread(hash, new Set([selfId]), conf);
    const bytes = local.bytesOf(hash);
    if (bytes === undefined) throw new CorvoError("BLOB_NOT_FOUND", `blob ${hash} is gone again`);
    return bytes;
  }

  /** Gets a blob from whoever has it. False when nobody who could be asked has. */
  async fetch(hash: string): Promise<boolean> {
    return (await this.#find(hash)).isHere;
  }

  #find(hash: string): Promise<Found> {
    let fetch = this.#fetches.get(hash);
    if (fetch === undefined) {
      fetch = this.#fetch(hash).finally(() => this.#fetches.delete(hash));
      this.#fetches.set(hash, fetch);
    }
    return fetch;
  }

  /** Those of the blobs that the shard needs, as its leader knows it. */
  async neededBy(shard: number, hashes: readonly string[]): Promise<string[]> {
    const { shards, local, graceMs } = this.#deps;
    const own = shards[shard];
    if (own?.isLeader !== true) {
      throw new CorvoError("UNAVAILABLE", `this node does not lead shard ${shard}`);
    }
    await own.readBarrier();
    const unused = new Set(local.unusedFor(graceMs));
    const isYoung = (hash: string) => local.bytesOf(hash) !== undefined && !unused.has(hash);
    return hashes.filter((hash) => own.uses(hash) || isYoung(hash));
  }

  /** Removes what nobody needs; how many that were. */
  async sweep(): Promise<number> {
    const { local, graceMs, shards } = this.#deps;
    const unused = local.unusedFor(graceMs);
    const isUsed = (hash: string) => shards.some((shard) => shard.uses(hash));
    let left = unused.filter((hash) => !isUsed(hash)).slice(0, neededHashesMax);
    for (let shard = 0; shard < shards.length && left.length > 0; shard++) {
      const needed = new Set(await this.#askLeader(shard, left));
      left = left.filter((hash) => !needed.has(hash));
    }
    return left.filter((hash) => !isUsed(hash) && local.removeUnused(hash, graceMs)).length;
  }

  #askLeader(shard: number, hashes: readonly string[]): Promise<readonly string[]> {
    const { shards, peers } = this.#deps;
    const own = shards[shard];
    if (own?.isLeader === true) return this.neededBy(shard, hashes);
    const leader = own?.leaderId;
    if (leader === undefined) {
      return Promise.reject(new CorvoError("UNAVAILABLE", `shard ${shard} has no leader`));
    }
    return peers.needed(leader, shard, hashes);
  }

  async #fetch(hash: string): Promise<Found> {
    const { local, peers, others, logger } = this.#deps;
    let found: Found = { isHere: false };
    for (const nodeId of others()) {
      try {
        const content = await peers.take(nodeId, hash);
        if (content === undefined) continue;
        await local.put({ content, hash });
        return { isHere: true };
      } catch (error) {
        found = { isHere: false, doubt: error instanceof Error ? error.message : String(error) };
        logger.debug("a blob could not be fetched", { hash, node_id: nodeId, error });
      }
    }
    return found;
  }

  /** Resolves as soon as a majority of each half of the configuration has it; the rest get it too, if they can. */
  #spread(hash: string, have: Set<number>, conf: ConfState): Promise<void> {
    const isEnough = () => isQuorum(conf.voters, have) && isQuorum(conf.votersOutgoing, have);
    if (isEnough()) return Promise.resolve();
    const { peers } = this.#deps;
    const asked = new Set([...conf.voters, ...conf.votersOutgoing]);
    for (const nodeId of have) asked.delete(nodeId);
    return new Promise((resolve, reject) => {
      let open = asked.size;
      let reason = "nobody else votes";
      const refuse = () =>
        reject(
          new CorvoError("UNAVAILABLE", `the blob is not on a majority of the nodes: ${reason}`, {
            retryAfterMs: 500,
          }),
        );
      for (const nodeId of asked) {
        peers.give(nodeId, hash).then(
          () => {
            have.add(nodeId);
            open--;
            if (isEnough()) resolve();
            else if (open === 0) refuse();
          },
          (error: unknown) => {
            reason = error instanceof Error ? error.message : String(error);
            if (--open === 0) refuse();
          },
        );
      }
      if (open === 0) refuse();
    });
  }

  async #repair(): Promise<void> {
    const { local, shards, timers, logger } = this.#deps;
    try {
      do {
        this.#isAskedFor = false;
        const used = shards.flatMap((shard) => [...shard.used()]);
        this.#missing = [...new Set(used)].filter((hash) => local.bytesOf(hash) === undefined);
        for (const hash of this.#missing) {
          if (this.#isStopped) return;
          await this.fetch(hash);
        }
        this.#missing = this.#missing.filter((hash) => local.bytesOf(hash) === undefined);
      } while (this.#isAskedFor && !this.#isStopped);
    } catch (error) {
      logger.error("blobs could not be fetched", { error });
    } finally {
      this.#isRepairing = false;
    }
    if (this.#missing.length === 0 || this.#isStopped) return;
    this.#cancelRepair = timers.after(repairRetryMs, () => this.changed());
  }

  #sweepLater(): void {
    const { timers, graceMs, logger } = this.#deps;
    const waitMs = Math.min(sweepMsMax, Math.max(100, graceMs / 2));
    this.#cancelSweep = timers.after(waitMs, () => {
      this.sweep()
        .catch((error: unknown) => {
          if (!(error instanceof CorvoError)) logger.error("blobs could not be swept", { error });
        })
        .finally(() => {
          if (!this.#isStopped) this.#sweepLater();
        });
    });
  }
}

/** An upload is on one node until a job names it, so any node that does not answer may be the one that has it. */
function refuseMissing(hash: string, { isHere, doubt }: Found): void {
  if (isHere) return;
  if (doubt === undefined) throw new CorvoError("BLOB_NOT_FOUND", `no blob ${hash}`);
  throw new CorvoError("UNAVAILABLE", `no node that could be asked has blob ${hash}: ${doubt}`, {
    retryAfterMs: 500,
  });
}

function isQuorum(voters: readonly number[], have: ReadonlySet<number>): boolean {
  const count = voters.filter((id) => have.has(id)).length;
  return voters.length === 0 || count > voters.length / 2;
}
