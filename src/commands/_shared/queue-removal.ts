/** Clearing and deleting queues: what is counted and asked about before. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { exitCodes } from "../../base/errors.ts";
import { type Command, command, type Example } from "./command.ts";
import { confirm, yesFlag } from "./confirm.ts";
import { count } from "./output.ts";
import { queueArg } from "./queue-args.ts";

type Queue = ResultOf<Operations["getQueue"]>;
type Removal = ResultOf<Operations["clearQueue"]>;

export interface QueueRemoval {
  readonly operation: "clearQueue" | "deleteQueue";
  readonly examples: readonly Example[];
  readonly details?: string;
  /** The question, for a queue with these counts. */
  readonly question: (queue: Queue) => string;
  /** Must the name be typed? */
  readonly typed: boolean;
  readonly report: (name: string, deleted: string) => string;
}

export function queueRemoval(removal: QueueRemoval): Command {
  return command({
    examples: removal.examples,
    ...(removal.details === undefined ? {} : { details: removal.details }),
    args: { queue: queueArg, yes: { ...yesFlag, alias: ["y", "confirm"] } },
    async run(args, context) {
      const { output, signal } = context;
      const input = { params: { name: args.queue } };
      const client = context.client();
      if (args.yes !== true) {
        const message = removal.question(await client.getQueue(input, { signal }));
        const typed = removal.typed ? { typed: args.queue } : {};
        if (!(await confirm(context, { message, yes: args.yes, ...typed }))) {
          return exitCodes.failed;
        }
      }
      const text = await client.text(removal.operation, input, { signal });
      const { deleted } = JSON.parse(text) as Removal;
      if (output.json) output.line(text);
      else if (output.quiet) output.line(args.queue);
      else output.note(removal.report(args.queue, count(deleted, "job")));
      return undefined;
    },
  });
}
