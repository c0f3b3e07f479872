import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { boundWords, type LimitShown, stateWords, targetWords } from "../_shared/limit-args.ts";
import { type PageAsked, pages } from "../_shared/pages.ts";
import { readQueue } from "../_shared/queue-args.ts";

export default command({
  examples: [
    { line: "corvo limit list", says: "All limits and pauses" },
    { line: "corvo limit list --queue mail", says: "Those of one queue" },
  ],
  args: {
    queue: {
      type: "string",
      valueHint: "QUEUE",
      read: readQueue,
      description: "Only of this queue.",
    },
  },
  async run(args, { client, output, signal }) {
    const filter = args.queue === undefined ? {} : { queue: args.queue };
    const limits: LimitShown[] = [];
    const ask = (query: PageAsked) =>
      client().listLimits({ query: { ...filter, ...query } }, { signal });
    for await (const page of pages(ask)) limits.push(...page.limits);
    if (output.json) {
      output.line(JSON.stringify({ limits }));
      return undefined;
    }
    if (limits.length === 0) {
      output.note("no limit; `corvo limit set` makes one");
      return undefined;
    }
    const rows = limits.map((limit) => [
      targetWords(limit),
      boundWords(limit),
      limit.in_use === undefined ? "-" : String(limit.in_use),
      stateWords(limit),
    ]);
    printGrid(output, ["OF", "LIMIT", "IN USE", "STATE"], rows);
    return undefined;
  },
});
