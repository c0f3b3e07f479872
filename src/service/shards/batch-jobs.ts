/**
 * The jobs of one call by shard. `$n` in `depends_on` means the n-th job of the call; in the part of a shard it has to mean
 * the same job by its place there, and a job of another shard cannot be waited for.
 */
import { CorvoError } from "../../base/errors.ts";
import { splitBy } from "./shard-calls.ts";

interface Spec {
  readonly queue: string;
  readonly depends_on?: string[] | null;
}

export function splitJobs<Job extends Spec>(
  jobs: readonly Job[],
  shardOf: (queue: string) => number,
): Map<number, { readonly item: Job; readonly at: number }[]> {
  const split = splitBy(jobs, ({ queue }) => shardOf(queue));
  if (jobs.every(({ depends_on: ids }) => ids == null)) return split;
  return new Map(
    [...split].map(([shard, part]) => {
      const places = new Map(part.map(({ at }, place) => [at, place]));
      return [shard, part.map(({ item, at }) => ({ item: renumbered(item, at, places), at }))];
    }),
  );
}

function renumbered<Job extends Spec>(
  job: Job,
  at: number,
  places: ReadonlyMap<number, number>,
): Job {
  if (job.depends_on == null) return job;
  const ids = job.depends_on.map((text) => {
    const reference = /^\s*\$(\d{1,6})\s*$/.exec(text)?.[1];
    if (reference === undefined) return text;
    const place = places.get(Number(reference));
    if (place !== undefined) return `$${place}`;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `jobs[${at}]: depends_on: "${text}" is a job of another shard`,
      { hint: "Queues whose names have the same {tag} in braces share a shard." },
    );
  });
  return { ...job, depends_on: ids };
}
