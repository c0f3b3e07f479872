import { command } from "../_shared/command.ts";
import { subscriptionArg } from "../_shared/subscription-arg.ts";

export default command({
  examples: [{ line: "corvo subscription delete mailer-1", says: "It is called no more" }],
  args: {
    ids: { ...subscriptionArg, rest: true, label: "ID", description: "Ids of subscriptions." },
  },
  async run(args, { client, output, signal }) {
    const texts: string[] = [];
    for (const id of args.ids) {
      texts.push(await client().text("deleteSubscription", { params: { id } }, { signal }));
      if (output.quiet && !output.json) output.line(id);
      else if (!output.json) output.note(`${id} is deleted`);
    }
    if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
    return undefined;
  },
});
