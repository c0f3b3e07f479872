import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.setWebhook.body;
type Body = Parameters<ReturnType<Context["client"]>["setWebhook"]>[0]["body"];

export default command({
  details: [
    "With --id of a webhook that exists, all of its settings are replaced; its secret stays unless another one is given.",
    "A new webhook without --secret gets one, which is printed and never shown again. A server calls only public addresses,",
    "unless it was started with --webhook-allow.",
  ].join(" "),
  examples: [
    {
      line: "corvo webhook set https://hooks.example.org/corvo --events dead --events completed",
      says: "Its id, and the secret that its deliveries are signed with",
    },
    {
      line: "corvo webhook set https://hooks.example.org/mail --id mail --queues 'mail*' --retry-limit 20",
      says: "All events of some queues, tried for long",
    },
  ],
  args: {
    url: { type: "positional", description: "URL that is called, http or https." },
    ...schemaFlags(schema, {
      omit: ["url", "enabled"],
      alias: { events: ["event"], queues: ["queue"], tags: ["tag"] },
    }),
    disabled: { type: "boolean", description: "Keep no events until it is enabled." },
  },
  async run(args, { client, output, signal }) {
    const flags = schemaValues(schema, { ...args, url: undefined });
    const enabled = args.disabled === true ? { enabled: false } : {};
    // The flags were read and checked by the schema of this very body.
    const body = { url: args.url, ...flags, ...enabled } as Body;
    if (output.json) {
      output.line(await client().text("setWebhook", { body }, { signal }));
      return undefined;
    }
    const { id, secret } = await client().setWebhook({ body }, { signal });
    output.line(id);
    if (secret !== undefined) output.note(`its secret, not shown again: ${secret}`);
    return undefined;
  },
});
