import { command } from "../_shared/command.ts";
import { webhookArg } from "../_shared/webhook-view.ts";

export default command({
  examples: [
    {
      line: "corvo webhook redeliver audit dlv_0193a1b2c3d00000000000002a",
      says: "Send it again; its id stays",
    },
  ],
  args: {
    id: { ...webhookArg, description: "Id of the webhook, or callbacks." },
    deliveries: {
      type: "positional",
      rest: true,
      label: "DELIVERY",
      description: "Ids of deliveries.",
    },
  },
  async run(args, { client, output, signal }) {
    const texts: string[] = [];
    for (const delivery_id of args.deliveries) {
      const input = { params: { name: args.id, delivery_id } };
      texts.push(await client().text("redeliver", input, { signal }));
      if (!output.json) output.note(`${delivery_id} is sent again`);
    }
    if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
    return undefined;
  },
});
