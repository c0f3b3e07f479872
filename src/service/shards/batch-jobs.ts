/**
 * The jobs of one call by shard. `$n` in `depends_on` and `parent_id` means the n-th job of the call. Among the jobs that a shard gets at
 * once it means the same job by its place there; any other one must have been added, and is named by its id. So jobs go in waves:
 * a job that names one of another shard goes one wave after it, and within a shard jobs stay in their order.
 */
import { must } from "../../base/assert.ts";

interface Spec {
  readonly queue: string;
  readonly depends_on?: string[] | null;
  readonly parent_id?: string | null;
}

interface Placed<Job> {
  readonly item: Job;
  readonly at: number;
}

/** Jobs that one shard gets at once. */
export interface JobsPart<Job> {
  readonly shard: number;
  readonly wave: number;
  readonly jobs: readonly Placed<Job>[];
}

export function splitJobs<Job extends Spec>(
  jobs: readonly Job[],
  shardOf: (queue: string) => number,
): JobsPart<Job>[] {
  const places = jobs.map((job) => ({ shard: shardOf(job.queue), wave: 0 }));
  jobs.forEach((job, at) => {
    const own = must(places[at], "each job has a place");
    for (const named of referencesOf(job)) {
      const other = places[named];
      // What names itself or a later one is refused by whoever reads the job.
      if (other === undefined || named >= at) continue;
      const least = other.wave + (other.shard === own.shard ? 0 : 1);
      own.wave = Math.max(own.wave, least);
    }
  });
  const parts = new Map<string, { shard: number; wave: number; jobs: Placed<Job>[] }>();
  jobs.forEach((item, at) => {
    const { shard, wave } = must(places[at], "each job has a place");
    const key = `${wave} ${shard}`;
    const part = parts.get(key) ?? { shard, wave, jobs: [] };
    parts.set(key, part);
    part.jobs.push({ item, at });
  });
  return [...parts.values()].sort((one, other) => one.wave - other.wave);
}

/**
 * The jobs of a part as its shard is to read them. `idOf` gives the id of a job of an earlier part; undefined when it was not added,
 * and then the job that names it is left out.
 */
export function readable<Job extends Spec>(
  part: JobsPart<Job>,
  idOf: (at: number) => string | undefined,
): Placed<Job>[] {
  const places = new Map<number, number>();
  const kept: Placed<Job>[] = [];
  for (const { item, at } of part.jobs) {
    const named = referencesOf(item);
    const isWhole = named.every((one) => places.has(one) || idOf(one) !== undefined);
    if (!isWhole) continue;
    const name = (text: string): string => {
      const reference = referenceIn(text);
      if (reference === undefined) return text;
      const place = places.get(reference);
      return place === undefined ? must(idOf(reference), "it was asked before") : `$${place}`;
    };
    places.set(at, kept.length);
    kept.push({ item: named.length === 0 ? item : renamed(item, name), at });
  }
  return kept;
}

function renamed<Job extends Spec>(job: Job, name: (text: string) => string): Job {
  const { depends_on, parent_id } = job;
  return {
    ...job,
    ...(depends_on != null && { depends_on: depends_on.map(name) }),
    ...(parent_id != null && { parent_id: name(parent_id) }),
  };
}

function referencesOf({ depends_on, parent_id }: Spec): number[] {
  if (depends_on == null && parent_id == null) return [];
  return [...(depends_on ?? []), parent_id ?? ""]
    .map(referenceIn)
    .filter((named) => named !== undefined);
}

function referenceIn(text: string): number | undefined {
  const digits = /^\s*\$(\d{1,6})\s*$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
