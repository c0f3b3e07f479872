/**
 * Calls about jobs that name others: what a new job names is looked up first, and what a chain or batch has in other shards is shown as
 * those shards know it.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { checkNamed, type JobSeen, statesOf } from "./named-jobs.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type Wrapped = "enqueueJob" | "getChain" | "getBatch" | "sealBatch" | "cancelBatch" | "explainJob";
type Group = Pick<Handlers, Wrapped | "listChildren">;

/** A job as a group shows it. */
interface Shown {
  job_id?: string;
  queue?: string;
  state: string;
}

export function createGroupParts(
  calls: ShardCalls,
  placed: Pick<Handlers, Wrapped>,
  searchJobs: Handlers["searchJobs"],
): Group {
  const ofBatch = async <Name extends "getBatch" | "sealBatch" | "cancelBatch">(
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<ResultFor<Name>> => {
    const view = await calls.body(calls.ofJob(input.params.batch_id), name, input, context);
    const { success_job, failure_job, complete_job } = view;
    const shown = [success_job, failure_job, complete_job];
    await fillIn(calls, shown, context, input.query);
    return view;
  };
  return {
    async enqueueJob(input, context) {
      await checkNamed(calls, [input.body], context);
      return placed.enqueueJob(input, context);
    },
    async getChain(input, context) {
      const shard = calls.ofJob(input.params.chain_id);
      const view = await calls.body(shard, "getChain", input, context);
      const shown = [...view.steps, view.exit_job, view.failure_job];
      const seen = await fillIn(calls, shown, context, input.query);
      const current = seen.get(view.steps.at(-1)?.job_id ?? "");
      for (const queue of current?.chain_next ?? []) {
        view.steps.push({ step: view.steps.length, queue, state: "waiting" });
      }
      return view;
    },
    getBatch: (input, context) => ofBatch("getBatch", input, context),
    sealBatch: (input, context) => ofBatch("sealBatch", input, context),
    cancelBatch: (input, context) => ofBatch("cancelBatch", input, context),
    async explainJob(input, context) {
      const shard = calls.ofJob(input.params.job_id);
      const view = await calls.body(shard, "explainJob", input, context);
      const away = view.causes.filter((cause) => cause.shard !== undefined);
      const ids = away.flatMap(({ job_id }) => job_id ?? []);
      const query = view.stale ? { consistency: "stale" as const } : {};
      const states = await statesOf(calls, ids, context, query);
      for (const cause of away) {
        const state: string | undefined = states.get(cause.job_id ?? "")?.state;
        if (state === undefined) continue;
        const isFirst = cause.message === view.summary;
        cause.state = state;
        cause.message += ` There it is ${state}.`;
        if (isFirst) view.summary = cause.message;
      }
      return view;
    },
    async listChildren(input, context) {
      const { params, query } = input;
      const of = { params, query: {}, body: {} };
      await calls.call(calls.ofJob(params.job_id), "getJob", of, context);
      const { limit, cursor, ...rest } = query;
      const body = {
        parent_id: params.job_id,
        order: "asc" as const,
        ...(limit !== undefined && { limit }),
        ...(cursor !== undefined && { cursor }),
      };
      return searchJobs({ params: {}, query: rest, body }, context);
    },
  };
}

/** The shard of a group has no more of a job elsewhere than its id; what the others say of theirs. */
export async function fillIn(
  calls: ShardCalls,
  shown: readonly (Shown | undefined)[],
  context: CallContext,
  { consistency }: { readonly consistency?: "strong" | "stale" },
): Promise<ReadonlyMap<string, JobSeen>> {
  const unknown = shown.filter((job) => job?.state === "removed" && job.job_id !== undefined);
  const ids = unknown.flatMap((job) => job?.job_id ?? []);
  // Of the query of the call only this is meant for the jobs.
  const query = consistency === undefined ? {} : { consistency };
  const states = await statesOf(calls, ids, context, query);
  for (const job of unknown) {
    const found = states.get(job?.job_id ?? "");
    if (job === undefined || found === undefined) continue;
    job.queue = found.queue;
    job.state = found.state;
  }
  return states;
}
