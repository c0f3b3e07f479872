/**
 * What jobs of other shards a new job names, looked up before it is added. An engine knows only its own jobs: it would add the job,
 * and let it fail when the other shard says that there is nothing of that name. Who asks is told at once instead. What changes between
 * the look and the adding is found out by the shards themselves.
 */
import { requestLimits as limits } from "../../api/limits.ts";
import type { CallContext } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { shardOfId } from "../../base/ids.ts";
import { shorten } from "../node.ts";
import type { InputFor, ShardCalls } from "./shard-calls.ts";

interface Spec {
  readonly queue: string;
  readonly depends_on?: string[] | null;
  readonly on_dependency_failure?: string | null;
  readonly parent_id?: string | null;
  readonly cascade_cancel?: boolean | null;
  readonly batch_id?: string | null;
}

const nothing: Named[] = [];

/** A name that a job of the call gives. */
interface Named {
  readonly id: string;
  readonly field: "depends_on" | "parent_id" | "batch_id";
  readonly cascades: boolean;
  readonly where: string;
}

export async function checkNamed(
  calls: ShardCalls,
  jobs: readonly Spec[],
  context: CallContext,
): Promise<void> {
  const named = jobs.flatMap((job, at) =>
    namedBy(calls, job, jobs.length === 1 ? "" : `jobs[${at}]: `),
  );
  const batches = named.filter(({ field }) => field === "batch_id");
  const others = named.filter(({ field }) => field !== "batch_id");
  await checkJobs(calls, others, context);
  for (const id of new Set(batches.map((one) => one.id))) {
    const where = batches.find((one) => one.id === id)?.where ?? "";
    await checkBatch(calls, { id, where }, context);
  }
}

/** Is there anything to be looked up? */
export function namesOthers(calls: ShardCalls, jobs: readonly Spec[]): boolean {
  return jobs.some((job) => namedBy(calls, job, "").length > 0);
}

function namedBy(calls: ShardCalls, job: Spec, where: string): Named[] {
  const { depends_on, parent_id, batch_id } = job;
  if (depends_on == null && parent_id == null && batch_id == null) return nothing;
  const own = calls.ofQueue(job.queue);
  const isAway = (id: string) => (shardOfId(id) ?? own) !== own;
  const cascades = job.cascade_cancel === true;
  const named: Named[] = [];
  const add = (field: Named["field"], text: string | null | undefined) => {
    const id = text?.trim();
    if (id !== undefined && isAway(id)) named.push({ id, field, cascades, where });
  };
  if (job.on_dependency_failure !== "ignore") {
    for (const id of depends_on ?? []) add("depends_on", id);
  }
  add("parent_id", parent_id);
  add("batch_id", batch_id);
  return named;
}

async function checkJobs(
  calls: ShardCalls,
  named: readonly Named[],
  context: CallContext,
): Promise<void> {
  const states = await statesOf(
    calls,
    named.map(({ id }) => id),
    context,
  );
  for (const { id, field, cascades, where } of named) {
    const state = states.get(id)?.state;
    if (state === undefined) {
      const hint =
        field === "depends_on" ? ' (on_dependency_failure "ignore" takes that for done)' : "";
      throw new CorvoError(
        "NOT_FOUND",
        `${where}${field}: no job "${shorten(id)}"; it may be gone already${hint}`,
      );
    }
    if (field !== "parent_id" || !cascades || state !== "cancelled") continue;
    throw new CorvoError(
      "PARENT_ERROR",
      `${where}parent_id: job "${id}" was cancelled, and cascade_cancel would cancel this one with it`,
    );
  }
}

async function checkBatch(
  calls: ShardCalls,
  { id, where }: { readonly id: string; readonly where: string },
  context: CallContext,
): Promise<void> {
  const shard = shardOfId(id) ?? 0;
  const input = { params: { batch_id: id }, query: {}, body: {} };
  const notFound = () => new CorvoError("NOT_FOUND", `${where}batch_id: no batch "${shorten(id)}"`);
  if (shard >= calls.count) throw notFound();
  const state = await calls.body(shard, "getBatch", input, context).then(
    (batch) => batch.state,
    (error: unknown) => {
      if (error instanceof CorvoError && error.code === "NOT_FOUND") throw notFound();
      throw error;
    },
  );
  if (state === "open") return;
  throw new CorvoError("BATCH_ERROR", `${where}batch_id: batch "${id}" is sealed, ${state}`);
}

/** What other shards say of a job of theirs. */
export interface JobSeen {
  readonly queue: string;
  readonly state: string;
  readonly chain_next?: string[];
}

/** Jobs, wherever they are; those that are gone are left out. */
export async function statesOf(
  calls: ShardCalls,
  ids: readonly string[],
  context: CallContext,
  query: InputFor<"bulkGetJobs">["query"] = {},
): Promise<Map<string, JobSeen>> {
  const found = new Map<string, JobSeen>();
  const known = [...new Set(ids)].filter((id) => (shardOfId(id) ?? calls.count) < calls.count);
  const byShard = Map.groupBy(known, (id) => calls.ofJob(id));
  await Promise.all(
    [...byShard].map(async ([shard, all]) => {
      for (let i = 0; i < all.length; i += limits.bulkGetMax) {
        const body = { job_ids: all.slice(i, i + limits.bulkGetMax) };
        const input = { params: {}, query, body };
        const { jobs } = await calls.body(shard, "bulkGetJobs", input, context);
        for (const job of jobs) found.set(job.id, job);
      }
    }),
  );
  return found;
}
