/**
 * Bulk actions over several shards: one action in every shard that has a part of it, all under one id. What is told of the whole
 * adds up its parts. A part is started again under the same id without harm, so a call that was cut off may be repeated with the
 * id that it named.
 */
import { Streamed } from "../../api/operation.ts";
import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Timers } from "../../base/ports.ts";
import { foregroundMax } from "../bulk.ts";
import { bulkEvents } from "../bulk-events.ts";
import { bulkListing, noBulk } from "../bulk-handlers.ts";
import type { BulkIds } from "../bulk-ids.ts";
import { pageOf } from "../page.ts";
import { elsewhere } from "./elsewhere.ts";
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

/** Changes of a part that another node leads are not heard of here. */
const lookMs = 500;

interface BulkPartsDeps {
  readonly ids: BulkIds;
  readonly timers: Timers;
}

export function createBulkParts(
  calls: ShardCalls,
  { ids, timers }: BulkPartsDeps,
): Pick<Handlers, "bulkJobs" | "getBulk" | "listBulks" | "cancelBulk" | "bulkProgress"> {
  const getBulk = async (input: InputFor<"getBulk">, context: CallContext): Promise<BulkView> =>
    mergeViews(
      input.params.id,
      await knownParts(calls, (shard) => calls.body(shard, "getBulk", input, context)),
    );
  return {
    getBulk,
    bulkJobs: (input: InputFor<"bulkJobs">, context: CallContext) =>
      startParts(calls, ids, input, context),

    async listBulks(
      input: InputFor<"listBulks">,
      context: CallContext,
    ): Promise<ResultFor<"listBulks">> {
      const { status, limit: _, cursor: __, ...others } = input.query;
      // Of an action that is over in one shard and not in another, no shard knows what the whole is.
      const query = { ...others, limit: 1000 };
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listBulks", { ...input, query }, context)),
      );
      const byId = Map.groupBy(
        parts.flatMap(({ bulk_operations }) => bulk_operations),
        ({ id }) => id,
      );
      const found = [...byId]
        .map(([id, views]) => mergeViews(id, views))
        .filter((view) => status === undefined || view.status === status);
      const { rows, end } = pageOf(bulkListing, input.query, found);
      return { bulk_operations: rows, total: found.length, ...end };
    },

    /** Parts that are over stay as they are; when all of them are, the call is refused as with one shard. */
    async cancelBulk(input: InputFor<"cancelBulk">, context: CallContext): Promise<BulkView> {
      const before = await getBulk({ ...input, query: {} }, context);
      if (before.finished_at !== undefined) {
        throw new CorvoError(
          "CONFLICT",
          `the bulk action "${input.params.id}" is over: ${before.status}`,
        );
      }
      await knownParts(calls, (shard) =>
        calls.body(shard, "cancelBulk", input, context).catch((error: unknown) => {
          if (error instanceof CorvoError && error.code === "CONFLICT") return undefined;
          throw error;
        }),
      );
      return getBulk({ ...input, query: {} }, context);
    },

    async bulkProgress(input: InputFor<"bulkProgress">, context: CallContext): Promise<Streamed> {
      const view = () => getBulk({ ...input, query: {} }, context);
      await view();
      const watch = (changed: () => void) => {
        let cancel = () => {};
        const later = () => {
          cancel = timers.after(lookMs, () => {
            changed();
            later();
          });
        };
        later();
        return () => cancel();
      };
      return new Streamed(bulkEvents({ view, watch, timers, signal: context.signal }));
    },
  };
}

