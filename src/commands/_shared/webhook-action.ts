/** Commands that do one thing to webhooks by id. */
import { type Command, command, type Example } from "./command.ts";
import { webhookArg } from "./webhook-view.ts";

export interface WebhookAction {
  readonly operation: "pauseWebhook" | "enableWebhook" | "deleteWebhook";
  readonly done: string;
  readonly examples: readonly Example[];
}

export function webhookAction(action: WebhookAction): Command {
  return command({
    examples: action.examples,
    args: {
      ids: { ...webhookArg, rest: true, label: "ID", description: "Ids of webhooks." },
    },
    async run(args, { client, output, signal }) {
      const texts: string[] = [];
      for (const id of args.ids) {
        texts.push(await client().text(action.operation, { params: { name: id } }, { signal }));
        if (output.quiet && !output.json) output.line(id);
        else if (!output.json) output.note(`${id} is ${action.done}`);
      }
      if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
      return undefined;
    },
  });
}
