/** What the parts of a simulated cluster share: the world, and what is left of a machine when its process is gone. */

import { newestFeatureLevel, versionOfLevel } from "../../src/engine/feature-levels.ts";
import type { Member } from "../../src/engine/state.ts";
import type { NodeId } from "../../src/raft/message.ts";
import type { DozeTicks } from "../../src/replica/doze.ts";
import { emptyLog, type LogImage } from "./disk.ts";
import type { Network } from "./network.ts";
import type { SimNode } from "./node.ts";
import type { Oracle } from "./oracle.ts";
import { emptyState, type StateImage } from "./stored-state.ts";
import type { EventQueue } from "./virtual-time.ts";

/** What is left when the process is gone. */
export interface MachineImage {
  log: LogImage;
  state: StateImage;
  /** A received snapshot that the next start puts in place. */
  incoming: { readonly state: StateImage; readonly term: number } | undefined;
}

/** A machine without anything on it, in the world of a cluster that these founded. */
export function emptyMachine(founders: readonly Member[]): MachineImage {
  return { log: emptyLog(), state: emptyState(founders), incoming: undefined };
}

/** What a node says of itself when it joins. */
export function describeMachine(uuid: string) {
  const version = versionOfLevel(newestFeatureLevel);
  return { uuid, httpUrl: `http://${uuid}`, peerAddress: uuid, version };
}

export interface World {
  readonly events: EventQueue;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
  readonly settings: {
    readonly electionTicks: number;
    readonly doze?: DozeTicks;
    readonly heartbeatTicks: number;
    readonly messageBytesMax: number;
    /** Applied entries that stay in the log for members that lag. */
    readonly logTailEntries: number;
    readonly checkpointMs: number;
  };
}
