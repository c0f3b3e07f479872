import { operations } from "../../api/operations.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { readPayload } from "../_shared/payload.ts";
import { readQueue } from "../_shared/queue-args.ts";
import { scheduleArg, timetableOf } from "../_shared/schedule-view.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";

const schema = operations.setSchedule.body;
const jobSchema = schema.properties.job;
type Body = Parameters<ReturnType<Context["client"]>["setSchedule"]>[0]["body"];

export default command({
  details: [
    "The job flags are those of `corvo enqueue` and hold for every run. Setting a schedule that exists replaces all of its",
    "settings; its history and counts go on.",
  ].join(" "),
  examples: [
    {
      line: `corvo schedule set nightly reports '{"kind":"daily"}' --cron "30 2 * * *" --zone Europe/Berlin`,
      says: "Each night at half past two, in Berlin",
    },
    {
      line: "corvo schedule set poll feeds --every 15m --overlap skip",
      says: "Every 15 minutes, unless the run before is not over",
    },
  ],
  args: {
    name: scheduleArg,
    queue: { type: "positional", read: readQueue, description: "Queue of the jobs." },
    payload: {
      type: "positional",
      required: false,
      description: "JSON, - for standard input, or @FILE. Default {}.",
    },
    ...schemaFlags(schema, { omit: ["job"] }),
    ...schemaFlags(jobSchema, {
      omit: [
        ...["queue", "payload", "scheduled_at", "depends_on", "on_dependency_failure"],
        ...["parent_id", "cascade_cancel", "batch_id"],
      ],
      alias: { tags: ["tag"] },
    }),
  },
  async run(args, { client, output, signal, system }) {
    const given: Readonly<Record<string, unknown>> = { ...args };
    const payload =
      args.payload === undefined ? {} : { payload: await readPayload(system, args.payload) };
    const flags = { ...given, queue: undefined, payload: undefined };
    const job = { queue: args.queue, ...payload, ...schemaValues(jobSchema, flags) };
    // The flags were read and checked by the schemas of this very body.
    const body = { ...schemaValues(schema, { ...given, job: undefined }), job } as Body;
    const input = { params: { name: args.name }, body };
    if (output.json) {
      output.line(await client().text("setSchedule", input, { signal }));
      return;
    }
    const schedule = await client().setSchedule(input, { signal });
    output.line(schedule.name);
    const next = schedule.next_runs[0] ?? "never";
    output.note(`${timetableOf(schedule)} into ${schedule.queue}, next ${next}`);
  },
});
