/** Joins replica, consensus group and log of one shard of a node. */
import { rmSync } from "node:fs";
import type { Logger } from "../../base/ports.ts";
import type { Effects } from "../../engine/outcome.ts";
import type { ConfState } from "../../raft/message.ts";
import { defaultDoze } from "../../replica/doze.ts";
import { Group } from "../../replica/group.ts";
import { Replica } from "../../replica/replica.ts";
import { Snapshots } from "../../replica/snapshots.ts";
import type { Ticker } from "../../replica/ticker.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { makeSnapshot } from "../../store/snapshots.ts";
import { systemClock, systemRandom, systemTimers } from "../_shared/system.ts";
import type { Peers } from "./peers.ts";
import type { ShardStorage } from "./storage.ts";
import { Timings } from "./timings.ts";

/** Entries that a node on its own keeps at most, although its stored state covers them. */
export const aloneTailEntries = 1000;
export const tickMs = 50;

export interface ConsensusEnv {
  readonly logger: Logger;
  /** Ends the node: the log can no longer be trusted. */
  readonly fail: (reason: string) => void;
  readonly onEffects: (effects: Effects) => void;
  readonly onBlobsChanged: () => void;
  readonly onEvents: () => void;
  readonly peers: () => Pick<Peers, "send" | "sendSnapshot">;
  readonly onConf: () => void;
  readonly onMail: () => void;
  /** Where there are several shards. */
  readonly ticker: Ticker | undefined;
  /** With other nodes: what one may miss and still catch up from the log. */
  readonly logTailEntries: number;
  /** Then a node by itself keeps no more of its log than it must: what entries hold is room for others. */
  readonly isDiskShort: () => boolean;
}

export interface Consensus {
  readonly replica: Replica;
  readonly group: Group;
  readonly snapshots: Snapshots;
  readonly timings: Timings;
}

export function createConsensus(
  storage: ShardStorage,
  identity: NodeIdentity,
  env: ConsensusEnv,
): Consensus {
  const { logger } = env;
  const timings = new Timings(systemClock);
  const replica = new Replica({
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger,
    store: storage.store,
    onStored: (index) => {
      const members = replica.conf.voters.length + replica.conf.learners.length;
      const { logTailEntries } = env;
      const aloneTail = env.isDiskShort() ? 1 : Math.min(aloneTailEntries, logTailEntries);
      const tail = members > 1 ? logTailEntries : aloneTail;
      compactLog(storage, snapshots, index - tail);
    },
    onFatal: env.fail,
    onEffects: env.onEffects,
    onBlobsChanged: env.onBlobsChanged,
    onEvents: env.onEvents,
    place: { shard: storage.shard, shards: identity.shards },
    onMail: env.onMail,
    onFeatureLevel: (level) => storage.dir.raiseFormat(level),
  });
  const group = new Group(
    {
      log: timings.timedLog(storage.log),
      timers: systemTimers,
      random: systemRandom,
      logger,
      send: (to, messages) => env.peers().send(to, storage.shard, messages),
      sendSnapshot: (to, message, done) =>
        env.peers().sendSnapshot(to, { message, group: storage.shard }, done),
      onEntry: (entry) => timings.timedApply(() => replica.applyEntry(entry)),
      onConf: (conf, { index }) => {
        const before = replica.conf;
        replica.applyConf(conf, index);
        if (storage.shard === 0) noteOwnVote(identity.nodeId, { before, after: conf }, env.logger);
        env.onConf();
      },
      onSoft: () => {
        replica.leadershipChanged();
        env.onConf();
      },
      onLogFault: (fault) => replica.logFailed(fault),
      onLogRecovered: () => replica.logRecovered(),
      ...(env.ticker === undefined ? {} : { ticker: env.ticker }),
    },
    {
      group: storage.shard,
      nodeId: identity.nodeId,
      tickMs,
      // Shard 0 has duties of its own, and shows soon when a node is gone.
      ...(storage.shard === 0 ? {} : { doze: defaultDoze }),
      start: { applied: storage.store.stored.index, conf: storage.store.stored.conf },
    },
  );
  replica.attach(group);
  const snapshots = new Snapshots({
    storage: group.storage,
    timers: systemTimers,
    logger,
    make: async () => {
      await replica.storeState();
      return makeSnapshot(storage.files.statePath, storage.files.snapshotPath);
    },
    remove: (path) => rmSync(path, { force: true }),
  });
  return { replica, group, snapshots, timings };
}

/** Lets go of log entries that the stored state covers, but not of those that a snapshot on its way needs after it. */
export function compactLog(storage: ShardStorage, snapshots: Snapshots, wanted: number): void {
  const pinned = [...storage.pins].map(({ afterIndex }) => afterIndex);
  const through = Math.min(wanted, snapshots.neededAfter, ...pinned);
  if (through > 0) storage.log.compact(storage.shard, through);
}

/**
 * Starts the group. A node that is its only voter leads at once, and this waits until it has applied its log; any other
 * may have to wait for others, so it is ready to answer that. True when it is alone.
 */
export async function lead(group: Group, replica: Replica): Promise<boolean> {
  const ready = new Promise<void>((resolve) => {
    const stop = group.whenReady(() => {
      stop();
      resolve();
    });
  });
  group.start();
  const { voters } = replica.conf;
  const isAlone = voters.length === 1 && group.state.role !== "follower";
  if (isAlone && !replica.isLeader) await ready;
  return isAlone;
}

/** The leader says who votes. A node says it of itself too: whoever started it looks at its lines. */
function noteOwnVote(
  id: number,
  { before, after }: { readonly before: ConfState; readonly after: ConfState },
  logger: Logger,
): void {
  const { voters } = after;
  const votes = voters.includes(id);
  if (votes === before.voters.includes(id) || voters.length === 1) return;
  logger.info(
    votes
      ? `this node votes now: ${voters.length} voters, tolerates ${Math.floor((voters.length - 1) / 2)} failures`
      : "this node does not vote any more",
  );
}
