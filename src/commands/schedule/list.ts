import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { type PageAsked, pages } from "../_shared/pages.ts";
import { modeOf, timetableOf } from "../_shared/schedule-view.ts";

type ScheduleShown = ResultOf<Operations["listSchedules"]>["schedules"][number];

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
    const ask = (query: PageAsked) =>
      client().listSchedules({ query: { ...filter, ...query } }, { signal });
    const schedules: ScheduleShown[] = [];
    for await (const page of pages(ask)) schedules.push(...page.schedules);
    if (output.json) {
      output.line(JSON.stringify({ schedules, total: schedules.length, has_more: false }));
      return undefined;
    }
    if (output.quiet) {
      for (const { name } of schedules) output.line(printable(name));
      return undefined;
    }
    if (schedules.length === 0) {
      output.note("no schedule; `corvo schedule set` makes one");
      return undefined;
    }
    const rows = schedules.map((schedule) => [
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
    const head = ["SCHEDULE", "QUEUE", "WHEN", "MODE", "NEXT", "LAST", "RUNS", "MISSED"];
    printGrid(output, head, rows);
    return undefined;
  },
});
