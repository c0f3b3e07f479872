/** The id of a batch on the command line, and how batches look at a terminal. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { printFields } from "./grid.ts";
import { type Output, printable } from "./output.ts";
import { paintState } from "./states.ts";

type Batch = ResultOf<Operations["getBatch"]>;
type Follower = NonNullable<Batch["complete_job"]>;

export const batchArg = { type: "positional", description: "Id of the batch." } as const;

/** How far it is, in one cell. */
export function progressOf({ total, pending }: Batch): string {
  return `${total - pending}/${total}`;
}

export function printBatch(output: Output, batch: Batch): void {
  const { style } = output;
  output.line(`${style.bold(batch.id)}  ${paintState(batch.state, style)}`);
  output.line("");
  printFields(output, [
    ["name", batch.name],
    ["because", batch.reason],
    ["jobs", String(batch.total)],
    ["pending", String(batch.pending)],
    ["completed", String(batch.completed)],
    ["dead", String(batch.dead)],
    ["cancelled", String(batch.cancelled)],
    ["created", batch.created_at],
    ["sealed at", batch.seal_at],
    ["ended", batch.finished_at],
    ["on success", followerText(batch.success_job)],
    ["on failure", followerText(batch.failure_job)],
    ["on complete", followerText(batch.complete_job)],
  ]);
}

function followerText(job: Follower | undefined): string | undefined {
  if (job === undefined) return undefined;
  const queue = job.queue === undefined ? "" : ` in ${printable(job.queue)}`;
  return `${job.job_id}${queue}, ${job.state}`;
}
