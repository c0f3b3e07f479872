import { bulkArg, printBulk } from "../_shared/bulk-view.ts";
import { command } from "../_shared/command.ts";

export default command({
  examples: [
    {
      line: "corvo bulk cancel bulk_mf3k2p1_0190a5c4_0",
      says: "Jobs that it has not come to stay as they are",
    },
  ],
  args: { id: bulkArg },
  async run(args, { client, output, signal }) {
    const input = { params: { id: args.id } };
    if (output.json) {
      output.line(await client().text("cancelBulk", input, { signal }));
      return undefined;
    }
    const bulk = await client().cancelBulk(input, { signal });
    if (output.quiet) output.line(bulk.id);
    else printBulk(output, bulk);
    return undefined;
  },
});
