import { batchStates } from "../../api/batches.ts";
import { operations } from "../../api/operations.ts";
import { progressOf } from "../_shared/batch-view.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";
import { paintState } from "../_shared/states.ts";

const schema = operations.listBatches.query;

export default command({
  examples: [
    { line: "corvo batch list", says: "The newest batches" },
    { line: `corvo batch list --state ${batchStates[1]}`, says: "Those that are not over" },
  ],
  args: schemaFlags(schema, { omit: ["consistency"] }),
  async run(args, { client, output, signal }) {
    const query = schemaValues(schema, args) as object;
    if (output.json) {
      output.line(await client().text("listBatches", { query }, { signal }));
      return undefined;
    }
    const { batches, total, cursor } = await client().listBatches({ query }, { signal });
    if (output.quiet) {
      for (const { id } of batches) output.line(id);
      return undefined;
    }
    if (batches.length === 0) {
      output.note("no batch matches");
      return undefined;
    }
    printGrid(
      output,
      ["BATCH", "STATE", "ENDED", "DEAD", "CANCELLED", "CREATED", "NAME"],
      batches.map((batch) => [
        batch.id,
        paintState(batch.state, output.style),
        progressOf(batch),
        String(batch.dead),
        String(batch.cancelled),
        batch.created_at,
        printable(batch.name ?? ""),
      ]),
    );
    if (cursor !== undefined) {
      output.note(`${batches.length} of ${total}; the next page: --cursor ${cursor}`);
    }
    return undefined;
  },
});
