import { exitCodes } from "../../base/errors.ts";
import type { Client } from "../../sdk/client.ts";
import { connect, patientRetry } from "../_shared/client.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { count } from "../_shared/output.ts";
import { queuesArg } from "../_shared/queue-args.ts";
import { readDuration } from "../_shared/readers.ts";

const lookMs = 500;

export default command({
  details: [
    "New jobs are refused with QUEUE_DRAINING until `corvo queue undrain`; schedules note their runs as missed. With --wait",
    "the exit code is 0 when no unfinished job is left, and 6 when the time was over before.",
  ].join(" "),
  examples: [
    { line: "corvo queue drain mail", says: "Take no new jobs, work off those that are there" },
    { line: "corvo queue drain mail --wait --timeout 10m", says: "And wait until none is left" },
  ],
  args: {
    queues: queuesArg,
    wait: { type: "boolean", description: "Wait until no unfinished job is left." },
    timeout: {
      type: "string",
      valueHint: "DURATION",
      read: readDuration,
      description: "How long to wait, such as 10m. Default: until nothing is left.",
    },
  },
  async run(args, context) {
    const { client, output, signal, system } = context;
    const texts: string[] = [];
    for (const name of args.queues) {
      const input = { params: { name }, body: { refuse_new: true } };
      const text = await client().text("drainQueue", input, { signal });
      texts.push(text);
      if (output.quiet && !output.json) output.line(name);
      else if (!output.json) output.note(`${name} is ${statusOf(text)}`);
    }
    if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
    if (args.wait !== true) return undefined;
    const { clock } = system;
    const endMs =
      args.timeout === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() + args.timeout;
    for (const name of args.queues) {
      if (!(await isEmptied(context, name, endMs))) {
        context.log.error("the time is over");
        return exitCodes.unavailable;
      }
      if (!output.json && !output.quiet) output.note(`${name} is drained`);
    }
    return exitCodes.ok;
  },
});

function statusOf(text: string): string {
  const { status, left } = JSON.parse(text) as { status: string; left?: number };
  return left === undefined || left === 0 ? status : `${status}: ${count(left, "job")} left`;
}

/** Looks again and again until no unfinished job is left; false when the time is over first. */
async function isEmptied(context: Context, name: string, endMs: number): Promise<boolean> {
  const { signal, system } = context;
  const patient = connect(context, patientRetry);
  for (;;) {
    if ((await leftIn(patient, name, signal)) === 0) return true;
    if (system.clock.monotonicMs() >= endMs || signal.aborted) return false;
    await new Promise<void>((resolve) => system.timers.after(lookMs, resolve));
  }
}

async function leftIn(client: Client, name: string, signal: AbortSignal): Promise<number> {
  const queue = await client.getQueue({ params: { name } }, { signal });
  return queue.pending + queue.scheduled + queue.retrying + queue.held + queue.active;
}
