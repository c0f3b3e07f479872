import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { modeOf, timetableOf } from "../_shared/schedule-view.ts";

const pageRows = 1000;

export default command({
  examples: [
    { line: "corvo schedule list", says: "All schedules, and when they run next" },
    { line: "corvo schedule list --prefix billing.", says: "Those whose names begin so" },
  ],
  args: {
    prefix: { type: "string", valueHint: "TEXT", description: "Beginning of the name." },
  },
  async run(args, { client, output, signal }) {
    const filter = args.prefix === undefined ? {} : { prefix: args.prefix };
    if (output.json) {
      const query = { ...filter, limit: pageRows };
      output.line(await client().text("listSchedules", { query }, { signal }));
      return undefined;
    }
    const rows: string[][] = [];
    for (let after = ""; ; ) {
      const query = { ...filter, limit: pageRows, ...(after === "" ? {} : { after }) };
      const page = await client().listSchedules({ query }, { signal });
      for (const schedule of page.schedules) {
        rows.push([
          printable(schedule.name),
          printable(schedule.queue),
          timetableOf(schedule),
          modeOf(schedule),
          schedule.next_runs[0] ?? "-",
          schedule.last_run === undefined
            ? "-"
            : `${schedule.last_run.outcome} ${schedule.last_run.due_at}`,
          String(schedule.runs),
          String(schedule.missed),
        ]);
      }
      after = page.schedules.at(-1)?.name ?? "";
      if (!page.has_more) break;
    }
    if (output.quiet) {
      for (const [name] of rows) output.line(name ?? "");
      return undefined;
    }
    if (rows.length === 0) {
      output.note("no schedule; `corvo schedule set` makes one");
      return undefined;
    }
    const head = ["SCHEDULE", "QUEUE", "WHEN", "MODE", "NEXT", "LAST", "RUNS", "MISSED"];
    printGrid(output, head, rows);
    return undefined;
  },
});
