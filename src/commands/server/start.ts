/**
 * The wiring of a node: real clock, disk and sockets around replica, service and HTTP. Nothing else in the program knows
 * all of them.
 */

import { statSync } from "node:fs";
import type { Logger } from "../../base/ports.ts";
import { formatDuration } from "../../base/time.ts";
import type { Retention } from "../../engine/change.ts";
import { createApp } from "../../net/http/app.ts";
import { defaultHttpLimits } from "../../net/http/limits.ts";
import type { Replica } from "../../replica/replica.ts";
import { Node } from "../../service/node.ts";
import { createService } from "../../service/service.ts";
import { QueryStore } from "../../store/query-store.ts";
import { buildCommit, buildVersion } from "../_shared/build.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { createConsensus, lead } from "./consensus.ts";
import { openIdentity, openStorage, type Storage } from "./storage.ts";

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly cachedJobsMax: number;
  readonly requireLeaseToken: boolean;
  readonly payloadBytesMax: number;
  readonly bodyBytesMax: number;
  readonly retention: Retention;
}

export interface RunningServer {
  readonly url: string;
  readonly storeId: string;
  readonly liveJobs: number;
  readonly replayed: number;
  readonly startMs: number;
  /** Resolves with the reason when the node must not go on. */
  readonly failed: Promise<string>;
  /** Stops taking work, waits at most `graceMs` for what runs, stores the state. */
  stop(graceMs: number): Promise<void>;
}

export async function startServer(options: ServerOptions, logger: Logger): Promise<RunningServer> {
  const startedMs = systemClock.monotonicMs();
  const storage = await openStorage(options, logger);
  const { promise: failed, resolve: fail } = Promise.withResolvers<string>();
  const identity = await openIdentity(storage);
  const { replica, group } = createConsensus(storage, identity, {
    logger,
    fail,
    onEffects: (effects) => node.onEffects(effects),
  });
  const search = await QueryStore.open(storage.statePath, { flush: () => replica.flushState() });
  const node = createNode(storage, replica, { options, search, logger });
  const storedIndex = replica.appliedIndex;
  await lead(group, replica);
  const replayed = replica.appliedIndex - storedIndex;
  replica.start();
  await applyRetention(replica, options.retention);

  const service = createService(node);
  const app = createApp({
    handlers: service.handlers,
    stream: service.stream,
    limits: {
      ...defaultHttpLimits,
      payloadBytesMax: options.payloadBytesMax,
      bodyBytesMax: options.bodyBytesMax,
    },
    logger,
    clock: systemClock,
    timers: systemTimers,
    onBug: (error) => fail(`a guarantee of the program was broken: ${error.message}`),
  });
  const url = app.listen(options.host, options.port);
  return {
    url,
    storeId: storage.dir.storeId,
    liveJobs: countLive(replica),
    replayed,
    startMs: systemClock.monotonicMs() - startedMs,
    failed,
    async stop(graceMs) {
      await app.stop(graceMs);
      await replica.stop();
      group.stop();
      await search.close();
      await storage.close();
    },
  };
}

function createNode(
  storage: Storage,
  replica: Replica,
  env: { options: ServerOptions; search: QueryStore; logger: Logger },
): Node {
  return new Node(
    replica,
    {
      clock: systemClock,
      timers: systemTimers,
      logger: env.logger,
      search: env.search,
      attemptsOf: (job) => storage.store.state.attemptsOf(job),
      fingerprint: (text) => new Bun.CryptoHasher("sha256").update(text).digest("hex"),
      sizes: () => sizesOf(storage),
    },
    {
      requireLeaseToken: env.options.requireLeaseToken,
      serverVersion: buildVersion,
      commit: buildCommit,
      nodeId: storage.dir.storeId,
      durability: "fsync before every acknowledgement",
    },
  );
}

/** The policy is part of the replicated state, so that every node removes the same jobs; it changes only by a change. */
async function applyRetention(replica: Replica, retention: Retention): Promise<void> {
  if (JSON.stringify(replica.engine.state.meta.retention) === JSON.stringify(retention)) return;
  await replica.submit({ kind: "configure", retention });
}

function countLive(replica: Replica): number {
  let live = 0;
  for (const { counts } of replica.engine.state.queues()) {
    live += counts.pending + counts.scheduled + counts.active + counts.retrying + counts.held;
  }
  return live;
}

function sizesOf(storage: Storage): { logBytes: number; stateBytes: number; memoryBytes: number } {
  const { bytes, walBytes } = storage.log.size();
  return {
    logBytes: bytes + walBytes,
    stateBytes: statSync(storage.statePath).size,
    memoryBytes: process.memoryUsage.rss(),
  };
}

/** The line that a start prints about what it found. */
export function describeStart(server: RunningServer): string {
  const replayed = server.replayed === 0 ? "" : `, ${server.replayed} log entries replayed`;
  return `${server.liveJobs.toLocaleString("en-US")} live jobs${replayed}, ready in ${formatDuration(Math.max(1, server.startMs))}`;
}
