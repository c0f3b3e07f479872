import { QueueName } from "../../api/schemas.ts";
import { parseJobId } from "../../base/ids.ts";
import { UsageError } from "../_shared/exit.ts";
import { type ActionRequest, jobAction } from "../_shared/job-action.ts";
import { problemOf } from "../_shared/schema-check.ts";

export default jobAction({
  action: "move",
  operation: "moveJob",
  verb: "Move",
  done: "moved",
  details: "The queue may also stand after the ids: `corvo jobs move ID QUEUE`.",
  args: { to: { type: "string", valueHint: "QUEUE", description: "Where the jobs go." } },
  requestOf,
  examples: [
    { line: "corvo jobs move job_0193a1b2c3d000000000000001 --to slow", says: "One job" },
    {
      line: "corvo jobs move --queue mail --state pending --to slow-mail",
      says: "All waiting jobs of a queue, after a question",
    },
  ],
});

function requestOf(
  given: readonly string[],
  values: Readonly<Record<string, unknown>>,
): ActionRequest {
  const last = given.at(-1);
  const queueIsLast =
    values["to"] === undefined &&
    given.length > 1 &&
    last !== undefined &&
    parseJobId(last) === undefined;
  const queue = queueIsLast ? last : values["to"];
  if (typeof queue !== "string") {
    throw new UsageError("the target queue is missing", "Name it with --to QUEUE.");
  }
  const problem = problemOf(QueueName, queue, "--to");
  if (problem !== undefined) throw new UsageError(problem);
  const ids = queueIsLast ? given.slice(0, -1) : given;
  return { ids, single: { queue }, bulk: { move_to_queue: queue } };
}
