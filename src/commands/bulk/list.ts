import { operations } from "../../api/operations.ts";
import { progressOf } from "../_shared/bulk-view.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.listBulks.query;

export default command({
  examples: [
    { line: "corvo bulk list", says: "The newest ones" },
    { line: "corvo bulk list --status running", says: "Those that are not over" },
  ],
  args: schemaFlags(schema, { omit: ["consistency"] }),
  async run(args, { client, output, signal }) {
    const query = schemaValues(schema, args) as object;
    if (output.json) {
      output.line(await client().text("listBulks", { query }, { signal }));
      return undefined;
    }
    const { bulk_operations, total, cursor } = await client().listBulks({ query }, { signal });
    if (output.quiet) {
      for (const { id } of bulk_operations) output.line(id);
      return undefined;
    }
    if (bulk_operations.length === 0) {
      output.note("no bulk action matches");
      return undefined;
    }
    printGrid(
      output,
      ["BULK ACTION", "ACTION", "STATUS", "PROCESSED", "AFFECTED", "BEGUN"],
      bulk_operations.map((bulk) => [
        printable(bulk.id),
        bulk.action,
        bulk.status,
        progressOf(bulk),
        String(bulk.affected),
        bulk.created_at,
      ]),
    );
    if (cursor !== undefined) {
      output.note(`${bulk_operations.length} of ${total}; the next page: --cursor ${cursor}`);
    }
    return undefined;
  },
});
