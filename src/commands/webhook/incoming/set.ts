import { operations } from "../../../api/operations.ts";
import { command } from "../../_shared/command.ts";
import type { Context } from "../../_shared/context.ts";
import { readQueue } from "../../_shared/queue-args.ts";
import { schemaFlags, schemaValues } from "../../_shared/schema-args.ts";

const schema = operations.setIncoming.body;
type Body = Parameters<ReturnType<Context["client"]>["setIncoming"]>[0]["body"];

export default command({
  details:
    "Calls to /api/v1/webhooks/QUEUE become jobs of the queue. Those that are not signed as it is said here are refused. All settings are replaced.",
  examples: [
    {
      line: "corvo webhook incoming set ci --scheme github --secret 0123456789abcdef --tag-headers X-GitHub-Event",
      says: "What GitHub sends, with the kind of event as a tag",
    },
    {
      line: "corvo webhook incoming set billing --scheme stripe --secret whsec_0123456789abcdef --tolerance 2m",
      says: "Signatures that are at most two minutes old",
    },
  ],
  args: {
    queue: { type: "positional", read: readQueue, description: "Queue of the jobs." },
    ...schemaFlags(schema, { alias: { tag_headers: ["tag-header"] }, mayBeEmpty: ["id_header"] }),
  },
  async run(args, { client, output, signal }) {
    // The flags were read and checked by the schema of this very body.
    const body = schemaValues(schema, { ...args, queue: undefined }) as Body;
    const input = { params: { name: args.queue }, body };
    if (output.json) {
      output.line(await client().text("setIncoming", input, { signal }));
      return undefined;
    }
    const { queue, scheme } = await client().setIncoming(input, { signal });
    output.line(queue);
    output.note(`calls to /api/v1/webhooks/${encodeURIComponent(queue)} are verified: ${scheme}`);
    return undefined;
  },
});
