/** What the jobs of a call say about other jobs, checked as far as it can be without the state. */
import { CorvoError } from "../base/errors.ts";
import { parseGroupId, parseJobId } from "../base/ids.ts";
import type { NewJob } from "../engine/change.ts";

export interface JobPlace {
  /** Where the job stands among those of its call. */
  readonly index: number;
  /** Shard of its queue. */
  readonly shard: number;
}

interface Relations {
  readonly depends_on?: readonly string[] | null;
  readonly parent_id?: string | null;
  readonly cascade_cancel?: boolean | null;
  readonly batch_id?: string | null;
}

export function refuseBadRelations(spec: Relations, place: JobPlace): void {
  for (const id of spec.depends_on ?? []) refuseBadId("depends_on", id, place);
  if (spec.parent_id != null) refuseBadId("parent_id", spec.parent_id, place);
  else if (spec.cascade_cancel === true) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      "cascade_cancel: a job without parent_id has nothing to be cancelled with",
    );
  }
  if (spec.batch_id == null) return;
  const batch = parseGroupId("batch", spec.batch_id.trim());
  if (batch !== undefined && batch.shard !== place.shard) {
    throw elsewhere("batch_id", `batch "${spec.batch_id}"`, batch.shard, place);
  }
}

function refuseBadId(field: string, text: string, place: JobPlace): void {
  const id = text.trim();
  const reference = /^\$(\d{1,6})$/.exec(id)?.[1];
  if (reference === undefined) refuseElsewhere(field, id, place);
  else if (Number(reference) >= place.index) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      `${field}: "${id}" must be an earlier job of the same call, and this is number ${place.index}`,
    );
  }
}

/** The queue of a job, those that it or the jobs that follow from it may go to, and the resources that all of them need. */
function namesOf(job: NewJob): string[] {
  const { chain, lane, deadQueue } = job.options ?? {};
  const own = [job.queue, ...(lane?.resources ?? []).map(([name]) => name)];
  if (deadQueue !== undefined) own.push(deadQueue);
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
    `"${other}" is in shard ${shardOf(other)}, and queue "${job.queue}" in shard ${own}: the steps of a chain, the resources and the dead queue of a job are where its queue is`,
    { hint: "Names with the same {tag} in braces share a shard." },
  );
}

/** What a shard's state does not hold it cannot watch. An id that is none will not be found there either. */
function refuseElsewhere(field: string, id: string, place: JobPlace): void {
  const parsed = parseJobId(id);
  if (parsed === undefined || parsed.shard === place.shard) return;
  throw elsewhere(field, `job "${id}"`, parsed.shard, place);
}

function elsewhere(field: string, what: string, shard: number, place: JobPlace): CorvoError {
  return new CorvoError(
    "VALIDATION_ERROR",
    `${field}: ${what} is in shard ${shard}, and the queue of this one in shard ${place.shard}`,
    { hint: "Queues whose names have the same {tag} in braces share a shard." },
  );
}
