import { operations } from "../../api/operations.ts";
import { batchArg } from "../_shared/batch-view.ts";
import { command } from "../_shared/command.ts";
import { type EnqueueBody, enqueueOne } from "../_shared/enqueue-one.ts";
import { readPayload } from "../_shared/payload.ts";
import { readQueue } from "../_shared/queue-args.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.enqueueJob.body;

export default command({
  details: "The same as `corvo enqueue QUEUE PAYLOAD --batch-id BATCH`, with the same flags.",
  examples: [
    {
      line: `corvo batch add batch_0193a1b2c3d000000000000001 resize '{"n":1}'`,
      says: "A job that is counted in the batch",
    },
  ],
  args: {
    id: { ...batchArg, label: "BATCH" },
    queue: { type: "positional", read: readQueue, description: "Queue of the job." },
    payload: {
      type: "positional",
      required: false,
      description: "JSON, - for standard input, or @FILE. Default {}.",
    },
    ...schemaFlags(schema, { omit: ["queue", "payload", "batch_id"], alias: { tags: ["tag"] } }),
  },
  async run(args, context) {
    const flags = schemaValues(schema, { ...args, queue: undefined, payload: undefined });
    const payload =
      args.payload === undefined
        ? {}
        : { payload: await readPayload(context.system, args.payload) };
    // The flags were read and checked by the schema of this very body.
    const body = { queue: args.queue, ...payload, ...flags, batch_id: args.id } as EnqueueBody;
    return enqueueOne(context, body);
  },
});
