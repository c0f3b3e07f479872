/**
 * Jobs of one call for queues of several shards. They are added atomically per shard, and per wave where they name each other
 * (`batch-jobs.ts`). When some were added and others not, the caller is told so (OUTCOME_UNKNOWN): repeating the call with its
 * idempotency key adds what is missing, since every part has the key.
 *
 * The batch that such a call makes is in the shard of its first job. It stays open until the other parts have said that all their jobs are
 * counted, which their shards tell that one themselves: so it cannot end before all of them are in it.
 */
import { requestLimits as limits } from "../../api/limits.ts";
import type { CallContext } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { checkJobs } from "../worker-handlers.ts";
import { type JobsPart, readable, splitJobs } from "./batch-jobs.ts";
import { checkNamed } from "./named-jobs.ts";
import {
  type InputFor,
  type Part,
  type ResultFor,
  type ShardCalls,
  settleParts,
  throwIfAllRefused,
} from "./shard-calls.ts";

type Input = InputFor<"enqueueJobs">;
type Spec = Input["body"]["jobs"][number];
type Result = ResultFor<"enqueueJobs">;
type View = Result["results"][number];

export async function enqueueParts(
  calls: ShardCalls,
  input: Input,
  context: CallContext,
): Promise<Result> {
  const { body } = input;
  const shardOf = (queue: string) => calls.ofQueue(queue);
  // Before any shard has its part: a bad job refuses the whole call.
  checkJobs(body, shardOf);
  await checkNamed(calls, body.jobs, context);
  const parts = splitJobs(body.jobs, shardOf);
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) {
    return calls.body(first?.shard ?? 0, "enqueueJobs", input, context);
  }
  return new PartedCall(calls, input, context).run(first, others);
}

class PartedCall {
  readonly #calls: ShardCalls;
  readonly #input: Input;
  readonly #context: CallContext;
  readonly #views: (View | undefined)[];

  constructor(calls: ShardCalls, input: Input, context: CallContext) {
    this.#calls = calls;
    this.#input = input;
    this.#context = context;
    this.#views = input.body.jobs.map(() => undefined);
  }

  async run(first: JobsPart<Spec>, others: readonly JobsPart<Spec>[]): Promise<Result> {
    const { batch, idempotency_key } = this.#input.body;
    this.#refuseLongKey(idempotency_key, others);
    const left = batch == null ? [first, ...others] : others;
    let batchId: string | undefined;
    if (batch != null) {
      // It is the first of all: nothing of the call was done when it is refused.
      const begun = await this.#send(first, { batch: { ...batch, parts: others.length } });
      batchId = begun.batch_id;
    }
    const of = batchId === undefined ? {} : { part_of: batchId };
    for (const wave of new Set(left.map((part) => part.wave))) {
      const now = left.filter((part) => part.wave === wave);
      await this.#sendWave(now, of);
    }
    const results = this.#views.map((view) => view ?? notAdded);
    const jobIds = results.map((view) => view.job_id);
    return { job_ids: jobIds, results, ...(batchId !== undefined && { batch_id: batchId }) };
  }

  /** Parts that name only jobs that were added before. */
  async #sendWave(now: readonly JobsPart<Spec>[], of: { part_of?: string }): Promise<void> {
    const byShard = new Map(now.map((part) => [part.shard, part]));
    const settled = await settleParts(byShard.keys(), async (shard) => {
      const part = byShard.get(shard);
      if (part !== undefined) await this.#send(part, of);
    });
    const hasAny = this.#views.some((view) => view !== undefined);
    if (!hasAny) throwIfAllRefused(settled);
    this.#throwIfSomeRefused(settled);
  }

  /** The answer of one shard; its views are noted. */
  async #send(
    part: JobsPart<Spec>,
    more: Pick<Input["body"], "batch" | "part_of">,
  ): Promise<Result> {
    const jobs = readable(part, (at) => this.#views[at]?.job_id || undefined);
    const key = this.#input.body.idempotency_key;
    const body = {
      ...more,
      jobs: jobs.map(({ item }) => item),
      ...(key != null && { idempotency_key: keyOf(key, part.wave) }),
    };
    if (jobs.length === 0) return { job_ids: [], results: [] };
    const input = { ...this.#input, body };
    const result = await this.#calls.body(part.shard, "enqueueJobs", input, this.#context);
    jobs.forEach(({ at }, i) => {
      this.#views[at] = result.results[i];
    });
    return result;
  }

  /** One shard may get several parts; each has a key of its own. */
  #refuseLongKey(key: string | null | undefined, parts: readonly JobsPart<Spec>[]): void {
    const last = Math.max(...parts.map(({ wave }) => wave));
    if (key == null || keyOf(key, last).length <= limits.keyLengthMax) return;
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `idempotency_key: ${key.length} characters; at most ${limits.keyLengthMax - 6} (keyLengthMax) when jobs of the call name each other across shards`,
    );
  }

  #throwIfSomeRefused(parts: readonly Part<unknown>[]): void {
    const refused = parts.find((part) => part.kind === "refused");
    if (refused === undefined) return;
    const views = this.#views;
    const added = views.flatMap((view, index) =>
      view === undefined ? [] : [{ index, job_id: view.job_id }],
    );
    throw new CorvoError(
      "OUTCOME_UNKNOWN",
      `${added.length} of ${views.length} jobs were added; shard ${refused.shard} refused the others: ${refused.error.message}`,
      { details: { added, code: refused.error.code } },
    );
  }
}

function keyOf(key: string, wave: number): string {
  return wave === 0 ? key : `${key}#${wave}`;
}

/** As the engine says it of jobs that it has itself. */
const notAdded: View = {
  job_id: "",
  status: "error",
  code: "CONFLICT",
  error: "a job of this call that this one names was not added",
};
