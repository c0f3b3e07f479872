import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import { callForTarget, instanceArgs } from "../_shared/limit-args.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.pauseResource.body;
type Pause = { for?: string; until?: string };

export default command({
  details:
    "Jobs that are active go on. To stop a queue until further notice there is `corvo queue pause`.",
  examples: [
    { line: "corvo limit pause --queue calls --key acme --for 30s", says: "One key, for a moment" },
    { line: "corvo limit pause --resource api --for 5m", says: "Every job that needs a resource" },
  ],
  args: { ...instanceArgs, ...schemaFlags(schema) },
  async run(args, { client, output, signal }) {
    // The flags were read by the schema of this very body.
    const pause = schemaValues(schema, args) as Pause;
    const paused = await callForTarget(args, {
      resource: ({ params }) => client().pauseResource({ params, body: pause }, { signal }),
      queue: ({ params, query }) =>
        client().pauseLimit({ params, body: { ...query, ...pause } }, { signal }),
    });
    if (output.json) output.line(JSON.stringify(paused));
    else output.note(`paused until ${paused.paused_until}`);
    return undefined;
  },
});
