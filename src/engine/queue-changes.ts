/** Pause, clear and delete queues. */
import { must } from "../base/assert.ts";
import type { ClearQueue, DeleteQueue, PauseQueue } from "./change.ts";
import type { Core } from "./core.ts";
import { sayOfQueue } from "./events.ts";
import { forgetQueueLimits } from "./limits/limit-changes.ts";
import { type Outcome, reject } from "./outcome.ts";
import { tooManyQueues } from "./queue-settings.ts";

export function applyToQueue(core: Core, change: PauseQueue | ClearQueue | DeleteQueue): Outcome {
  switch (change.kind) {
    case "pauseQueue":
      return pauseQueue(core, change);
    case "clearQueue":
      return clearQueue(core, change);
    case "deleteQueue":
      return deleteQueue(core, change);
  }
}

/** Pausing a queue that does not exist makes it, so that it can be stopped before its first job. */
function pauseQueue(core: Core, change: PauseQueue): Outcome {
  const queue = core.openQueue(change.queue);
  if (queue === undefined) return tooManyQueues(change.queue);
  queue.paused = change.paused;
  core.state.touchQueue(queue);
  sayOfQueue(core, change.paused ? "queue_paused" : "queue_resumed", change.queue);
  if (!change.paused) core.effects.readyQueues.add(change.queue);
  return { kind: "ok" };
}

/**
 * Deletes ready jobs from the front of the lines. Scheduled, retrying and blocked ones stand in none, so the caller
 * names them by id through `manage`; `more` only speaks of ready ones.
 */
function clearQueue(core: Core, change: ClearQueue): Outcome {
  if (core.state.getQueue(change.queue) === undefined) {
    return reject("NOT_FOUND", `no queue "${change.queue}"`);
  }
  let deleted = 0;
  while (deleted < change.limit) {
    const seq = core.lines.first(change.queue);
    if (seq === undefined) break;
    core.delete(must(core.state.getJob(seq), "a job in the line exists"));
    deleted++;
  }
  if (deleted > 0) sayOfQueue(core, "queue_cleared", change.queue, { deleted });
  return { kind: "cleared", deleted, more: core.lines.first(change.queue) !== undefined };
}

function deleteQueue(core: Core, change: DeleteQueue): Outcome {
  const queue = core.state.getQueue(change.queue);
  if (queue === undefined) return reject("NOT_FOUND", `no queue "${change.queue}"`);
  const left = Object.entries(queue.counts).find(([, count]) => count > 0);
  if (left !== undefined) {
    return reject("QUEUE_ERROR", `queue "${change.queue}" still has ${left[1]} ${left[0]} jobs`);
  }
  forgetQueueLimits(core, change.queue);
  core.queueSettings.delete(change.queue);
  core.redrives.delete(change.queue);
  core.forgetQueue(change.queue);
  sayOfQueue(core, "queue_deleted", change.queue);
  return { kind: "ok" };
}
