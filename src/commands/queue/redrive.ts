/**
 * `corvo queue redrive`: begins a redrive of the dead jobs of a queue, or shows or stops the one that is there. The work is done by
 * the server; this only waits for it when asked to.
 */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { RedriveBody, RedriveFilter } from "../../api/redrive.ts";
import { pause } from "../../sdk/retry.ts";
import { connect, patientRetry } from "../_shared/client.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { filterFlag, filterText } from "../_shared/filter-args.ts";
import { count } from "../_shared/output.ts";
import { queueArg } from "../_shared/queue-args.ts";
import { readInteger, readPastTime } from "../_shared/readers.ts";
import { schemaFlags, schemaValues } from "../_shared/schema-args.ts";
import { systemClock } from "../_shared/system.ts";

type Redrive = ResultOf<Operations["getRedrive"]>;
type Body = NonNullable<Parameters<ReturnType<Context["client"]>["startRedrive"]>[0]["body"]>;

const lookMs = 500;

export default command({
  details: [
    "Runs dead jobs again in the background, also across restarts and changes of the leader. All of the queue, or those that the",
    "flags choose; what dies again is not taken twice.",
  ].join(" "),
  examples: [
    { line: "corvo queue redrive mail --rate 50", says: "All dead jobs, fifty in a second" },
    {
      line: "corvo queue redrive mail --filter 'created<1d payload.tenant=acme'",
      says: "Those of a filter",
    },
    {
      line: "corvo queue redrive mail --error-group err_0123456789abcdef --wait",
      says: "Those of one error, and wait until it is done",
    },
    { line: "corvo queue redrive mail --status", says: "How far it is" },
    { line: "corvo queue redrive mail --cancel", says: "Stop it" },
  ],
  args: {
    queue: queueArg,
    rate: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Jobs in a second at most. Default as fast as they are found.",
    },
    ...schemaFlags(RedriveBody, { omit: ["rate_per_second", "filter"] }),
    ...filterFlag,
    ...schemaFlags(RedriveFilter, {
      omit: ["q"],
      alias: { tags: ["tag"] },
      readTime: readPastTime(() => systemClock.nowMs()),
    }),
    wait: { type: "boolean", description: "Wait until it is over." },
    status: { type: "boolean", description: "Only show how far the last one is." },
    cancel: { type: "boolean", description: "Stop the one that is running." },
  },
  async run(args, context) {
    const { client, output, signal } = context;
    const { queue: name, rate, wait, status, cancel, ...given } = args;
    const params = { name };
    if (cancel === true && status === true)
      throw new UsageError("--cancel and --status are both given");
    if (cancel === true) {
      const text = await client().text("cancelRedrive", { params }, { signal });
      if (output.json) output.line(text);
      else output.note(`the redrive of ${name} is cancelled`);
      return;
    }
    let redrive: Redrive;
    if (status === true) redrive = await client().getRedrive({ params }, { signal });
    else {
      const { filter: written, ...flags } = given;
      const text = filterText(written);
      const filter = { ...schemaValues(RedriveFilter, flags), ...(text === "" ? {} : { q: text }) };
      // The flags were read and checked by the schemas of this very body.
      const body = {
        ...schemaValues(RedriveBody, given),
        ...(rate === undefined ? {} : { rate_per_second: rate }),
        ...(Object.keys(filter).length === 0 ? {} : { filter }),
      } as Body;
      redrive = await client().startRedrive({ params, body }, { signal });
    }
    const patient = connect(context, patientRetry);
    while (wait === true && redrive.state === "running") {
      await pause(context.system.timers, lookMs, signal);
      redrive = await patient.getRedrive({ params }, { signal });
    }
    if (output.json) output.line(JSON.stringify(redrive));
    else output.note(words(redrive));
  },
});

function words({ queue, state, total, total_exact, retried, skipped }: Redrive): string {
  const all = `${total_exact ? "" : "at least "}${count(total, "dead job")}`;
  const left = skipped === 0 ? "" : `, ${skipped} left out`;
  return `${queue}: ${state}, ${retried} of ${all} run again${left}`;
}
