/**
 * What a fault is. It does its harm and hands back how to mend it; a mended cluster has all its nodes running, a whole
 * network and sound disks again, and must then take writes.
 */
import type { Cluster, ClusterNode } from "./cluster.ts";

export interface FaultEnv {
  readonly cluster: Cluster;
  readonly chance: () => number;
  /** Called right before the harm is done, from when on the time to the next write counts. */
  readonly strikes: () => void;
}

/** Undoes a fault. */
export type Mend = () => Promise<void>;
export type Harm = (env: FaultEnv) => Promise<Mend>;
export type FaultKind = "process" | "network" | "members" | "disk" | "clock";

export interface Fault {
  readonly kind: FaultKind;
  /** What the machines of the nodes must permit. */
  readonly needs?: "shim" | "smallDisk";
  readonly harm: Harm;
}

export function pick<T>(list: readonly T[], chance: () => number): T {
  const item = list[Math.floor(chance() * list.length)];
  if (item === undefined) throw new Error("picked from an empty list");
  return item;
}

/** The leader in half of the cases, if there is one. */
export async function victim({ cluster, chance }: FaultEnv): Promise<ClusterNode> {
  const leader = chance() < 0.5 ? await cluster.findLeader() : undefined;
  return leader ?? pick(cluster.nodes, chance);
}

export async function bringBack(nodes: readonly ClusterNode[]): Promise<void> {
  await Promise.all(nodes.filter((node) => !node.isRunning).map((node) => node.start()));
}
