import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";
import { answerOf, webhookArg } from "../_shared/webhook-view.ts";

const schema = operations.listDeliveries.query;

export default command({
  details:
    "The id `callbacks` stands for the results that jobs with a callback_url send. Those that ended are kept for a while: the last 200 of each webhook, the last 2000 results.",
  examples: [
    { line: "corvo webhook deliveries audit", says: "Newest first" },
    {
      line: "corvo webhook deliveries callbacks --state failed",
      says: "Results that nobody took",
    },
  ],
  args: {
    id: { ...webhookArg, description: "Id of the webhook, or callbacks." },
    ...schemaFlags(schema, { omit: ["consistency"] }),
  },
  async run(args, { client, output, signal }) {
    const query = schemaValues(schema, { ...args, id: undefined });
    const input = { params: { name: args.id }, query };
    if (output.json) {
      output.line(await client().text("listDeliveries", input, { signal }));
      return undefined;
    }
    const { deliveries, cursor } = await client().listDeliveries(input, { signal });
    if (output.quiet) {
      for (const { id } of deliveries) output.line(id);
      return undefined;
    }
    if (deliveries.length === 0) {
      output.note("no delivery");
      return undefined;
    }
    printGrid(
      output,
      ["DELIVERY", "EVENT", "STATE", "TRIES", "MS", "CREATED", "JOB", "ANSWER"],
      deliveries.map((delivery) => [
        delivery.id,
        delivery.event,
        delivery.state,
        String(delivery.attempts),
        delivery.duration_ms === undefined ? "-" : String(delivery.duration_ms),
        delivery.created_at,
        delivery.job_id ?? "-",
        printable(answerOf(delivery)),
      ]),
    );
    if (cursor !== undefined) output.note(`the next page: --cursor ${cursor}`);
    return undefined;
  },
});
