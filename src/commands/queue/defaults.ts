import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { printFields } from "../_shared/grid.ts";
import { queueArg } from "../_shared/queue-args.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.setQueueDefaults.body;
type Body = NonNullable<Parameters<ReturnType<Context["client"]>["setQueueDefaults"]>[0]["body"]>;

export default command({
  details: [
    "Options that jobs of the queue have when they do not give them; they hold for jobs that are added from now on. Without",
    "flags the command shows them; with flags it replaces all of them.",
  ].join(" "),
  examples: [
    {
      line: "corvo queue defaults mail --max-retries 8 --retry-backoff linear --dead-queue mail.failed",
      says: "Set them",
    },
    { line: "corvo queue defaults mail", says: "Show them" },
    { line: "corvo queue defaults mail --remove", says: "Remove them" },
  ],
  args: {
    queue: queueArg,
    ...schemaFlags(schema),
    remove: { type: "boolean", description: "Remove all of them." },
  },
  async run(args, { client, output, signal }) {
    const { queue: name, remove, ...given } = args;
    const params = { name };
    // The flags were read and checked by the schema of this very body.
    const body = schemaValues(schema, given) as Body;
    const isSetting = Object.keys(body).length > 0;
    if (remove === true) {
      if (isSetting) throw new UsageError("--remove and options are both given");
      const text = await client().text("removeQueueDefaults", { params }, { signal });
      if (output.json) output.line(text);
      else output.note(`${name} has no defaults any more`);
      return;
    }
    const text = isSetting
      ? await client().text("setQueueDefaults", { params, body }, { signal })
      : await client().text("getQueueDefaults", { params }, { signal });
    if (output.json) {
      output.line(text);
      return;
    }
    const { defaults } = JSON.parse(text) as { defaults: Readonly<Record<string, unknown>> };
    const rows = Object.entries(defaults).map(([option, value]): [string, string] => [
      option,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    if (rows.length === 0) output.note(`${name} has no defaults`);
    else printFields(output, rows);
  },
});
