import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { readQueue } from "../_shared/queue-args.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.createBatch.body;
type Body = Parameters<ReturnType<Context["client"]>["createBatch"]>[0]["body"];

export default command({
  details:
    "QUEUE is a queue of the jobs that are to join; on a server with several shards it says in which the batch is.",
  examples: [
    {
      line: `corvo batch create resize --on-success '{"queue":"publish"}' --seal-after 1h`,
      says: "Its id; jobs join it until it is sealed",
    },
  ],
  args: {
    queue: { type: "positional", read: readQueue, description: "A queue of its jobs." },
    ...schemaFlags(schema, { omit: ["queue"] }),
  },
  async run(args, { client, output, signal }) {
    const flags = schemaValues(schema, { ...args, queue: undefined });
    // The flags were read and checked by the schema of this very body.
    const body = { queue: args.queue, ...flags } as Body;
    if (output.json) {
      output.line(await client().text("createBatch", { body }, { signal }));
      return undefined;
    }
    output.line((await client().createBatch({ body }, { signal })).batch_id);
    return undefined;
  },
});
