/** How a bulk action that goes on in the server is followed to its end, and how the end is told. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { exitCodes } from "../../base/errors.ts";
import { pause } from "../../sdk/retry.ts";
import { connect, patientRetry } from "./client.ts";
import type { Context } from "./context.ts";
import { count } from "./output.ts";
import { createProgress } from "./progress.ts";

type BulkState = ResultOf<Operations["getBulk"]>;

const pollMs = 500;

/** Follows a bulk action that goes on in the server. Ctrl-C only stops the following. */
export async function followBulk(
  context: Context,
  done: string,
  id: string,
  wanted: number | undefined,
): Promise<number | undefined> {
  const client = connect(context, patientRetry);
  const progress = createProgress(context);
  context.whenInterrupted(() => `bulk action ${id} goes on in the server`);
  for (;;) {
    const input = { params: { id } };
    const text = await client.text("getBulk", input, { signal: context.signal });
    const state = JSON.parse(text) as BulkState;
    if (state.finished_at !== undefined) {
      progress.done();
      return reportBulk(context, done, text, { ...state, wanted });
    }
    const share = state.total > 0 ? state.processed / state.total : undefined;
    progress.update(
      share,
      `${state.processed.toLocaleString("en-US")} of ${count(state.total, "job")}`,
    );
    await pause(context.system.timers, pollMs, context.signal);
  }
}

interface BulkEnd {
  readonly affected?: number;
  readonly errors?: number;
  readonly error?: string;
  /** How many ids were named; ids that no job has are in no count of the server. */
  readonly wanted: number | undefined;
}

export function reportBulk(
  context: Context,
  done: string,
  text: string,
  answer: BulkEnd,
): number | undefined {
  const { affected = 0 } = answer;
  const errors = Math.max(answer.errors ?? 0, (answer.wanted ?? 0) - affected);
  if (context.output.json) context.output.line(text);
  else context.output.note(`${count(affected, "job")} ${affected === 1 ? "was" : "were"} ${done}`);
  if (answer.error !== undefined) {
    context.log.error(answer.error);
    return exitCodes.failed;
  }
  if (errors === 0) return undefined;
  context.output.warn(
    `${count(errors, "job")} ${errors === 1 ? "was" : "were"} not: unknown, or in a state that does not allow it`,
  );
  return exitCodes.partial;
}
