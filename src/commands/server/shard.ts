/** What one shard is on this node: its replica and consensus, its search, and the operations on its jobs. */
import { requestLimits } from "../../api/limits.ts";
import type { Logger } from "../../base/ports.ts";
import type { Retention } from "../../engine/change.ts";
import type { AllowRule } from "../../net/outbound/address.ts";
import { createPost } from "../../net/outbound/post.ts";
import { none } from "../../raft/message.ts";
import type { BackupControl } from "../../service/backup.ts";
import type { ClusterControl, DrainControl } from "../../service/cluster.ts";
import { Node } from "../../service/node.ts";
import { createService, type Service } from "../../service/service.ts";
import { QueryStore } from "../../store/query-store.ts";
import { buildCommit, buildVersion } from "../_shared/build.ts";
import { systemClock, systemRandom, systemTimers } from "../_shared/system.ts";
import type { Blobs } from "./blobs.ts";
import type { Consensus } from "./consensus.ts";
import { sizesOf } from "./sizes.ts";
import type { ShardStorage } from "./storage.ts";

/** The first half: what consensus needs. It can apply entries before anything can be asked of it. */
export interface ShardCore extends Consensus {
  readonly shard: number;
  readonly storage: ShardStorage;
}

export interface Shard extends ShardCore {
  readonly search: QueryStore;
  readonly node: Node;
  readonly service: Service;
}

interface ShardEnv {
  readonly logger: Logger;
  readonly cluster: ClusterControl;
  readonly drain: DrainControl;
  readonly blobs: Blobs;
  readonly backup: BackupControl;
  readonly storeId: string;
  /** Shards of the cluster. */
  readonly shards: number;
  readonly requireLeaseToken: boolean;
  readonly payloadBytesMax: number;
  readonly compressAboveBytes?: number;
  /** Addresses that may be called besides public ones. */
  readonly webhookAllow?: readonly AllowRule[];
}

export async function openShard(core: ShardCore, env: ShardEnv): Promise<Shard> {
  const { shard, storage, replica, group } = core;
  const search = await QueryStore.open(storage.files.statePath, {
    flush: () => replica.flushState(),
    textPath: storage.texts === undefined ? undefined : storage.files.textPath,
    onNote: (note) => env.logger.warn(note),
  });
  const node = new Node(
    replica,
    {
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      post: createPost({
        clock: systemClock,
        timers: systemTimers,
        allow: env.webhookAllow ?? [],
      }),
      logger: env.logger,
      search,
      isCurrent: () =>
        group.state.leader !== none && replica.appliedIndex >= group.state.log.committed,
      attemptsOf: (job) => storage.store.state.attemptsOf(job),
      hmac: (key, text) => new Bun.CryptoHasher("sha256", key).update(text).digest(),
      fingerprint: (text) => new Bun.CryptoHasher("sha256").update(text).digest("hex"),
      sizes: () => sizesOf(storage),
      cluster: env.cluster,
      drain: env.drain,
      blobs: {
        bytesOf: (hash) => env.blobs.store.bytesOf(hash),
        ensure: (hash, of) => env.blobs.keeper.ensure(hash, of),
      },
      disk: env.blobs.disk,
      backup: env.backup,
    },
    {
      shard,
      shards: env.shards,
      requireLeaseToken: env.requireLeaseToken,
      serverVersion: buildVersion,
      commit: buildCommit,
      nodeId: env.storeId,
      durability: "fsync before every acknowledgement",
      packing: {
        payloadBytesMax: env.payloadBytesMax,
        compressAboveBytes: env.compressAboveBytes ?? requestLimits.compressAboveBytes,
      },
    },
  );
  return { ...core, search, node, service: createService(node) };
}

export async function stopShard({ replica, group, search }: Shard): Promise<void> {
  await replica.stop();
  group.stop();
  await search.close();
}

/** The duties that come with leading the shard. */
export function whenLeading(shard: Shard, retention: Retention, logger: Logger): void {
  keepRetention(shard, retention, logger);
  shard.group.whenReady(() => shard.node.lead());
}

/** The policy is part of the replicated state, so that every node removes the same jobs; whoever leads keeps it true. */
function keepRetention({ group, replica }: ShardCore, retention: Retention, logger: Logger): void {
  group.whenReady(() => {
    if (JSON.stringify(replica.engine.state.meta.retention) === JSON.stringify(retention)) return;
    replica.submit({ kind: "configure", retention }).catch((error: unknown) => {
      logger.warn("the retention could not be set", { error });
    });
  });
}

export function countLive({ replica }: ShardCore): number {
  let live = 0;
  for (const { counts } of replica.engine.state.queues()) {
    live += counts.pending + counts.scheduled + counts.active + counts.retrying + counts.held;
  }
  return live;
}
