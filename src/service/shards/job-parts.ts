/** Calls about jobs of several shards by id. */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { type InputFor, type ResultFor, type ShardCalls, splitBy } from "./shard-calls.ts";

export function createJobParts(calls: ShardCalls): Pick<Handlers, "bulkGetJobs"> {
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
  };
}
