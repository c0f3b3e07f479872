import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.previewSchedule.body;
type Body = NonNullable<
  NonNullable<Parameters<ReturnType<Context["client"]>["previewSchedule"]>[0]>["body"]
>;

export default command({
  examples: [
    {
      line: `corvo schedule preview --cron "0 9 * * 1-5" --zone America/New_York --count 10`,
      says: "When it would run, across changes of the clock",
    },
  ],
  args: schemaFlags(schema),
  async run(args, { client, output, signal }) {
    // The flags were read and checked by the schema of this very body.
    const body = schemaValues(schema, args) as Body;
    if (output.json) {
      output.line(await client().text("previewSchedule", { body }, { signal }));
      return undefined;
    }
    const { next_runs } = await client().previewSchedule({ body }, { signal });
    for (const at of next_runs) output.line(at);
    if (next_runs.length === 0) output.note("it does not come due any more");
    return undefined;
  },
});
