/** Which member of which cluster a data directory is. Written when the node forms or joins a cluster, and when that is recovered. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeDurably } from "./durable-file.ts";

export interface NodeIdentity {
  readonly clusterId: string;
  /** Number of the member in consensus; never reused within a cluster. */
  readonly nodeId: number;
  /** Shards of the cluster; chosen by its founder, and the same for ever. */
  readonly shards: number;
  /** How often the cluster was cut down to one node by force. Nodes of another epoch have nothing to do with this one. */
  readonly recoveryEpoch: number;
  /** Voters that the cluster was to have when it was formed; left out once it has them. */
  readonly expect?: number;
  /** Who the others are, as the cluster said when this node joined: all that it knows of them until it has the state. */
  readonly firstPeers?: readonly FirstPeer[];
}

export interface FirstPeer {
  readonly id: number;
  readonly uuid: string;
  readonly peerAddress: string;
}

const fileName = "node.json";

/** Undefined in a directory that belongs to no cluster yet. */
export function readNodeIdentity(directory: string): NodeIdentity | undefined {
  const file = join(directory, fileName);
  if (!existsSync(file)) return undefined;
  const value: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (isIdentity(value)) {
    const { clusterId, nodeId, shards = 1, recoveryEpoch = 0, expect, firstPeers } = value;
    return {
      ...{ clusterId, nodeId, shards, recoveryEpoch },
      ...(expect === undefined ? {} : { expect }),
      ...(firstPeers === undefined ? {} : { firstPeers }),
    };
  }
  throw new Error(
    `${file} is not what this program wrote; restore the directory from a backup as a whole`,
  );
}

export function writeNodeIdentity(directory: string, identity: NodeIdentity): void {
  writeDurably(directory, fileName, `${JSON.stringify(identity)}\n`);
}

/** A directory from before there were shards says nothing of them, and one that was never recovered may not of that. */
type Written = Omit<NodeIdentity, "recoveryEpoch" | "shards"> & Partial<NodeIdentity>;

function isIdentity(value: unknown): value is Written {
  if (typeof value !== "object" || value === null) return false;
  if (!("clusterId" in value) || typeof value.clusterId !== "string") return false;
  if (!("nodeId" in value) || !isCount(value.nodeId) || value.nodeId === 0) return false;
  if ("shards" in value && (!isCount(value.shards) || value.shards === 0)) return false;
  if ("expect" in value && !isCount(value.expect)) return false;
  if ("firstPeers" in value && !Array.isArray(value.firstPeers)) return false;
  return !("recoveryEpoch" in value) || isCount(value.recoveryEpoch);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
