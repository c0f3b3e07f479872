/** Calls of shards that other nodes lead, over real sockets. */
import { expect, test } from "bun:test";
import { createRemoteShards } from "../../src/commands/server/remote-shards.ts";
import { httpFixture } from "../support/http-app.ts";

test("waits at shards of other nodes take no room from calls that do not wait, however many they are", async () => {
  // The runtime's own client has at most 256 requests on their way, in the whole process.
  const waiting = 300;
  const all = Promise.withResolvers<void>();
  const over = Promise.withResolvers<{ jobs: [] }>();
  let reached = 0;
  await using fixture = httpFixture({
    handlers: {
      fetchJobs: () => {
        reached++;
        if (reached === waiting) all.resolve();
        return over.promise;
      },
      enqueueJob: async () => ({ job_id: "job_1", status: "pending", unique_existing: false }),
    },
  });
  const url = fixture.listen();
  const shards = createRemoteShards();
  const never = new AbortController().signal;
  const poll = { params: {}, query: {}, body: { queues: ["q"], wait_ms: 60_000 } };
  const polls = Array.from({ length: waiting }, () =>
    shards.call({ url, shard: 1, name: "fetchJobs" }, poll, never),
  );
  await all.promise;

  const job = { params: {}, query: {}, body: { queue: "q" } };
  const added = await shards.call({ url, shard: 1, name: "enqueueJob" }, job, never);

  expect(added).toMatchObject({ job_id: "job_1" });
  over.resolve({ jobs: [] });
  for (const answer of await Promise.all(polls)) expect(answer).toEqual({ jobs: [] });
});
