/** Commands that do one thing to a batch and show it. */
import { batchArg, printBatch } from "./batch-view.ts";
import { type Command, command, type Example } from "./command.ts";

export interface BatchAction {
  readonly operation: "getBatch" | "sealBatch";
  readonly examples: readonly Example[];
}

export function batchAction(action: BatchAction): Command {
  return command({
    examples: action.examples,
    args: { id: batchArg },
    async run(args, { client, output, signal }) {
      const input = { params: { batch_id: args.id } };
      if (output.json) {
        output.line(await client().text(action.operation, input, { signal }));
        return undefined;
      }
      const batch = await client()[action.operation](input, { signal });
      if (output.quiet) output.line(batch.id);
      else printBatch(output, batch);
      return undefined;
    },
  });
}
