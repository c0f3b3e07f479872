/**
 * Calls about jobs of several shards by id or filter. A bulk action is one action in every shard that has a part of it;
 * where some of them run in the background their ids, each with its shard, make up the id of the whole, so that any
 * node can tell its progress.
 */
import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import {
  type AnswerFor,
  type InputFor,
  type ResultFor,
  type ShardCalls,
  splitBy,
} from "./shard-calls.ts";

type BulkResult = ResultFor<"bulkJobs">;
type BulkView = ResultFor<"getBulk">;
type BulkBody = InputFor<"bulkJobs">["body"];

export function createJobParts(
  calls: ShardCalls,
): Pick<Handlers, "bulkGetJobs" | "bulkJobs" | "getBulk"> {
  return {
    async bulkGetJobs(
      input: InputFor<"bulkGetJobs">,
      context: CallContext,
    ): Promise<ResultFor<"bulkGetJobs">> {
      const split = splitBy(input.body.job_ids, (id) => calls.ofJob(id));
      const found = new Map<string, ResultFor<"bulkGetJobs">["jobs"][number]>();
      await Promise.all(
        [...split].map(async ([shard, part]) => {
          const body = { job_ids: part.map(({ item }) => item) };
          const { jobs } = await calls.body(shard, "bulkGetJobs", { ...input, body }, context);
          for (const job of jobs) found.set(job.id, job);
        }),
      );
      return { jobs: input.body.job_ids.flatMap((id) => found.get(id) ?? []) };
    },

    async bulkJobs(
      input: InputFor<"bulkJobs">,
      context: CallContext,
    ): Promise<AnswerFor<"bulkJobs">> {
      const { body } = input;
      const split = splitBulk(calls, body);
      refuseMoveBetween(calls, body, [...split.keys()]);
      const parts = await Promise.all(
        [...split].map(async ([shard, part]) => ({
          shard,
          result: await calls.body(shard, "bulkJobs", { ...input, body: part }, context),
        })),
      );
      const [only, ...others] = parts;
      const isBackground = parts.some(({ result }) => result.bulk_operation_id !== undefined);
      if (!isBackground) return sumOf(parts.map(({ result }) => result));
      const id =
        only !== undefined && others.length === 0 ? idOfPart(only) : parts.map(idOfPart).join(".");
      return new Reply<BulkResult>(202, {
        bulk_operation_id: id,
        status: "queued",
        estimated_total: add(parts.map(({ result }) => result.estimated_total ?? result.matched)),
        progress_url: `/api/v1/bulk/${id}`,
      });
    },

    async getBulk(input: InputFor<"getBulk">, context: CallContext): Promise<BulkView> {
      const { id } = input.params;
      const parts = id.split(".").map((text) => parsePart(text, calls.count));
      const views: BulkView[] = [];
      const done = { total: 0, affected: 0 };
      for (const part of parts) {
        if (part === undefined) throw new CorvoError("NOT_FOUND", `no bulk action "${id}"`);
        if (part.kind === "done") {
          done.total += part.total;
          done.affected += part.affected;
          continue;
        }
        const asked = { ...input, params: { id: part.id } };
        views.push(await calls.body(part.shard, "getBulk", asked, context));
      }
      return mergeViews(id, views, done);
    },
  };
}

/** The shards that have a part of the action. By ids, each gets its own; a filter goes to all that may have matches. */
function splitBulk(calls: ShardCalls, body: BulkBody): Map<number, BulkBody> {
  if (body.job_ids != null && body.job_ids.length > 0) {
    const split = splitBy(body.job_ids, (id) => calls.ofJob(id));
    return new Map(
      [...split].map(([shard, part]) => [
        shard,
        { ...body, job_ids: part.map(({ item }) => item) },
      ]),
    );
  }
  // What is wrong with a call that names no jobs is said by any shard.
  if (body.job_ids != null || body.filter == null) return new Map([[0, body]]);
  const { queue } = body.filter;
  const shards = queue == null || queue === "" ? calls.all : [calls.ofQueue(queue)];
  return new Map(shards.map((shard) => [shard, body]));
}

function refuseMoveBetween(calls: ShardCalls, body: BulkBody, shards: readonly number[]): void {
  const queue = body.move_to_queue;
  if (body.action !== "move" || queue == null) return;
  const target = calls.ofQueue(queue);
  if (shards.every((shard) => shard === target)) return;
  throw new CorvoError("BULK_ERROR", `move_to_queue: ${elsewhere(queue, target)}`, {
    hint: "Name a filter.queue of the same shard: queues whose names share a part in braces are together, as {order}:mail and {order}:bill are.",
  });
}

export function elsewhere(queue: string, shard: number): string {
  return `queue "${queue}" is in shard ${shard}, and a job cannot leave the shard that its id names`;
}

function sumOf(results: readonly BulkResult[]): BulkResult {
  return {
    matched: add(results.map(({ matched }) => matched)),
    affected: add(results.map(({ affected }) => affected)),
    errors: add(results.map(({ errors }) => errors)),
    duration_ms: Math.max(...results.map(({ duration_ms }) => duration_ms ?? 0)),
  };
}

function add(numbers: readonly (number | undefined)[]): number {
  return numbers.reduce<number>((sum, number) => sum + (number ?? 0), 0);
}

/** `SHARD-ID` of one that runs, `AFFECTED_TOTAL` of one that was done at once. */
function idOfPart({ shard, result }: { shard: number; result: BulkResult }): string {
  if (result.bulk_operation_id === undefined)
    return `${result.affected ?? 0}_${result.matched ?? 0}`;
  return `${shard}-${result.bulk_operation_id}`;
}

type BulkPart =
  | { readonly kind: "runs"; readonly shard: number; readonly id: string }
  | { readonly kind: "done"; readonly affected: number; readonly total: number };

function parsePart(text: string, count: number): BulkPart | undefined {
  const done = /^(\d{1,15})_(\d{1,15})$/.exec(text);
  if (done !== null) return { kind: "done", affected: Number(done[1]), total: Number(done[2]) };
  const runs = /^(\d{1,2})-(.+)$/.exec(text);
  if (runs === null || Number(runs[1]) >= count) return undefined;
  return { kind: "runs", shard: Number(runs[1]), id: runs[2] ?? "" };
}

function mergeViews(
  id: string,
  views: readonly BulkView[],
  done: { readonly total: number; readonly affected: number },
): BulkView {
  const [first] = views;
  if (first === undefined) throw new CorvoError("NOT_FOUND", `no bulk action "${id}"`);
  const failed = views.find(({ status }) => status === "failed");
  const isRunning = views.some((view) => view.finished_at === undefined);
  const latest = (times: readonly string[]) => times.toSorted().at(-1) ?? first.updated_at;
  return {
    id,
    status: isRunning ? "running" : (failed ?? first).status,
    action: first.action,
    total: add(views.map(({ total }) => total)) + done.total,
    processed: add(views.map(({ processed }) => processed)) + done.total,
    affected: add(views.map(({ affected }) => affected)) + done.affected,
    errors: add(views.map(({ errors }) => errors)),
    ...(failed?.error === undefined ? {} : { error: failed.error }),
    created_at: first.created_at,
    updated_at: latest(views.map(({ updated_at }) => updated_at)),
    ...(isRunning
      ? {}
      : { finished_at: latest(views.flatMap(({ finished_at }) => finished_at ?? [])) }),
  };
}
