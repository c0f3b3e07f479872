/** Joins replica, consensus group and log of a node. */
import type { Logger } from "../../base/ports.ts";
import type { Effects } from "../../engine/outcome.ts";
import { Group } from "../../replica/group.ts";
import { Replica } from "../../replica/replica.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { systemClock, systemRandom, systemTimers } from "../_shared/system.ts";
import { mainGroup, type Storage } from "./storage.ts";

/** Applied entries that stay in the log although the stored state covers them. */
const logTailEntries = 1000;
const tickMs = 50;

interface ConsensusEnv {
  readonly logger: Logger;
  /** Ends the node: the log can no longer be trusted. */
  readonly fail: (reason: string) => void;
  readonly onEffects: (effects: Effects) => void;
}

export function createConsensus(
  storage: Storage,
  identity: NodeIdentity,
  env: ConsensusEnv,
): { replica: Replica; group: Group } {
  const replica = new Replica({
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: env.logger,
    store: storage.store,
    onStored: (index) => {
      if (index > logTailEntries) storage.log.compact(mainGroup, index - logTailEntries);
    },
    onFatal: env.fail,
    onEffects: env.onEffects,
  });
  const group = new Group(
    {
      log: storage.log,
      timers: systemTimers,
      random: systemRandom,
      logger: env.logger,
      send: () => undefined,
      onEntry: (entry) => replica.applyEntry(entry),
      onConf: (conf) => replica.applyConf(conf),
      onSoft: () => replica.leadershipChanged(),
      onLogFault: (fault) => replica.logFailed(fault),
      onLogRecovered: () => replica.logRecovered(),
    },
    {
      group: mainGroup,
      nodeId: identity.nodeId,
      tickMs,
      start: { applied: storage.store.stored.index, conf: storage.store.stored.conf },
    },
  );
  replica.attach(group);
  return { replica, group };
}

/** Starts the group and waits until this node leads and has applied its log. */
export function lead(group: Group, replica: Replica): Promise<void> {
  return new Promise((resolve) => {
    const stop = group.whenReady(() => {
      stop();
      resolve();
    });
    group.start();
    if (replica.isLeader) resolve();
  });
}
