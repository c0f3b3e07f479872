import { formatDuration } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { printFields, printGrid } from "../_shared/grid.ts";
import { modeOf, scheduleArg, timetableOf } from "../_shared/schedule-view.ts";

export default command({
  examples: [{ line: "corvo schedule show nightly", says: "Settings, next runs and history" }],
  args: { name: scheduleArg },
  async run(args, { client, output, signal }) {
    const input = { params: { name: args.name } };
    if (output.json) {
      output.line(await client().text("getSchedule", input, { signal }));
      return undefined;
    }
    const schedule = await client().getSchedule(input, { signal });
    if (output.quiet) {
      output.line(schedule.name);
      return undefined;
    }
    output.line(output.style.bold(schedule.name));
    output.line("");
    printFields(output, [
      ["when", timetableOf(schedule)],
      ["mode", modeOf(schedule)],
      ["overlap", schedule.overlap],
      [
        "catch up",
        `${schedule.catch_up}, up to ${formatDuration(schedule.catch_up_window_ms)} late`,
      ],
      ["jitter", schedule.jitter_ms === 0 ? undefined : `${schedule.jitter_ms} ms`],
      ["start", schedule.start],
      ["end", schedule.end],
      ["job", schedule.job.text],
      ["runs", String(schedule.runs)],
      ["missed", String(schedule.missed)],
      ["next", schedule.next_runs.join("  ")],
    ]);
    if (schedule.history.length === 0) return undefined;
    output.line("");
    printGrid(
      output,
      ["DUE", "OUTCOME", "JOB", "ENDED", "WHY"],
      schedule.history.map((run) => [
        run.due_at,
        `${run.outcome}${run.manual === true ? " by hand" : ""}${run.count === undefined ? "" : ` ×${run.count}`}`,
        run.job_id ?? "-",
        run.ended ?? (run.job_id === undefined ? "-" : "not yet"),
        run.why ?? "",
      ]),
    );
    return undefined;
  },
});
