import { followBulk } from "../_shared/bulk-follow.ts";
import { bulkArg, printBulk } from "../_shared/bulk-view.ts";
import { command } from "../_shared/command.ts";

export default command({
  examples: [
    { line: "corvo bulk show bulk_mf3k2p1_0190a5c4_0", says: "How far it is" },
    { line: "corvo bulk show bulk_mf3k2p1_0190a5c4_0 --wait", says: "Wait until it is over" },
  ],
  args: {
    id: bulkArg,
    wait: { type: "boolean", description: "Wait until it is over." },
  },
  async run(args, context) {
    const { client, output, signal } = context;
    const input = { params: { id: args.id } };
    if (args.wait === true) return followBulk(context, "affected", args.id, undefined);
    if (output.json) {
      output.line(await client().text("getBulk", input, { signal }));
      return undefined;
    }
    const bulk = await client().getBulk(input, { signal });
    if (output.quiet) output.line(bulk.id);
    else printBulk(output, bulk);
    return undefined;
  },
});
