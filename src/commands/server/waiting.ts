/**
 * A node that waits for others to form a cluster with: it listens where it always will, answers everything with what it
 * waits for, and looks for the others until there is a cluster to belong to.
 */

import { type Handlers, type OperationName, operations } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import { type App, createApp } from "../../net/http/app.ts";
import { refusingBlobs } from "../../net/http/blob-access.ts";
import { Drain } from "../../net/http/drain.ts";
import { defaultHttpLimits } from "../../net/http/limits.ts";
import { meetRequestOf, meetView } from "../../service/cluster-handlers.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { checkExpect, Formation } from "./form.ts";
import { askOne, type Joined, type JoinSelf, meetAt, resolveAddress } from "./join.ts";
import { checkPeerTls } from "./peer-tls.ts";
import { type ClusterSecrets, checkProof } from "./secret.ts";

export interface WaitingOptions {
  readonly expect: number;
  readonly join: readonly string[];
  readonly self: JoinSelf;
  readonly host: string;
  readonly port: number;
  readonly secrets: ClusterSecrets;
}

const roundMs = 500;
const retryMs = 1000;

/** Resolves with the answer of the cluster that took this node in, or with undefined when it has to found one. */
export async function waitForCluster(
  options: WaitingOptions,
  logger: Logger,
): Promise<Joined | undefined> {
  const { expect, self } = options;
  const formation = new Formation({
    expect,
    uuid: self.uuid,
    clock: systemClock,
    logger,
    meet: (url) => meetAt(url, self, expect),
  });
  const app = openWaitingApp(formation, options, logger);
  app.listen(options.host, options.port);
  try {
    for (;;) {
      const urls = await resolveAll(options.join, logger);
      checkExpect(expect, urls.length);
      const verdict = await formation.round(urls);
      if (verdict.kind === "found") {
        logger.info(
          `founding the cluster: ${expect} nodes have met, and this one has the lowest uuid`,
        );
        return undefined;
      }
      if (verdict.kind === "join") {
        const joined = await joinAny(verdict.urls, self, logger);
        if (joined !== undefined) return joined;
      }
      await pause(roundMs);
    }
  } finally {
    await app.stop(0);
  }
}

async function joinAny(
  urls: readonly string[],
  self: JoinSelf,
  logger: Logger,
): Promise<Joined | undefined> {
  for (const url of urls) {
    try {
      logger.info(`joining the cluster of ${url}`);
      return await askOne(url, self);
    } catch (error) {
      if (!(error instanceof CorvoError)) throw error;
      if (!error.retryable && error.code !== "OUTCOME_UNKNOWN") throw error;
      logger.info(`not joined yet, trying on: ${error.message}`);
    }
  }
  return undefined;
}

/** Asked for in every round: a name may get its addresses one by one, as nodes start. */
async function resolveAll(addresses: readonly string[], logger: Logger): Promise<string[]> {
  const found = await Promise.all(
    addresses.map((address) =>
      resolveAddress(address).catch((error: unknown) => {
        logger.debug("a --join address cannot be resolved yet", { address, error });
        return [];
      }),
    ),
  );
  return [...new Set(found.flat())];
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => systemTimers.after(delayMs, resolve));
}

function openWaitingApp(formation: Formation, options: WaitingOptions, logger: Logger): App {
  const waits = () =>
    new CorvoError("UNAVAILABLE", formation.phase, {
      retryAfterMs: retryMs,
      hint: "This node belongs to no cluster yet; it forms one with the nodes of its --join addresses.",
    });
  const refuse = () => Promise.reject(waits());
  const names = Object.keys(operations) as OperationName[];
  // Every key of the table is there; the type cannot follow it.
  const refusing = Object.fromEntries(names.map((name) => [name, refuse])) as unknown as Handlers;
  const handlers: Handlers = {
    ...refusing,
    health: async () => ({ status: "ok" }),
    meetNode: async ({ body }) => {
      const request = meetRequestOf(body);
      checkProof(options.secrets, request);
      checkPeerTls(options.self.peerTls === true, request);
      return meetView({
        ...formation.answer(request),
        httpUrl: options.self.httpUrl,
        clusterId: undefined,
        hasSecret: options.secrets.own !== undefined,
      });
    },
  };
  return createApp({
    handlers,
    metrics: () => Promise.reject(waits()),
    stream: {
      open: () => {
        throw waits();
      },
    },
    events: {
      open: () => {
        throw waits();
      },
    },
    forward: { isLeader: () => true, leaderUrl: () => undefined },
    drain: new Drain({ tokenOf: () => -1, streamLeases: () => [], isLive: () => false }),
    blobs: refusingBlobs(waits),
    limits: defaultHttpLimits,
    logger,
    clock: systemClock,
    timers: systemTimers,
    onBug: (error) => {
      throw error;
    },
  });
}
