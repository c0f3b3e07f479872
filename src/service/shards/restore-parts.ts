/** Backups that come back into several shards: each gets the queues that are in it, with their jobs. */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { type InputFor, type ResultFor, type ShardCalls, splitBy } from "./shard-calls.ts";

export function createRestoreParts(calls: ShardCalls): Pick<Handlers, "adminRestore"> {
  return {
    async adminRestore(
      input: InputFor<"adminRestore">,
      context: CallContext,
    ): Promise<ResultFor<"adminRestore">> {
      const { jobs, queues, ...rest } = input.body;
      const jobParts = splitBy(jobs ?? [], ({ queue }) => calls.ofQueue(queue));
      const queueParts = splitBy(queues ?? [], ({ name }) => calls.ofQueue(name));
      const shards = new Set([...jobParts.keys(), ...queueParts.keys()]);
      // What is wrong with a call that brings nothing is said by any shard.
      if (shards.size === 0) shards.add(0);
      const answers = await Promise.all(
        [...shards].map((shard) => {
          const body = {
            ...rest,
            jobs: (jobParts.get(shard) ?? []).map(({ item }) => item),
            queues: (queueParts.get(shard) ?? []).map(({ item }) => item),
          };
          return calls.body(shard, "adminRestore", { ...input, body }, context);
        }),
      );
      return {
        status: "ok",
        namespace: "default",
        restored_jobs: answers.reduce((sum, { restored_jobs }) => sum + restored_jobs, 0),
        refused: answers.flatMap(({ refused }) => refused),
        kept: answers.flatMap(({ kept }) => kept),
      };
    },
  };
}
