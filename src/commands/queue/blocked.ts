import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { pages } from "../_shared/pages.ts";
import { queueArg } from "../_shared/queue-args.ts";

export default command({
  details:
    "Of the unfinished jobs with one --fifo-key only the oldest runs; the others wait for it.",
  examples: [{ line: "corvo queue blocked orders", says: "Which key waits for which job" }],
  args: { queue: queueArg },
  async run(args, { client, output, signal }) {
    const params = { name: args.queue };
    const rows: string[][] = [];
    const keys: unknown[] = [];
    for await (const page of pages((query) =>
      client().blockedKeys({ params, query }, { signal }),
    )) {
      for (const { key, job_id, state, waiting } of page.keys) {
        rows.push([printable(key), job_id, state, String(waiting)]);
      }
      keys.push(...page.keys);
    }
    if (output.json) output.line(JSON.stringify({ keys }));
    else if (rows.length === 0) output.note("no job waits for an older one of its key");
    else printGrid(output, ["KEY", "HELD BY", "STATE", "WAITING"], rows);
    return undefined;
  },
});
