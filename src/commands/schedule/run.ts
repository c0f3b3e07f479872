import { command } from "../_shared/command.ts";
import { scheduleArg } from "../_shared/schedule-view.ts";

export default command({
  examples: [
    { line: "corvo schedule run nightly", says: "A run besides the timetable; its job id" },
  ],
  args: { name: scheduleArg },
  async run(args, { client, output, signal }) {
    const input = { params: { name: args.name } };
    if (output.json) {
      output.line(await client().text("runSchedule", input, { signal }));
      return undefined;
    }
    const { job_id, status } = await client().runSchedule(input, { signal });
    output.line(job_id);
    if (status === "duplicate")
      output.note("an unfinished job holds its unique key; nothing was added");
    return undefined;
  },
});
