/** What was acknowledged in a run of `catch-up`, and whether every node holds it: counts, payloads, whole listings. */
import type { ClusterNode } from "./cluster.ts";

interface Track {
  /** By the number in the payload. */
  readonly ids: string[];
  readonly acked: Set<number>;
}

/** Two queues of jobs that carry their number in their payload. */
export class JobLedger {
  readonly queues = new Map<string, Track>();

  countOf(queue: string): number {
    return this.queues.get(queue)?.ids.length ?? 0;
  }

  added(queue: string, n: number, id: string): void {
    this.#trackOf(queue).ids[n] = id;
  }

  acked(queue: string, n: number, id: string): void {
    const track = this.#trackOf(queue);
    // A worker may have its job before the producer has its answer.
    track.ids[n] ??= id;
    track.acked.add(n);
  }

  #trackOf(queue: string): Track {
    const known = this.queues.get(queue);
    if (known !== undefined) return known;
    const made = { ids: [], acked: new Set<number>() };
    this.queues.set(queue, made);
    return made;
  }
}

interface ShownJob {
  readonly id: string;
  readonly state: string;
  readonly payload: { readonly n: number };
}

interface ShownQueue {
  readonly name: string;
  readonly pending: number;
  readonly completed: number;
  readonly enqueued: number;
}

const samples = 2000;
const samplePage = 500;

/** Counters of both queues, and the payloads of jobs spread over all of them, as each node shows its own copy. */
export async function sampleProblems(
  nodes: readonly ClusterNode[],
  ledger: JobLedger,
  payload: (n: number) => object,
): Promise<string[]> {
  const problems: string[] = [];
  for (const node of nodes) {
    const shown = await node.json<ShownQueue[]>("GET", "/api/v1/queues?consistency=stale");
    for (const [name, { ids, acked }] of ledger.queues) {
      const queue = shown.find((candidate) => candidate.name === name);
      const wanted = { pending: ids.length - acked.size, completed: acked.size };
      for (const [state, count] of Object.entries(wanted)) {
        const found = queue?.[state as keyof typeof wanted];
        if (found === count) continue;
        problems.push(`${node.name} shows ${found} ${state} jobs in ${name}, not ${count}`);
      }
      const step = Math.max(1, Math.floor(ids.length / samples));
      const numbers = ids.map((_, n) => n).filter((n) => n % step === 0);
      for (let at = 0; at < numbers.length; at += samplePage) {
        const some = numbers.slice(at, at + samplePage);
        const { jobs } = await node.json<{ jobs: ShownJob[] }>(
          "POST",
          "/api/v1/jobs/bulk-get?consistency=stale",
          { job_ids: some.map((n) => ids[n]) },
        );
        for (const n of some) {
          const job = jobs.find(({ id }) => id === ids[n]);
          const wantedState = acked.has(n) ? "completed" : "pending";
          if (
            job?.state !== wantedState ||
            JSON.stringify(job.payload) !== JSON.stringify(payload(n))
          ) {
            problems.push(`${node.name} shows job ${n} of ${name} as ${JSON.stringify(job)}`);
          }
        }
      }
    }
  }
  return problems.slice(0, 20);
}

/** Every job of every node, page by page: the same text on all, each acknowledged job once and in its state. */
export async function listingProblems(
  nodes: readonly ClusterNode[],
  ledger: JobLedger,
): Promise<string[]> {
  const problems: string[] = [];
  for (const [queue, { ids, acked }] of ledger.queues) {
    let missing = ids.length;
    const seen = new Uint8Array(ids.length);
    let cursor: string | undefined;
    do {
      const body = { queue, limit: 1000, ...(cursor === undefined ? {} : { cursor }) };
      const pages = await Promise.all(
        nodes.map((node) =>
          node.json<{ jobs: ShownJob[]; cursor?: string }>(
            "POST",
            "/api/v1/jobs/search?consistency=stale",
            body,
          ),
        ),
      );
      const texts = pages.map(({ jobs }) => JSON.stringify(jobs));
      texts.forEach((text, at) => {
        if (text === texts[0]) return;
        problems.push(`${nodes[at]?.name} lists other jobs of ${queue} than ${nodes[0]?.name}`);
      });
      for (const { id, state, payload } of pages[0]?.jobs ?? []) {
        const { n } = payload;
        const wanted = acked.has(n) ? "completed" : "pending";
        if (ids[n] !== id || state !== wanted || seen[n] === 1) {
          problems.push(
            `job ${n} of ${queue} is listed as ${id}, ${state}; not ${ids[n]}, ${wanted}`,
          );
        }
        seen[n] = 1;
        missing -= 1;
      }
      cursor = pages[0]?.cursor;
    } while (cursor !== undefined && problems.length < 20);
    if (missing !== 0) problems.push(`${missing} jobs of ${queue} are not listed`);
  }
  return problems.slice(0, 20);
}
