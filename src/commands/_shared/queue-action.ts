/** Actions on whole queues that need nothing but their names: pause, resume, undrain. */
import { type Command, command, type Example } from "./command.ts";
import { queuesArg } from "./queue-args.ts";

export interface QueueAction {
  readonly operation: "pauseQueue" | "resumeQueue" | "undrainQueue";
  readonly done: string;
  readonly examples: readonly Example[];
}

export function queueAction(action: QueueAction): Command {
  return command({
    examples: action.examples,
    args: { queues: queuesArg },
    async run(args, { client, output, signal }) {
      const texts: string[] = [];
      for (const name of args.queues) {
        texts.push(await client().text(action.operation, { params: { name } }, { signal }));
        if (output.quiet && !output.json) output.line(name);
        else if (!output.json) output.note(`${name} is ${action.done}`);
      }
      if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
      return undefined;
    },
  });
}
