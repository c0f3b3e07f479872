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

/** The queue of a job, and those of the jobs that may follow from it. */
function queuesOf(job: NewJob): string[] {
  const chain = job.options?.chain;
  if (chain === undefined) return [job.queue];
  const { steps, onExit, onFailure } = chain;
  const followers = [...steps, onExit, onFailure].filter((one) => typeof one === "object");
  return [job.queue, ...followers.flatMap(queuesOf)];
}

/** A shard adds jobs only to itself. */
export function refuseScattered(job: NewJob, shardOf: (queue: string) => number): void {
  const own = shardOf(job.queue);
  const other = queuesOf(job).find((queue) => shardOf(queue) !== own);
  if (other === undefined) return;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `chain: queue "${other}" is in shard ${shardOf(other)}, and the first job in shard ${own}`,
    { hint: "Queues whose names have the same {tag} in braces share a shard." },
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
