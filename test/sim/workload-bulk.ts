/**
 * Bulk actions of a simulated cluster. They only touch jobs that no worker has, since what was promised about leases and acks
 * must stay true for jobs that nobody is known to have managed.
 */
import type { Change, ManageAction } from "../../src/engine/change.ts";
import type { JobState } from "../../src/engine/job.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import { admissionQueue } from "./workload-admission.ts";

/** Which jobs each action is for; keys decide who may run in the queue of those that have some. */
const choices: readonly (readonly [ManageAction, readonly JobState[], readonly string[]])[] = [
  ["retry", ["dead"], ["a", "b", admissionQueue]],
  ["cancel", ["pending", "scheduled", "retrying"], ["a", "b"]],
  ["hold", ["pending", "scheduled"], ["a", "b"]],
  ["approve", ["held"], ["a", "b"]],
  ["changePriority", ["pending", "scheduled", "retrying"], ["a", "b"]],
];

/** An action begins, perhaps under an id that was used before, or one is stopped. */
export function drawBulkChange(random: SeededRandom, seqs: readonly number[]): Change {
  const id = `bulk${below(random, 12)}`;
  if (below(random, 100) < 15) return { kind: "endBulk", id };
  const [action, states, queues] = choices[below(random, choices.length)] ?? choices[0] ?? never();
  const priority = action === "changePriority" ? { priority: below(random, 3) } : {};
  const common = {
    kind: "startBulk" as const,
    id,
    action,
    ...priority,
    total: 0,
    totalExact: false,
  };
  if (action === "changePriority" && below(random, 2) === 0) {
    return { ...common, seqs: seqs.filter(() => below(random, 2) === 0) };
  }
  const queue = queues[below(random, queues.length)] ?? "a";
  return { ...common, filter: { queue, states } };
}

function never(): never {
  throw new Error("there is an action");
}
