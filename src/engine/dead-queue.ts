/**
 * Jobs that are dead can be passed on: a copy of the payload becomes a new job in another queue, whose workers deal with
 * it. The dead job itself stays where it is, with its attempts, so that it can be found, waited for and retried.
 *
 * A copy that dies is not passed on again. So two queues that name each other do not play ball with a job for ever.
 */
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { insertNew } from "./insert.ts";
import type { Job } from "./job.ts";
import { sendable } from "./mail.ts";
import { queueElsewhere } from "./place.ts";

/** A job has come to its end as dead. */
export function passOnDead(core: Core, job: Job): void {
  const { deadQueue, tags, parentId, lane } = job.options;
  if (deadQueue === undefined) return;
  const to = queueElsewhere(core.place, deadQueue);
  const copy: NewJob = {
    queue: deadQueue,
    payload: job.payload,
    priority: job.priority,
    options: {
      tags,
      parentId,
      lane: lane?.group === undefined ? undefined : { group: lane.group },
      deadQueue: undefined,
      deadOf:
        to === undefined
          ? [job.seq, job.createdAtMs]
          : [job.seq, job.createdAtMs, core.place.shard],
    },
  };
  // The queue was made with the job. If it was deleted since and there is no room for another, the dead job is all there is.
  if (to === undefined) insertNew(core, copy);
  else core.post.send(to, { kind: "add", job: sendable(copy) });
}
