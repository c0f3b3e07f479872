import { command } from "../_shared/command.ts";
import { printWebhook, webhookArg } from "../_shared/webhook-view.ts";

export default command({
  examples: [{ line: "corvo webhook show audit", says: "Settings, counts, and the last answer" }],
  args: { id: webhookArg },
  async run(args, { client, output, signal }) {
    const input = { params: { name: args.id } };
    if (output.json) output.line(await client().text("getWebhook", input, { signal }));
    else if (output.quiet) output.line((await client().getWebhook(input, { signal })).id);
    else printWebhook(output, await client().getWebhook(input, { signal }));
    return undefined;
  },
});
