/** Changes of the cluster: which node, whether to ask first, and what is said afterwards. */
import type { Operations } from "../../api/operations.ts";
import { exitCodes } from "../../base/errors.ts";
import { type Command, command, type Example } from "./command.ts";
import { confirm, yesFlag } from "./confirm.ts";

type ActionName = "removeNode" | "promoteNode" | "demoteNode";

export const nodeArg = {
  type: "positional",
  label: "NODE",
  description: "Id, uuid or address of the node, as `corvo cluster status` shows them.",
} as const;

export interface ClusterAction {
  readonly operation: ActionName & keyof Operations;
  readonly question: (node: string) => string;
  readonly done: string;
  readonly details: string;
  readonly examples: readonly Example[];
}

export function clusterAction(action: ClusterAction): Command {
  return command({
    examples: action.examples,
    details: action.details,
    args: { node: nodeArg, yes: yesFlag },
    async run(args, context) {
      const { output, signal } = context;
      const message = action.question(args.node);
      if (!(await confirm(context, { message, yes: args.yes }))) return exitCodes.failed;
      const input = { body: { node: args.node } };
      const text = await context.client().text(action.operation, input, { signal });
      if (output.json) output.line(text);
      else if (output.quiet) output.line(args.node);
      else output.note(`node ${args.node} is ${action.done}`);
      return undefined;
    },
  });
}
