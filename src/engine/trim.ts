/**
 * Keeps the finished jobs of a queue within their bytes. The engine keeps no order of finished jobs by queue, so whoever leads
 * finds the oldest and names them (`replica/trimmer.ts`); each is looked at again here, and nothing more goes than has to.
 */
import type { Core } from "./core.ts";
import { isFinished } from "./job.ts";
import type { Outcome } from "./outcome.ts";
import { finishedBytes } from "./values.ts";

/** Removes finished jobs of a queue, found by the leader, as long as they are more than the queue is to keep. */
export interface TrimQueue {
  readonly kind: "trimQueue";
  readonly queue: string;
  readonly seqs: readonly number[];
}

export function trimQueue(core: Core, change: TrimQueue): Outcome {
  const queue = core.state.getQueue(change.queue);
  const keepBytes = core.queueSettings.get(change.queue)?.keepBytes;
  if (queue === undefined || keepBytes === undefined) {
    return { kind: "cleared", deleted: 0, more: false };
  }
  let left = finishedBytes(queue);
  let deleted = 0;
  for (const seq of change.seqs) {
    if (left <= keepBytes) break;
    const job = core.state.getJob(seq);
    if (job === undefined || job.queue !== change.queue || !isFinished(job.state)) continue;
    left -= core.values.bytesOf(job);
    core.delete(job);
    deleted++;
  }
  return { kind: "cleared", deleted, more: left > keepBytes };
}
