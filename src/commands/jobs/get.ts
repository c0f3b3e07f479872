/**
 * `corvo jobs get`: one job as a page for a person. What came from clients and workers (payload, errors, output) is shown
 * with control characters written out.
 */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { RawJson } from "../../base/json.ts";
import { formatDuration } from "../../base/time.ts";
import { formatBytes } from "../_shared/bytes.ts";
import { command } from "../_shared/command.ts";
import { printFields } from "../_shared/grid.ts";
import { type Output, printable, printableBlock } from "../_shared/output.ts";
import { paintState } from "../_shared/states.ts";

type Job = ResultOf<Operations["getJob"]>;
type Attempt = NonNullable<Job["attempts"]>[number];

export default command({
  examples: [
    { line: "corvo jobs get job_0193a1b2c3d000000000000001", says: "Everything about a job" },
    {
      line: "corvo jobs get job_0193a1b2c3d000000000000001 --json",
      says: "The same as JSON, for programs",
    },
  ],
  args: { id: { type: "positional", description: "Id of the job." } },
  async run(args, { client, output, signal }) {
    const input = { params: { job_id: args.id } };
    if (output.json) output.line(await client().text("getJob", input, { signal }));
    else if (output.quiet) output.line((await client().getJob(input, { signal })).id);
    else printJob(output, await client().getJob(input, { signal }));
    return undefined;
  },
});

function printJob(output: Output, job: Job): void {
  const { style } = output;
  output.line(`${style.bold(job.id)}  ${paintState(job.state, style)}`);
  output.line("");
  printFields(output, [
    ["queue", job.queue],
    ["priority", String(job.priority)],
    ["attempt", `${job.attempt} of ${job.max_retries}`],
    ["backoff", backoffText(job)],
    ["retry for", durationText(job.retry_for_ms)],
    ["no retry on", job.no_retry_on?.join(", ")],
    ["timeout", durationText(job.timeout_ms)],
    ["snoozes", job.snoozes === undefined ? undefined : String(job.snoozes)],
    ["unique key", job.unique_key],
    ["limit key", job.limit_key],
    ["resources", pairText(job.resources)],
    ["fifo key", job.fifo_key],
    ["group", job.group],
    ["requires", pairText(job.requires)],
    ["schedule", job.schedule === undefined ? undefined : scheduleText(job.schedule)],
    ["dead queue", job.dead_queue],
    ["copy of", job.dead_of],
    ["callback", job.callback_url],
    ["parent", job.parent_id],
    ["batch", job.batch_id],
    ["chain", job.chain_id === undefined ? undefined : `${job.chain_id}, ${stepText(job)}`],
    ["depends on", job.depends_on?.join(" ")],
    ["waits for", job.waits_for?.join(" ")],
    ["tags", pairText(job.tags)],
    ["worker", [job.worker_id, job.hostname].filter((part) => part !== undefined).join(" on ")],
    ["created", job.created_at],
    ["scheduled", job.scheduled_at],
    ["started", job.started_at],
    ["lease until", job.lease_expires_at],
    ["completed", job.completed_at],
    ["failed", job.failed_at],
    ["cancelled", job.cancelled_at],
    ["expires", job.expire_at],
    ["deadline", job.deadline_at],
    ["held because", job.hold_reason],
    ["dead because", job.dead_reason],
    ["cancelled because", job.cancel_reason],
  ]);
  printValue(output, "Payload", {
    json: job.payload,
    type: job.content_type,
    bytes: job.payload_bytes,
  });
  printJson(output, "Progress", job.progress);
  printJson(output, "Checkpoint", job.checkpoint);
  printValue(output, "Result", {
    json: job.result,
    type: job.result_type,
    bytes: job.result_bytes,
  });
  printAttempts(output, attemptsOf(job));
}

function backoffText(job: Job): string {
  if (job.retry_backoff === "none") return "none";
  const { retry_base_delay_ms: baseMs, retry_max_delay_ms: maxMs } = job;
  return `${job.retry_backoff}, from ${formatDuration(baseMs)} to ${formatDuration(maxMs)}`;
}

function durationText(durationMs: number | undefined): string | undefined {
  return durationMs === undefined ? undefined : formatDuration(durationMs);
}

function scheduleText({ name, due_at }: NonNullable<Job["schedule"]>): string {
  return `${name}, due ${due_at}`;
}

/** Jobs that follow a chain have no place in it. */
function stepText({ chain_step: step }: Job): string {
  if (step === -1) return "after its end";
  return step === -2 ? "after its failure" : `step ${step}`;
}

function pairText(pairs: Readonly<Record<string, string | number>> | undefined) {
  if (pairs === undefined) return undefined;
  return Object.entries(pairs)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** Bytes are named here and written by `corvo jobs payload` and `corvo jobs result`. */
function printValue(
  output: Output,
  title: string,
  value: {
    readonly json: RawJson | null | undefined;
    readonly type: string | undefined;
    readonly bytes: number | undefined;
  },
): void {
  if (value.type === undefined) {
    printJson(output, title, value.json === null ? new RawJson("null") : value.json);
    return;
  }
  output.line("");
  output.line(output.style.bold(title));
  output.line(indent(printable(`${value.type}, ${formatBytes(value.bytes ?? 0)}`)));
}

function printJson(output: Output, title: string, value: RawJson | undefined): void {
  if (value === undefined) return;
  output.line("");
  output.line(output.style.bold(title));
  output.line(indent(printableBlock(value.text)));
}

/** A server may list the failed attempts, all attempts, or both; each is shown once. */
function attemptsOf(job: Job): readonly Attempt[] {
  const byId = new Map<string, Attempt>();
  for (const attempt of [...(job.errors ?? []), ...(job.attempts ?? [])])
    byId.set(attempt.id, attempt);
  return [...byId.values()].sort((left, right) => left.attempt - right.attempt);
}

function printAttempts(output: Output, attempts: readonly Attempt[]): void {
  const { style } = output;
  for (const attempt of attempts) {
    const worker = attempt.worker_id === undefined ? "" : ` by ${printable(attempt.worker_id)}`;
    // What `no_retry_on` would have to name.
    const kind = attempt.error_class === undefined ? "" : ` (${printable(attempt.error_class)})`;
    output.line("");
    output.line(
      `${style.bold(`Attempt ${attempt.attempt}`)}  ${printable(attempt.outcome)}${kind}, ${printable(attempt.created_at)}${worker}`,
    );
    if (attempt.error !== "") output.line(indent(style.red(printableBlock(attempt.error))));
    if (attempt.backtrace !== undefined) output.line(indent(printableBlock(attempt.backtrace)));
    if (attempt.output !== undefined && attempt.output !== "") {
      output.line(style.dim("  output:"));
      output.line(indent(printableBlock(attempt.output.replace(/\n$/, ""))));
    }
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
