/**
 * `corvo jobs wait`: holds one call open per job until it is finished, so that a script can run a job like a command. The
 * result goes to stdout as it was sent; the exit code tells completed, failed and too late apart.
 */
import { requestLimits } from "../../api/limits.ts";
import type { ResultOf } from "../../api/operation.ts";
import { rawTreeOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { operations } from "../../api/operations.ts";
import { exitCodes } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { connect, patientRetry } from "../_shared/client.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { readIds } from "../_shared/input.ts";
import { printable } from "../_shared/output.ts";
import { readDuration } from "../_shared/readers.ts";
import { shownPayload } from "../_shared/shown-payload.ts";
import { paintState } from "../_shared/states.ts";

type Job = ResultOf<Operations["waitJob"]>;

/** Each id holds one call open. */
const idsMax = 100;
const finished: readonly string[] = ["completed", "dead", "cancelled"];

export default command({
  details:
    "Prints the result of one job, or a line per job. Exit code 0: all were completed; 1: one is dead or cancelled; 6: the time was over.",
  examples: [
    {
      line: "corvo jobs wait job_0193a1b2c3d000000000000001 --timeout 5m",
      says: "Wait at most five minutes and print the result",
    },
    {
      line: "corvo enqueue report -q | corvo jobs wait -",
      says: "Run a job and wait for its result",
    },
  ],
  args: {
    ids: {
      type: "positional",
      rest: true,
      label: "ID",
      description: "Ids of jobs; - reads them from standard input.",
    },
    timeout: {
      type: "string",
      valueHint: "DURATION",
      read: readDuration,
      description: "How long to wait, such as 90s or 5m. Default: until all are finished.",
    },
  },
  async run(args, context) {
    const ids = await readIds(context.system, args.ids);
    if (ids.length > idsMax) {
      throw new UsageError(
        `${ids.length} ids are given; at most ${idsMax} can be waited for`,
        "Wait for them in groups.",
      );
    }
    const { clock } = context.system;
    const deadlineMs =
      args.timeout === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() + args.timeout;
    const texts = await Promise.all(ids.map((id) => waitFor(context, id, deadlineMs)));
    return report(context, texts);
  },
});

/** The job as JSON text, once it is finished or the time is over. */
async function waitFor(context: Context, id: string, deadlineMs: number): Promise<string> {
  // Once the job is known, waiting for it outlasts a restart of the server.
  let client = context.client();
  for (;;) {
    const leftMs = Math.max(0, deadlineMs - context.system.clock.monotonicMs());
    const timeout = Math.min(leftMs, requestLimits.waitMsMax) / 1000;
    const input = { params: { job_id: id }, query: { timeout } };
    const text = await client.text("waitJob", input, { signal: context.signal });
    client = connect(context, patientRetry);
    if (leftMs === 0 || finished.includes(jobOf(text).state)) return text;
  }
}

const tree = rawTreeOf(operations.waitJob.result);

function jobOf(text: string): Job {
  const parsed = parseJson(text, tree, requestLimits.jsonDepthMax + 16);
  if (!parsed.ok) throw new UsageError("the server sent an answer that is not JSON");
  return parsed.value as Job;
}

function report(context: Context, texts: readonly string[]): number {
  const { output } = context;
  const jobs = texts.map(jobOf);
  if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
  else for (const job of jobs) printJob(context, job, jobs.length === 1);
  if (jobs.some((job) => !finished.includes(job.state))) {
    context.log.error("the time is over");
    return exitCodes.unavailable;
  }
  return jobs.every((job) => job.state === "completed") ? exitCodes.ok : exitCodes.failed;
}

function printJob({ output, log }: Context, job: Job, isOnly: boolean): void {
  if (output.quiet) {
    output.line(job.id);
  } else if (isOnly) {
    if (job.result_type !== undefined) {
      log.info(`the result is ${shownResult(job)}: corvo jobs result ${job.id}`);
    } else if (job.result !== undefined) output.line(job.result.text);
    if (job.state !== "completed") log.info(`${job.id} is ${job.state}${lastError(job)}`);
  } else {
    const result = job.result === undefined ? "" : `\t${printable(shownResult(job))}`;
    output.line(`${job.id}\t${paintState(job.state, output.style)}${result}`);
  }
}

function shownResult(job: Job): string {
  return shownPayload({
    payload: job.result ?? null,
    content_type: job.result_type,
    payload_bytes: job.result_bytes,
  });
}

function lastError(job: Job): string {
  const error = job.errors?.at(-1)?.error ?? job.dead_reason;
  return error === undefined || error === "" ? "" : `: ${printable(error)}`;
}
