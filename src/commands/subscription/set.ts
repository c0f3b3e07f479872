import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.setSubscription.body;
type Body = Parameters<ReturnType<Context["client"]>["setSubscription"]>[0]["body"];

export default command({
  details: [
    "The call is a wake-up and has no job in it: whoever gets it claims jobs like every worker. A",
    "subscription ends after its time unless it is renewed. A server calls only public addresses, unless it was started",
    "with --webhook-allow.",
  ].join(" "),
  examples: [
    {
      line: "corvo subscription set https://worker.example.org/wake mail 'report*'",
      says: "Its id; called when one of these queues has ready jobs",
    },
    {
      line: "corvo subscription set https://w1.example.org/wake mail --mode group --group mailers --ttl 1h",
      says: "One of the group after the other",
    },
  ],
  args: {
    url: { type: "positional", description: "URL that is called, http or https." },
    queues: {
      type: "positional",
      rest: true,
      label: "QUEUE",
      description: "Names of queues; * at the end stands for any end.",
    },
    ...schemaFlags(schema, { omit: ["url", "queues"] }),
  },
  async run(args, { client, output, signal }) {
    const flags = schemaValues(schema, { ...args, url: undefined, queues: undefined });
    // The flags were read and checked by the schema of this very body.
    const body = { url: args.url, queues: args.queues, ...flags } as Body;
    if (output.json) {
      output.line(await client().text("setSubscription", { body }, { signal }));
      return undefined;
    }
    const { id, expires_at } = await client().setSubscription({ body }, { signal });
    output.line(id);
    output.note(`until ${expires_at}`);
    return undefined;
  },
});
