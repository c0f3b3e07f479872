/** What the jobs of a call say about other jobs, checked as far as it can be without the state. */
import { CorvoError } from "../base/errors.ts";
import { parseJobId } from "../base/ids.ts";
import type { NewJob } from "../engine/change.ts";

export interface JobPlace {
  /** Where the job stands among those of its call. */
  readonly index: number;
  /** Shard of its queue. */
  readonly shard: number;
}

export function refuseBadDependencies(ids: readonly string[], place: JobPlace): void {
  for (const text of ids) {
    const id = text.trim();
    const reference = /^\$(\d{1,6})$/.exec(id)?.[1];
    if (reference === undefined) refuseElsewhere("depends_on", id, place);
    else if (Number(reference) >= place.index) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `depends_on: "${id}" must be an earlier job of the same call, and this is number ${place.index}`,
      );
    }
  }
}

/** The queue of a job, those of the jobs that may follow from it, and the resources that all of them need. */
function namesOf(job: NewJob): string[] {
  const { chain, lane } = job.options ?? {};
  const own = [job.queue, ...(lane?.resources ?? []).map(([name]) => name)];
  if (chain === undefined) return own;
  const { steps, onExit, onFailure } = chain;
  const followers = [...steps, onExit, onFailure].filter((one) => typeof one === "object");
  return [...own, ...followers.flatMap(namesOf)];
}

/** A shard adds jobs only to itself, and knows the limits of its own resources only. */
export function refuseScattered(job: NewJob, shardOf: (name: string) => number): void {
  const own = shardOf(job.queue);
  const other = namesOf(job).find((name) => shardOf(name) !== own);
  if (other === undefined) return;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `"${other}" is in shard ${shardOf(other)}, and queue "${job.queue}" in shard ${own}: the steps of a chain and the resources of a job are where its queue is`,
    { hint: "Names with the same {tag} in braces share a shard." },
  );
}

/** What a shard's state does not hold it cannot watch. An id that is none will not be found there either. */
function refuseElsewhere(field: string, id: string, place: JobPlace): void {
  const parsed = parseJobId(id);
  if (parsed === undefined || parsed.shard === place.shard) return;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `${field}: job "${id}" is in shard ${parsed.shard}, and the queue of this one in shard ${place.shard}`,
    { hint: "Queues whose names have the same {tag} in braces share a shard." },
  );
}
