/** Which member of which cluster a data directory is. Written once, when the node forms or joins a cluster. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeDurably } from "./durable-file.ts";

export interface NodeIdentity {
  readonly clusterId: string;
  /** Number of the member in consensus; never reused within a cluster. */
  readonly nodeId: number;
  /** Shards of the cluster; chosen by its founder, and the same for ever. */
  readonly shards: number;
}

const fileName = "node.json";

/** Undefined in a directory that belongs to no cluster yet. */
export function readNodeIdentity(directory: string): NodeIdentity | undefined {
  const file = join(directory, fileName);
  if (!existsSync(file)) return undefined;
  const value = withShards(JSON.parse(readFileSync(file, "utf8")));
  if (isIdentity(value)) return value;
  throw new Error(
    `${file} is not what this program wrote; restore the directory from a backup as a whole`,
  );
}

export function writeNodeIdentity(directory: string, identity: NodeIdentity): void {
  writeDurably(directory, fileName, `${JSON.stringify(identity)}\n`);
}

/** A file from before there were shards has no number of them. */
function withShards(value: unknown): unknown {
  return typeof value === "object" && value !== null ? { shards: 1, ...value } : value;
}

function isIdentity(value: unknown): value is NodeIdentity {
  if (typeof value !== "object" || value === null) return false;
  if (!("clusterId" in value) || typeof value.clusterId !== "string") return false;
  return isPositive(value, "nodeId") && isPositive(value, "shards");
}

function isPositive(value: object, name: string): boolean {
  const number = (value as Readonly<Record<string, unknown>>)[name];
  return Number.isSafeInteger(number) && (number as number) > 0;
}
