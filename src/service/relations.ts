/** What the jobs of a call say about other jobs, checked as far as it can be without the state. */
import { CorvoError } from "../base/errors.ts";
import type { NewJob } from "../engine/change.ts";
import { elsewhere, type Place, queueElsewhere } from "../engine/place.ts";

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
}

function refuseBadId(field: string, text: string, place: JobPlace): void {
  const id = text.trim();
  const reference = /^\$(\d{1,6})$/.exec(id)?.[1];
  if (reference === undefined || Number(reference) < place.index) return;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `${field}: "${id}" must be an earlier job of the same call, and this is number ${place.index}`,
  );
}

/** Jobs that follow from this one, besides those that follow them. */
function followersOf({ options }: NewJob): NewJob[] {
  const { chain } = options ?? {};
  if (chain === undefined) return [];
  const { steps, onExit, onFailure } = chain;
  return [...steps, onExit, onFailure].filter((one) => typeof one === "object");
}

/** A shard knows the limits of its own resources only: who asked another one before each claim would wait for it each time. */
export function refuseScattered(job: NewJob, shardOf: (name: string) => number): void {
  const own = shardOf(job.queue);
  for (const [resource] of job.options?.lane?.resources ?? []) {
    if (shardOf(resource) === own) continue;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `resources: "${resource}" is in shard ${shardOf(resource)}, and queue "${job.queue}" in shard ${own}: the resources of a job are where its queue is`,
      { hint: "Names with the same {tag} in braces share a shard." },
    );
  }
  for (const follower of followersOf(job)) refuseScattered(follower, shardOf);
}

/** Has the job, or what follows from it, to do with another shard than its own? */
export function isAcross(place: Place, job: NewJob): boolean {
  const { dependsOn = [], parentId, batchId, deadQueue } = job.options ?? {};
  return (
    [...dependsOn, parentId, batchId].some((id) => elsewhere(place, id) !== undefined) ||
    [job.queue, deadQueue ?? job.queue].some(
      (queue) => queueElsewhere(place, queue) !== undefined,
    ) ||
    followersOf(job).some((follower) => isAcross(place, follower))
  );
}
