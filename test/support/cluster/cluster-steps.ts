/** What the stories about clusters of processes have in common: work for the log, and changes of the cluster. */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { shardOfQueue } from "../../../src/base/placement.ts";
import { testShards } from "../binary.ts";
import { type Cluster, type ClusterNode, until } from "./cluster.ts";

interface Added {
  readonly job_id: string;
  readonly status: string;
}

export const enqueue = (node: ClusterNode, n: number) =>
  node.json<Added>("POST", "/api/v1/enqueue", { queue: "q", payload: { n } });

/** Asks again while there is no leader; a change of members is also refused while another one is under way. */
export const change = (cluster: Cluster, path: string, body: object) =>
  until(`${path} ${JSON.stringify(body)}`, async () => {
    const { status, text } = await (await cluster.leader()).request("POST", path, body);
    if (status === 200) return true;
    throw new Error(text);
  });

/** Many log entries: each call is one. */
export async function fill(node: ClusterNode, calls: number): Promise<void> {
  let left = calls;
  const one = async () => {
    while (left-- > 0) await enqueue(node, left);
  };
  await Promise.all([one(), one()]);
}

/** First batch of the jobs of `enqueue` that the log of a node still has, from its own database. */
export function firstIndex(node: ClusterNode): number {
  using log = new Database(join(node.dataDir, "log.db"), { readonly: true });
  const table = `log_${shardOfQueue("q", testShards() ?? 1)}`;
  return log.query<{ id: number }, []>(`SELECT min(id) AS id FROM ${table}`).get()?.id ?? 0;
}
