/** Do nodes show the same? Compares what each shows of its own copy: queues, and every job with its place in them. */
import type { ClusterNode } from "./cluster.ts";

interface ListedJob {
  readonly id: string;
  readonly [field: string]: unknown;
}

export async function listJobs(node: ClusterNode, queue: string, stale: boolean) {
  const jobs: ListedJob[] = [];
  let cursor: string | undefined;
  do {
    const page = await node.json<{ jobs: ListedJob[]; cursor?: string }>(
      "POST",
      `/api/v1/jobs/search${stale ? "?consistency=stale" : ""}`,
      { queue, limit: 1000, ...(cursor === undefined ? {} : { cursor }) },
    );
    jobs.push(...page.jobs);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return jobs;
}

async function copyOf(node: ClusterNode): Promise<Map<string, string>> {
  const copy = new Map<string, string>();
  const queues = await node.json<{ name: string }[]>("GET", "/api/v1/queues?consistency=stale");
  for (const queue of queues) {
    copy.set(`queue ${queue.name}`, JSON.stringify(queue));
    for (const job of await listJobs(node, queue.name, true)) {
      copy.set(job.id, JSON.stringify(job));
    }
  }
  return copy;
}

/** What the others show differently from the first, as sentences; at most twenty. */
export async function differences(nodes: readonly ClusterNode[]): Promise<string[]> {
  const [first, ...others] = nodes;
  if (first === undefined) return [];
  const wanted = await copyOf(first);
  const found: string[] = [];
  for (const node of others) {
    const shown = await copyOf(node);
    for (const key of new Set([...wanted.keys(), ...shown.keys()])) {
      const [one, other] = [wanted.get(key), shown.get(key)];
      if (one !== other) {
        found.push(`${key}: ${first.name} shows ${one}, ${node.name} shows ${other}`);
      }
    }
  }
  return found.slice(0, 20);
}