async function startParts(
  calls: ShardCalls,
  ids: BulkIds,
  input: InputFor<"bulkJobs">,
  context: CallContext,
): Promise<AnswerFor<"bulkJobs">> {
  const { body } = input;
  const split = splitBulk(calls, body);
  refuseMoveBetween(calls, body, [...split.keys()]);
  const ofEach = (more: Partial<BulkBody>) =>
    Promise.all(
      [...split].map(([shard, part]) =>
        calls.body(shard, "bulkJobs", { ...input, body: { ...part, ...more } }, context),
      ),
    );
  if (body.dry_run === true) return sumOf(await ofEach({}));
  const isAgain = await isKnown(calls, body.bulk_operation_id, context);
  const id = body.bulk_operation_id ?? ids.next();
  // All parts are done at once, or none.
  const isAsync = body.async === true || isAgain;
  const counted = isAsync ? undefined : sumOf(await ofEach({ dry_run: true }));
  const isSmall = counted?.matched_exact === true && (counted.matched ?? 0) <= foregroundMax;
  const results = await ofEach({ bulk_operation_id: id, ...(isSmall ? {} : { async: true }) });
  // A part that grew over the bound meanwhile may have gone to the background all the same.
  if (results.every((result) => result.bulk_operation_id === undefined)) return sumOf(results);
  return new Reply<BulkResult>(202, {
    bulk_operation_id: id,
    status: "queued",
    estimated_total: add(results.map(({ estimated_total, matched }) => estimated_total ?? matched)),
    progress_url: `/api/v1/bulk/${id}/progress`,
  });
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
  if (body.job_ids != null || (body.filter == null && body.all !== true))
    return new Map([[0, body]]);
  const queue = body.filter?.queue;
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

/** Does any shard know the action, so that its other parts belong into the background too? */
async function isKnown(
  calls: ShardCalls,
  id: string | null | undefined,
  context: CallContext,
): Promise<boolean> {
  if (id == null) return false;
  const input = { params: { id }, query: {}, body: {} };
  const ask = (shard: number) => calls.body(shard, "getBulk", input, context);
  return (await knownParts(calls, ask)).length > 0;
}

/** What the shards say that know the action. */
async function knownParts<T>(calls: ShardCalls, ask: (shard: number) => Promise<T>): Promise<T[]> {
  const parts = await Promise.all(
    calls.all.map(async (shard) => {
      try {
        return { answer: await ask(shard) };
      } catch (error) {
        if (error instanceof CorvoError && error.code === "NOT_FOUND") return undefined;
        throw error;
      }
    }),
  );
  return parts.flatMap((part) => (part === undefined ? [] : [part.answer]));
}

function sumOf(results: readonly BulkResult[]): BulkResult {
  return {
    matched: add(results.map(({ matched }) => matched)),
    matched_exact: results.every(({ matched_exact }) => matched_exact === true),
    affected: add(results.map(({ affected }) => affected)),
    errors: add(results.map(({ errors }) => errors)),
    duration_ms: Math.max(...results.map(({ duration_ms }) => duration_ms ?? 0)),
  };
}

function add(numbers: readonly (number | undefined)[]): number {
  return numbers.reduce<number>((sum, number) => sum + (number ?? 0), 0);
}

function mergeViews(id: string, views: readonly BulkView[]): BulkView {
  const [first] = views;
  if (first === undefined) throw noBulk(id);
  const isRunning = views.some((view) => view.finished_at === undefined);
  const worst =
    views.find(({ status }) => status === "failed") ??
    views.find(({ status }) => status === "cancelled") ??
    first;
  const latest = (times: readonly string[]) => times.toSorted().at(-1) ?? first.updated_at;
  const sum = (member: "total" | "processed" | "affected" | "skipped" | "errors") =>
    add(views.map((view) => view[member]));
  return {
    id,
    status: isRunning ? "running" : worst.status,
    action: first.action,
    ...(first.filter === undefined ? {} : { filter: first.filter }),
    total: sum("total"),
    total_exact: views.every(({ total_exact }) => total_exact),
    processed: sum("processed"),
    affected: sum("affected"),
    skipped: sum("skipped"),
    errors: sum("errors"),
    ...(worst.error === undefined ? {} : { error: worst.error }),
    created_at: views.map(({ created_at }) => created_at).toSorted()[0] ?? first.created_at,
    updated_at: latest(views.map(({ updated_at }) => updated_at)),
    ...(isRunning
      ? {}
      : { finished_at: latest(views.flatMap(({ finished_at }) => finished_at ?? [])) }),
  };
}
