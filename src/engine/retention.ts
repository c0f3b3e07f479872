/**
 * Removes finished jobs that are too old or too many.
 *
 * Finished jobs are numbered in the order of finishing and counted in buckets, so removing a bucket is: raise the floor
 * below which finish numbers no longer exist, and take its counts out of the queues' counters. The rows go later, in the
 * background; no apply ever walks over them.
 */
import type { Configure } from "./change.ts";
import type { Core } from "./core.ts";
import { noteRemoval } from "./depend.ts";
import { removalStepsLevel } from "./feature-levels.ts";
import type { Outcome } from "./outcome.ts";
import { type Meta, type RetentionClass, retentionClasses } from "./state.ts";

export function configure(core: Core, change: Configure): Outcome {
  core.state.meta.retention = change.retention;
  return { kind: "ok" };
}

/** When the oldest bucket is to go; Infinity when none is. */
export function nextRetentionMs(meta: Meta): number {
  let nextMs = Number.POSITIVE_INFINITY;
  for (const kind of retentionClasses) nextMs = Math.min(nextMs, removalTimeMs(meta, kind));
  return nextMs;
}

/** Queues that are looked at in the time of one other step. */
const queuesPerStep = 100;

/** Removes the oldest bucket of the first class that has one to remove: how many steps that was, for it looks at every queue; 0 when there is none. */
export function removeOldest(core: Core): number {
  const { meta } = core.state;
  const kind = retentionClasses.find((candidate) => removalTimeMs(meta, candidate) <= core.nowMs);
  if (kind === undefined) return 0;

  const buckets = meta.buckets[kind];
  const bucket = buckets.shift();
  if (bucket === undefined) return 0;
  const below = buckets[0]?.first ?? meta.nextFinish[kind];
  for (const queue of core.state.queues()) {
    const counts = queue.finished[kind].get(bucket.first);
    if (counts === undefined) continue;
    queue.finished[kind].delete(bucket.first);
    queue.counts.completed -= counts.completed;
    queue.counts.cancelled -= counts.cancelled;
    queue.counts.dead -= counts.dead;
    core.values.dropped(queue, counts.bytes ?? 0);
    core.state.touchQueue(queue);
  }
  meta.kept[kind] -= bucket.count;
  meta.floor[kind] = below;
  core.state.purgeFinished(kind, below);
  core.values.removed(kind, below);
  noteRemoval(core, { of: kind, from: bucket.first, below });
  const isWeighed = meta.featureLevel >= removalStepsLevel;
  return isWeighed ? 1 + Math.floor(core.state.queueCount / queuesPerStep) : 1;
}

/**
 * When the oldest bucket of a class goes: the retention time after its last job, or at once when there are more jobs
 * than may be kept. An open bucket ends when it is old enough, so the last jobs go without a later one.
 */
function removalTimeMs(meta: Meta, kind: RetentionClass): number {
  const buckets = meta.buckets[kind];
  const oldest = buckets[0];
  if (oldest === undefined) return Number.POSITIVE_INFINITY;
  const keepMs = kind === "done" ? meta.retention.doneMs : meta.retention.deadMs;
  const keepMax = kind === "done" ? meta.retention.doneMax : meta.retention.deadMax;
  if (buckets.length > 1 && meta.kept[kind] - oldest.count >= keepMax) return 0;
  return oldest.endMs + keepMs;
}
