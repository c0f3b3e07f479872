/**
 * The jobs of one call by shard. `$n` in `depends_on` and `parent_id` means the n-th job of the call; in the part of a shard it has to
 * mean the same job by its place there, and a job of another shard cannot be waited for or belonged to.
 */
import { CorvoError } from "../../base/errors.ts";
import { splitBy } from "./shard-calls.ts";

interface Spec {
  readonly queue: string;
  readonly depends_on?: string[] | null;
  readonly parent_id?: string | null;
}

export function splitJobs<Job extends Spec>(
  jobs: readonly Job[],
  shardOf: (queue: string) => number,
): Map<number, { readonly item: Job; readonly at: number }[]> {
  const split = splitBy(jobs, ({ queue }) => shardOf(queue));
  if (jobs.every(({ depends_on, parent_id }) => depends_on == null && parent_id == null)) {
    return split;
  }
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
  const inPart = (member: string, text: string): string => {
    const reference = /^\s*\$(\d{1,6})\s*$/.exec(text)?.[1];
    if (reference === undefined) return text;
    const place = places.get(Number(reference));
    if (place !== undefined) return `$${place}`;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `jobs[${at}]: ${member}: "${text}" is a job of another shard`,
      { hint: "Queues whose names have the same {tag} in braces share a shard." },
    );
  };
  const { depends_on, parent_id } = job;
  if (depends_on == null && parent_id == null) return job;
  return {
    ...job,
    ...(depends_on != null && { depends_on: depends_on.map((id) => inPart("depends_on", id)) }),
    ...(parent_id != null && { parent_id: inPart("parent_id", parent_id) }),
  };
}
