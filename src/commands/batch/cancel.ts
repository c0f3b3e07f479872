import { batchArg, printBatch } from "../_shared/batch-view.ts";
import { command } from "../_shared/command.ts";

export default command({
  examples: [
    {
      line: 'corvo batch cancel batch_0193a1b2c3d000000000000001 --reason "wrong input"',
      says: "With all its unfinished jobs; only on_complete is run then",
    },
  ],
  args: {
    id: batchArg,
    reason: {
      type: "string",
      valueHint: "TEXT",
      mayBeEmpty: true,
      description: "Shown with the batch.",
    },
  },
  async run(args, { client, output, signal }) {
    const body = args.reason === undefined ? {} : { reason: args.reason };
    const input = { params: { batch_id: args.id }, body };
    if (output.json) {
      output.line(await client().text("cancelBatch", input, { signal }));
      return undefined;
    }
    const batch = await client().cancelBatch(input, { signal });
    if (output.quiet) output.line(batch.id);
    else printBatch(output, batch);
    return undefined;
  },
});
