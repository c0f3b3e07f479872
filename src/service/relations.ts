/** What the jobs of a call say about other jobs, checked as far as it can be without the state. */
import { CorvoError } from "../base/errors.ts";
import { parseJobId } from "../base/ids.ts";

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
