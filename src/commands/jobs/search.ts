import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { parseTime } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { printGrid } from "../_shared/grid.ts";
import { count, formatAge, printable } from "../_shared/output.ts";
import { readInteger } from "../_shared/readers.ts";
import { paintState } from "../_shared/states.ts";

type Found = ResultOf<Operations["searchText"]>;

export default command({
  details:
    "Each word must occur in the queue's name, the payload, the tags or an error, in any case; several words between quotes are one. For words beside other conditions: corvo jobs list.",
  examples: [
    { line: "corvo jobs search invoice 4711", says: "Jobs that contain both" },
    {
      line: "corvo jobs search '\"connection refused\"' --limit 10",
      says: "Words that stand together",
    },
  ],
  args: {
    words: { type: "positional", rest: true, label: "WORD", description: "What to search for." },
    limit: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Jobs at most. Default 50, at most 500.",
    },
  },
  async run(args, context) {
    const { client, output, signal } = context;
    const query = {
      q: args.words.join(" "),
      ...(args.limit === undefined ? {} : { limit: args.limit }),
    };
    if (output.json) output.line(await client().text("searchText", { query }, { signal }));
    else printFound(context, await client().searchText({ query }, { signal }));
    return undefined;
  },
});

function printFound({ output, system }: Context, found: Found): void {
  if (output.quiet) {
    for (const job of found.results) output.line(job.id);
    return;
  }
  if (found.results.length === 0) output.note("no job contains this");
  const nowMs = system.clock.nowMs();
  const rows = found.results.map((job) => [
    job.id,
    printable(job.queue),
    paintState(job.state, output.style),
    formatAge(nowMs - (parseTime(job.created_at) ?? nowMs)),
    printable(job.payload),
  ]);
  if (rows.length > 0) printGrid(output, ["ID", "QUEUE", "STATE", "AGE", "PAYLOAD"], rows);
  const total = `${found.total_exact ? "" : "at least "}${count(found.total, "job")}`;
  if (found.total > found.results.length || !found.total_exact) {
    output.note(`${found.results.length} of ${total}`);
  }
}
