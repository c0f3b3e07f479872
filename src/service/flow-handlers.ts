/** Handlers of chains and children. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { pageRowsDefault } from "../api/page.ts";
import { CorvoError } from "../base/errors.ts";
import { formatJobId, parseGroupId } from "../base/ids.ts";
import { formatTime } from "../base/time.ts";
import type { Chain, JobRef } from "../engine/chains.ts";
import { goneHint, type Node, shorten } from "./node.ts";
import { searchJobs } from "./search-handlers.ts";

type ChainView = ResultOf<Operations["getChain"]>;
type StepView = ChainView["steps"][number];
type RefView = NonNullable<ChainView["exit_job"]>;

export function createFlowHandlers(node: Node): Pick<Handlers, "getChain" | "listChildren"> {
  return {
    getChain: async ({ params }) =>
      chainView(node, params.chain_id, findChain(node, params.chain_id)),
    async listChildren({ params, query }) {
      node.findJob(params.job_id);
      const { limit = pageRowsDefault, cursor } = query;
      return searchJobs(node, {
        parent_id: params.job_id,
        order: "asc",
        limit,
        ...(cursor !== undefined && { cursor }),
      });
    },
  };
}

function findChain(node: Node, id: string): Chain {
  const parsed = parseGroupId("chn", id);
  const chain =
    parsed === undefined || parsed.shard !== node.options.shard
      ? undefined
      : node.replica.engine.state.records("chain").get(String(parsed.seq));
  // The whole id must match: a guessed number is not an id.
  if (chain === undefined || chain.createdAtMs !== parsed?.createdAtMs) {
    throw new CorvoError("NOT_FOUND", `no chain "${shorten(id)}"`, { hint: goneHint });
  }
  return chain;
}

function chainView(node: Node, id: string, chain: Chain): ChainView {
  const steps = chain.jobs.map((ref, step): StepView => {
    return { step, ...(refView(node, ref) ?? { state: "waiting" }) };
  });
  const current = chain.jobs.at(-1);
  const own = current?.[2] === undefined ? current : undefined;
  const job = own && node.replica.engine.state.getJob(own[0]);
  const plan = job?.options.chain;
  for (const spec of plan?.steps ?? []) {
    steps.push({ step: steps.length, queue: spec.queue, state: "waiting" });
  }
  const view: ChainView = {
    id,
    state: chain.state,
    created_at: formatTime(chain.createdAtMs),
    steps_total: chain.steps,
    current_step: chain.at,
    steps,
  };
  if (chain.reason !== undefined) view.reason = chain.reason;
  if (chain.finishedAtMs > 0) view.finished_at = formatTime(chain.finishedAtMs);
  const exitJob = refView(node, chain.exitJob);
  if (exitJob !== undefined) view.exit_job = exitJob;
  const failureJob = refView(node, chain.failureJob);
  if (failureJob !== undefined) view.failure_job = failureJob;
  return view;
}

/** Undefined when there is none, or when the other shard that adds it has not told its id yet. */
export function refView(node: Node, ref: JobRef | undefined): RefView | undefined {
  if (ref === undefined || ref[0] === 0) return undefined;
  const [seq, createdAtMs, shard] = ref;
  // Its state is for the other shard to say (`shards/group-parts.ts`).
  if (shard !== undefined)
    return { job_id: formatJobId(seq, createdAtMs, shard), state: "removed" };
  const job = node.replica.engine.state.getJob(seq);
  const job_id = node.idOf({ seq, createdAtMs });
  return job === undefined
    ? { job_id, state: "removed" }
    : { job_id, queue: job.queue, state: job.state };
}
