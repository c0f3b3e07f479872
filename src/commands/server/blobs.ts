/** Wires the blobs of a node: the store on its disk, the others, and who keeps both in step with the jobs. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { requestLimits } from "../../api/limits.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import type { BlobAccess } from "../../net/http/blob-access.ts";
import { none } from "../../raft/message.ts";
import { BlobKeeper, type BlobShard } from "../../replica/blob-keeper.ts";
import type { Membership } from "../../replica/membership.ts";
import { BlobStore } from "../../store/blobs/blob-store.ts";
import { walMovedBytes } from "../../store/state-schema.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { createBlobPeers, isProven } from "./blob-peers.ts";
import { DiskGuard, type DiskLimits, type DiskUse } from "./disk-guard.ts";
import type { PeerSecrets } from "./secret.ts";
import type { ShardCore } from "./shard.ts";
import type { Storage } from "./storage.ts";

export interface BlobOptions {
  readonly blobBytesMax?: number;
  /** How long a blob that no job uses is kept. */
  readonly blobGraceMs?: number;
  readonly disk?: DiskLimits;
}

interface BlobsEnv {
  readonly options: BlobOptions;
  readonly selfId: number;
  readonly secrets: PeerSecrets;
  readonly membership: () => Membership;
  readonly logger: Logger;
}

/** Blobs that are being written at once; each holds a few pieces in memory. */
const uploadsMax = 64;
const blobGraceMs = 600_000;

export interface Blobs {
  readonly store: BlobStore;
  readonly keeper: BlobKeeper;
  readonly access: BlobAccess;
  readonly disk: DiskGuard;
  /**
   * Do jobs use blobs that are not here? A node that is to vote looks at all of them, since before it has found out it would seem
   * to miss nothing. Any other says what it last found out.
   */
  lacksAny(): boolean;
}

export function openBlobs(storage: Storage, cores: readonly ShardCore[], env: BlobsEnv): Blobs {
  const { options, selfId, secrets, logger } = env;
  const store = BlobStore.open(join(storage.dir.path, "blobs"), {
    clock: systemClock,
    blobBytesMax: options.blobBytesMax ?? requestLimits.blobBytesMax,
    uploadsMax,
  });
  const disk = new DiskGuard(
    { path: storage.dir.path, clock: systemClock, use: () => diskUse(cores, store) },
    options.disk ?? { budgetBytes: undefined, minFreeBytes: undefined },
  );
  const keeper = new BlobKeeper({
    selfId,
    local: store,
    peers: createBlobPeers({
      secret: secrets.secret,
      urlOf: (nodeId) => env.membership().httpUrlOf(nodeId),
      read: (hash) => store.read(hash),
    }),
    shards: cores.map(blobShard),
    others: () => othersOf(env.membership(), selfId),
    timers: systemTimers,
    logger,
    graceMs: options.blobGraceMs ?? blobGraceMs,
  });
  const isToVote = () =>
    env.membership().members.some(({ id, standby }) => id === selfId && !standby) &&
    !cores.every(({ replica }) => replica.conf.voters.includes(selfId));
  return {
    ...{ store, keeper, disk, access: createAccess({ store, keeper, disk }, secrets) },
    lacksAny: () =>
      isToVote() ? cores.some((core) => lacksSome(blobShard(core), store)) : keeper.missing > 0,
  };
}

function lacksSome(shard: BlobShard, store: BlobStore): boolean {
  for (const hash of shard.used()) if (store.bytesOf(hash) === undefined) return true;
  return false;
}

/** Those heard of lately first: to find out that one is gone takes a question seconds. */
function othersOf(membership: Membership, selfId: number): number[] {
  const silentMs = (id: number) => membership.lastContactMs(id) ?? Number.MAX_SAFE_INTEGER;
  return membership.members
    .map(({ id }) => id)
    .filter((id) => id !== selfId)
    .sort((one, other) => silentMs(one) - silentMs(other));
}

/**
 * Jobs are in memory and log before they are in the database: until then the engine knows how much they hold. Asked several
 * times a second, so it walks over nothing.
 */
function diskUse(cores: readonly ShardCore[], store: BlobStore): DiskUse {
  let storedBytes = store.totalBytes;
  let countedBytes = 0;
  let reusableBytes = 0;
  let pledgedBytes = 0;
  let stateBytes = 0;
  for (const { storage, replica } of cores) {
    const { used, free } = storage.store.state.pageBytes();
    storedBytes += used;
    stateBytes += used;
    reusableBytes += free;
    pledgedBytes += stillToWrite(storage.files.statePath, used, used + free);
    countedBytes += replica.engine.keptBytes;
  }
  // Once in the write-ahead log of the state, and once in its file.
  pledgedBytes += 2 * Math.max(0, countedBytes - storedBytes);
  pledgedBytes += Math.min(stateBytes, checkpointBytesMost);
  const usedBytes = Math.max(storedBytes, countedBytes);
  // One log for all shards.
  const reusableLogBytes = cores[0]?.storage.log.size().freeBytes ?? 0;
  return { usedBytes, reusableBytes, reusableLogBytes, pledgedBytes };
}

/** What is claimed and ended within a second is written at once, each job as a whole; of large ones that is much. */
const checkpointBytesMost = 256 * 1024 * 1024;

/**
 * Room that the state takes for what it has been given already: what is in its write-ahead log makes its file longer when it
 * is moved there, and until then that log grows with every job that is claimed or over.
 */
function stillToWrite(path: string, usedBytes: number, pagesBytes: number): number {
  const growthBytes = Math.max(0, pagesBytes - bytesOfFile(path));
  const walBytes = Math.max(0, walMovedBytes - bytesOfFile(`${path}-wal`));
  return growthBytes + Math.min(usedBytes, walBytes);
}

function bytesOfFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function blobShard({ group, replica }: ShardCore): BlobShard {
  const blobs = replica.engine.state.records("blobs");
  return {
    get isLeader() {
      return replica.isLeader;
    },
    get leaderId() {
      const { leader } = group.state;
      return leader === none ? undefined : leader;
    },
    get conf() {
      return replica.conf;
    },
    uses: (hash) => blobs.has(hash),
    *used() {
      for (const [hash] of blobs.entries()) yield hash;
    },
    readBarrier: () => replica.readBarrier(),
  };
}

function createAccess(
  { store, keeper, disk }: Pick<Blobs, "store" | "keeper" | "disk">,
  { secret, alsoAccepted }: PeerSecrets,
): BlobAccess {
  return {
    put: (content) => store.put({ content: metered(content, disk) }),
    async open(hash) {
      return store.read(hash) ?? ((await keeper.fetch(hash)) ? store.read(hash) : undefined);
    },
    peer: {
      isProven: (request, path) =>
        isProven(secret, request, path) ||
        (alsoAccepted !== undefined && isProven(alsoAccepted, request, path)),
      read: (hash) => store.read(hash),
      async keep(hash, content) {
        await store.put({ content, hash });
      },
      needed: (shard, hashes) => {
        if (!Number.isSafeInteger(shard)) {
          throw new CorvoError("VALIDATION_ERROR", `${shard} is no shard`);
        }
        return keeper.neededBy(shard, hashes);
      },
    },
  };
}

/** What comes from clients stops when the disk has no more room for it. What comes from other nodes belongs to jobs. */
async function* metered(
  content: AsyncIterable<Uint8Array>,
  disk: DiskGuard,
): AsyncIterable<Uint8Array> {
  for await (const piece of content) {
    disk.admitBlob(piece.length);
    yield piece;
  }
}
