/** Adds one job and says what happened. */
import type { Context } from "./context.ts";

export type EnqueueBody = Parameters<ReturnType<Context["client"]>["enqueueJob"]>[0]["body"];

export async function enqueueOne(context: Context, body: EnqueueBody): Promise<undefined> {
  const { output, signal } = context;
  if (output.json) {
    output.line(await context.client().text("enqueueJob", { body }, { signal }));
    return;
  }
  const added = await context.client().enqueueJob({ body }, { signal });
  output.line(added.job_id);
  output.note(whatHappened(added.status, body.queue));
}

function whatHappened(status: string, queue: string): string {
  switch (status) {
    case "duplicate":
      return "a job already holds the unique key; nothing was added";
    case "replaced":
      return `a waiting job of ${queue} with this unique key became this one`;
    case "held":
      return `added to ${queue}; it waits until the running job with this unique key ends`;
    default:
      return `added to ${queue}, ${status}`;
  }
}
