/** `corvo jobs log`: what happened to one job, event by event. */
import { command } from "../_shared/command.ts";
import { eventLine } from "../_shared/event-lines.ts";

export default command({
  details:
    "Events are kept for a while (`corvo server --events-retention`), also those of jobs that are gone. docs/reference/events.md lists their types.",
  examples: [
    { line: "corvo jobs log job_0193a1b2c3d000000000000001", says: "All that happened to a job" },
  ],
  args: {
    id: { type: "positional", description: "Id of the job." },
  },
  async run(args, { client, output, signal }) {
    const input = { params: { job_id: args.id } };
    if (output.json) {
      output.line(await client().text("jobEvents", input, { signal }));
      return undefined;
    }
    const { events, complete } = await client().jobEvents(input, { signal });
    if (events.length === 0) output.note("no event of this job is kept any more");
    else if (!complete) output.note("not all of its events are shown: some are not kept any more");
    for (const event of events) {
      output.line(output.quiet ? event.type : eventLine(event, output.style, "alone"));
    }
    return undefined;
  },
});
