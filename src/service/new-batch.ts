/** From a batch as a client describes it to one as the engine takes it. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import type { ChainStep, NewBatch as NewBatchSchema } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import type { NewBatch, NewJob } from "../engine/change.ts";
import { stepJob } from "./chain-plan.ts";
import { sizeOf, toNewJob } from "./new-job.ts";
import { toSpan } from "./values.ts";

type Spec = Static<typeof NewBatchSchema>;
type Step = Static<typeof ChainStep>;
type OpenSpec = InputOf<Operations["createBatch"]>["body"];

const defaultOpenMs = 24 * 3_600_000;

/** The batch that the jobs of a call are. */
export function toNewBatch(spec: Spec, shard: number): NewBatch {
  const given = withCallbacks(spec, shard);
  const batch = spec.parts == null ? given : { ...given, parts: spec.parts };
  if (spec.callback_queue == null) {
    if (spec.callback_payload != null) throw invalid("callback_payload", "it needs callback_queue");
    return batch;
  }
  if (spec.on_complete != null) throw invalid("callback_queue", "it excludes on_complete");
  const payload = spec.callback_payload?.text ?? "{}";
  const onComplete = { queue: spec.callback_queue, payload, options: { maxRetries: 0 } };
  refuseLarge([onComplete]);
  return { ...batch, onComplete };
}

export function toOpenBatch(spec: OpenSpec, shard: number): NewBatch {
  const openMs =
    spec.seal_after == null
      ? defaultOpenMs
      : toSpan("seal_after", spec.seal_after, "720h (batchOpenMsMax)");
  if (openMs > limits.batchOpenMsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `seal_after: "${spec.seal_after}" is longer than 720h (batchOpenMsMax)`,
    );
  }
  return { ...withCallbacks(spec, shard), openMs };
}

/** Approximate size of a batch in the log. */
export function sizeOfBatch({ onSuccess, onFailure, onComplete }: NewBatch): number {
  return [onSuccess, onFailure, onComplete].reduce(
    (sum, job) => sum + (job === undefined ? 0 : sizeOf(job)),
    200,
  );
}

function withCallbacks(
  spec: Pick<OpenSpec, "name" | "on_success" | "on_failure" | "on_complete">,
  shard: number,
): NewBatch {
  const toJob = (step: Step | null | undefined, name: string): NewJob | undefined =>
    step == null
      ? undefined
      : stepJob(step, name, { defaults: {}, place: { index: 0, shard }, toJob: toNewJob });
  const onSuccess = toJob(spec.on_success, "on_success");
  const onFailure = toJob(spec.on_failure, "on_failure");
  const onComplete = toJob(spec.on_complete, "on_complete");
  refuseLarge([onSuccess, onFailure, onComplete].filter((job) => job !== undefined));
  return {
    shard,
    ...(spec.name != null && { name: spec.name }),
    ...(onSuccess !== undefined && { onSuccess }),
    ...(onFailure !== undefined && { onFailure }),
    ...(onComplete !== undefined && { onComplete }),
  };
}

/** Batches are kept in memory, with the jobs that follow them. */
function refuseLarge(jobs: readonly NewJob[]): void {
  const bytes = jobs.reduce((sum, job) => sum + sizeOf(job), 0);
  if (bytes <= limits.batchBytesMax) return;
  throw new CorvoError(
    "LIMIT_EXCEEDED",
    `the jobs that follow the batch are ${bytes} bytes; at most ${limits.batchBytesMax} (batchBytesMax)`,
  );
}

function invalid(field: string, why: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", `batch.${field}: ${why}`);
}
