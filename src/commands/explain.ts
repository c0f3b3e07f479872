/**
 * `corvo explain`: what keeps a job or a queue waiting, as sentences. What looks like the id of a job is one; anything else is
 * the name of a queue.
 */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { parseJobId } from "../base/ids.ts";
import { command } from "./_shared/command.ts";
import { count, type Output, printableBlock } from "./_shared/output.ts";
import { readQueue } from "./_shared/queue-args.ts";
import { paintState } from "./_shared/states.ts";

type JobExplanation = ResultOf<Operations["explainJob"]>;
type QueueExplanation = ResultOf<Operations["explainQueue"]>;

export default command({
  details: [
    "Names every cause at once: pauses, limits and who holds them, older jobs of a key, dependencies, times, the place in line,",
    "whether a worker waits. While a cluster has no leader, the asked node answers with that and what it knows.",
  ].join(" "),
  examples: [
    { line: "corvo explain job_0193a1b2c3d000000000000001", says: "Why does this job not run?" },
    { line: "corvo explain mail", says: "Why is this queue silent?" },
    { line: "corvo explain mail --json", says: "The same with codes, for programs" },
  ],
  args: {
    what: {
      type: "positional",
      label: "JOB|QUEUE",
      description: "Id of a job, or name of a queue.",
      read: readQueue,
    },
  },
  async run(args, { client, output, signal }) {
    if (parseJobId(args.what) !== undefined) {
      const input = { params: { job_id: args.what } };
      if (output.json) output.line(await client().text("explainJob", input, { signal }));
      else printJob(output, await client().explainJob(input, { signal }));
      return undefined;
    }
    const input = { params: { name: args.what } };
    if (output.json) output.line(await client().text("explainQueue", input, { signal }));
    else printQueue(output, await client().explainQueue(input, { signal }));
    return undefined;
  },
});

function printJob(output: Output, job: JobExplanation): void {
  const { style } = output;
  const where = `${paintState(job.state, style)} in queue ${job.queue}`;
  output.line(`${style.bold(job.job_id)}  ${where}${staleMark(job)}`);
  printCauses(output, job);
  const starts = startWords(job.starts);
  if (starts !== undefined) output.line(`Starts ${starts}.`);
}

function printQueue(output: Output, queue: QueueExplanation): void {
  output.line(`${output.style.bold(queue.queue)}${staleMark(queue)}`);
  printCauses(output, queue);
  const parts = [
    `${queue.ready} ready`,
    `${queue.open} of them can be claimed`,
    `${queue.active} active`,
  ];
  if (queue.waiting_workers !== undefined)
    parts.push(`${count(queue.waiting_workers, "worker")} waiting`);
  if (queue.claims_per_second !== undefined) parts.push(`${queue.claims_per_second} claims/s`);
  output.line(`${parts.join(", ")}.`);
  if (queue.next_job_id !== undefined) output.line(`Next is ${queue.next_job_id}.`);
}

function printCauses(output: Output, found: JobExplanation | QueueExplanation): void {
  if (found.causes.length === 0) output.line(printableBlock(found.summary));
  for (const { message } of found.causes) output.line(`- ${printableBlock(message)}`);
}

function staleMark({ stale }: { readonly stale: boolean }): string {
  return stale ? "  (as the asked node knows it; it may be behind)" : "";
}

function startWords({
  basis,
  at,
  claims_per_second,
}: JobExplanation["starts"]): string | undefined {
  switch (basis) {
    case "never":
    case "now":
      return undefined;
    case "worker":
      return "as soon as a worker asks";
    case "time":
      return `at ${at}, if nothing else stops it by then`;
    case "rate":
      return claims_per_second === undefined
        ? `about ${at}, at the rate that it waits for`
        : `about ${at}, at the ${claims_per_second} claims/s of the last minute`;
    default:
      return "at a time that cannot be told from what is known";
  }
}
