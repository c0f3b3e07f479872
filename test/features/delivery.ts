/** What a worker gets, and what becomes of a job. */
import { expect } from "bun:test";
import type { Api } from "./api.ts";
import type { Chapter, Feature } from "./feature.ts";

/** The delay that a failure is answered with, in milliseconds. */
async function retryDelayMs(api: Api, queue: string, options: object): Promise<number> {
  await api.add(queue, { max_retries: 9, ...options });
  const job = await api.take(queue);
  const beforeMs = Date.now();
  const { next_attempt_at } = await api.fail(job);
  return Date.parse(String(next_attempt_at)) - beforeMs;
}

function backoff(id: string, options: object, range: readonly [number, number]): Feature {
  return {
    id,
    what: `Backoff: ${JSON.stringify(options).replaceAll('"', "").slice(1, -1)}`,
    shows: "POST /api/v1/fail/{job_id}",
    async story(api, queue) {
      const delayMs = await retryDelayMs(api, queue, options);
      expect(delayMs).toBeGreaterThanOrEqual(range[0] - 50);
      expect(delayMs).toBeLessThan(range[1] + 2000);
      return async () => expect(await api.queue(queue)).toMatchObject({ retrying: 1 });
    },
  };
}

export const delivery: Chapter = {
  title: "Delivery and retries",
  features: [
    {
      id: "at-least-once",
      what: "At least once: a job whose worker died is run again",
      shows: "POST /api/v1/fetch {lease_ms}",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.take(queue, { lease_ms: 1000 });
        return async () => {
          const again = await api.take(queue);
          expect(again).toMatchObject({ job_id: id, attempt: 2 });
          await api.ack(again);
          expect(await api.job(id)).toMatchObject({ state: "completed" });
        };
      },
    },
    {
      id: "lease-time",
      what: "Lease of a chosen length per claim",
      shows: "POST /api/v1/fetch {lease_ms}",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.take(queue, { lease_ms: 45_000 });
        return async () => {
          const leftMs = Date.parse(String((await api.job(id))["lease_expires_at"])) - Date.now();
          expect(leftMs).toBeGreaterThan(10_000);
          expect(leftMs).toBeLessThanOrEqual(45_000);
        };
      },
    },
    {
      id: "fencing-token",
      what: "Fencing token: a worker whose lease is over can neither ack, fail, release nor heartbeat",
      shows: "POST /api/v1/ack/{job_id} → 409 LEASE_LOST",
      async story(api, queue) {
        const id = await api.add(queue);
        const stale = await api.take(queue, { lease_ms: 1000 });
        const current = await api.take(queue);
        return async () => {
          const { lease_token } = stale;
          for (const verb of ["ack", "fail", "release"]) {
            const body = verb === "fail" ? { lease_token, error: "late" } : { lease_token };
            await api.refused("LEASE_LOST", "POST", `/api/v1/${verb}/${id}`, body);
          }
          const beat = { jobs: { [id]: { lease_token: stale.lease_token } } };
          expect(await api.json("POST", "/api/v1/heartbeat", beat)).toMatchObject({
            jobs: { [id]: { status: "lost" } },
          });
          await api.ack(current);
        };
      },
    },
    {
      id: "owner-shown",
      what: "Worker and host of an attempt are shown",
      shows: "corvo jobs get ID",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.take(queue, { worker_id: "w-7", hostname: "box" });
        return async () =>
          expect(await api.job(id)).toMatchObject({ worker_id: "w-7", hostname: "box" });
      },
    },
    {
      id: "heartbeat",
      what: "A heartbeat extends the lease and stores progress and checkpoint",
      shows: "POST /api/v1/heartbeat",
      async story(api, queue) {
        const id = await api.add(queue);
        const job = await api.take(queue, { lease_ms: 5000 });
        await api.json("POST", "/api/v1/heartbeat", {
          jobs: {
            [id]: {
              lease_token: job.lease_token,
              lease_ms: 60_000,
              progress: { done: 3 },
              checkpoint: { at: 9 },
            },
          },
        });
        return async () => {
          const shown = await api.job(id);
          expect(shown).toMatchObject({ progress: { done: 3 }, checkpoint: { at: 9 } });
          expect(Date.parse(String(shown["lease_expires_at"]))).toBeGreaterThan(
            Date.now() + 20_000,
          );
        };
      },
    },
    {
      id: "claim-many",
      what: "Many jobs in one claim",
      shows: "POST /api/v1/fetch/batch {count}",
      async story(api, queue) {
        const jobs = Array.from({ length: 20 }, () => ({ queue }));
        await api.json("POST", "/api/v1/enqueue/batch", { jobs });
        return async () => {
          const body = { queues: [queue], count: 15, wait_ms: 0 };
          const answer = await api.json("POST", "/api/v1/fetch/batch", body);
          expect(answer["jobs"]).toHaveLength(15);
        };
      },
    },
    {
      id: "several-queues",
      what: "One claim over several queues, in exact order of priority and age",
      shows: "POST /api/v1/fetch {queues: [a, b]}",
      async story(api, queue) {
        const [a, b] = [`${queue}.a`, `${queue}.b`];
        const ids = [await api.add(a), await api.add(b), await api.add(b, { priority: 0 })];
        return async () => {
          const order: string[] = [];
          for (let i = 0; i < 3; i++) {
            order.push((await api.take(a, { queues: [a, b] })).job_id);
          }
          expect(order).toEqual([ids[2], ids[0], ids[1]].map(String));
        };
      },
    },
    {
      id: "long-poll",
      what: "A claim waits for a job, without polling",
      shows: "POST /api/v1/fetch {wait_ms}",
      async story(api, queue) {
        const waiting = api.take(queue);
        const id = await api.add(queue);
        expect((await waiting).job_id).toBe(id);
        return async () => {};
      },
    },
    {
      id: "run-any-program",
      what: "Any program as the handler",
      shows: "corvo worker QUEUE -- ./script.sh",
      async story(api, queue) {
        const id = await api.add(queue, { payload: { n: 4 } });
        await api.cli("worker", queue, "--drain", "--", "sh", "-c", "cat");
        return async () =>
          expect(await api.job(id)).toMatchObject({ state: "completed", result: { n: 4 } });
      },
    },
    {
      id: "ack-result",
      what: "Ack with a result, stored and readable",
      shows: "POST /api/v1/ack/{job_id} {result}",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.ack(await api.take(queue), { result: { sum: 7 } });
        return async () =>
          expect(await api.job(id)).toMatchObject({ state: "completed", result: { sum: 7 } });
      },
    },
    {
      id: "batch-ack",
      what: "Many acks in one call, with an answer for each",
      shows: "POST /api/v1/ack/batch",
      async story(api, queue) {
        const ids = [await api.add(queue), await api.add(queue)];
        const jobs = [await api.take(queue), await api.take(queue)];
        const acks = jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token }));
        const answer = await api.json("POST", "/api/v1/ack/batch", {
          acks: [...acks, { job_id: "job_00000000000000000000000000" }],
        });
        expect(answer).toMatchObject({ acked: 2 });
        return async () => {
          for (const id of ids) expect(await api.job(id)).toMatchObject({ state: "completed" });
        };
      },
    },
    {
      id: "fail-with-reason",
      what: "Fail with error and backtrace, kept per attempt",
      shows: "POST /api/v1/fail/{job_id}",
      async story(api, queue) {
        const id = await api.add(queue, { retry_backoff: "none" });
        await api.fail(await api.take(queue), { error: "first", backtrace: "line 1" });
        await api.fail(await api.take(queue), { error: "second" });
        return async () =>
          expect((await api.job(id))["errors"]).toMatchObject([
            { attempt: 1, error: "first", backtrace: "line 1" },
            { attempt: 2, error: "second" },
          ]);
      },
    },
    {
      id: "release",
      what: "Give a job back at once, or after a delay; the attempt is not spent",
      shows: "POST /api/v1/release/{job_id} {delay}",
      async story(api, queue) {
        const id = await api.add(queue);
        const first = await api.take(queue);
        const body = { lease_token: first.lease_token, delay: "300ms" };
        await api.json("POST", `/api/v1/release/${id}`, body);
        return async () => expect(await api.take(queue)).toMatchObject({ job_id: id, attempt: 1 });
      },
    },
    {
      id: "fail-delay",
      what: "A worker that fails says when the next attempt may begin",
      shows: "POST /api/v1/fail/{job_id} {delay}",
      async story(api, queue) {
        const id = await api.add(queue, { retry_base_delay: "1h" });
        await api.fail(await api.take(queue), { delay: "300ms" });
        return async () => expect(await api.take(queue)).toMatchObject({ job_id: id, attempt: 2 });
      },
    },
    {
      id: "no-retry",
      what: "A failure that is not retried",
      shows: "POST /api/v1/fail/{job_id} {retryable: false}",
      async story(api, queue) {
        const id = await api.add(queue, { max_retries: 5 });
        await api.fail(await api.take(queue), { retryable: false });
        return async () => expect(await api.job(id)).toMatchObject({ state: "dead", attempt: 1 });
      },
    },
    backoff(
      "backoff-exponential",
      { retry_backoff: "exponential", retry_base_delay: "20s" },
      [20_000, 20_000],
    ),
    backoff("backoff-fixed", { retry_backoff: "fixed", retry_base_delay: "30s" }, [30_000, 30_000]),
    backoff(
      "backoff-linear",
      { retry_backoff: "linear", retry_base_delay: "25s" },
      [25_000, 25_000],
    ),
    backoff(
      "backoff-jitter",
      { retry_backoff: "fixed", retry_base_delay: "40s", retry_jitter: 0.5 },
      [40_000, 60_000],
    ),
    {
      id: "dead-letters",
      what: "Dead jobs are kept, listed, run again, deleted",
      shows: "corvo jobs list --state dead; corvo jobs retry ID; corvo jobs delete ID",
      async story(api, queue) {
        const ids = [await api.add(queue), await api.add(queue)];
        await api.fail(await api.take(queue), { retryable: false });
        await api.fail(await api.take(queue), { retryable: false });
        return async () => {
          const found = await api.json("POST", "/api/v1/jobs/search", { queue, state: ["dead"] });
          expect(found["total"]).toBe(2);
          await api.cli("jobs", "retry", ids[0] ?? "", "--yes");
          expect((await api.take(queue)).job_id).toBe(String(ids[0]));
          await api.cli("jobs", "delete", ids[1] ?? "", "--yes");
          await api.refused("NOT_FOUND", "GET", `/api/v1/jobs/${ids[1]}`);
        };
      },
    },
    {
      id: "cancel",
      what: "Cancel a job, also one that runs: its worker hears of it at the next heartbeat",
      shows: "corvo jobs cancel ID",
      async story(api, queue) {
        const id = await api.add(queue);
        const job = await api.take(queue);
        await api.json("POST", `/api/v1/jobs/${id}/cancel`);
        return async () => {
          expect(await api.job(id)).toMatchObject({ state: "cancelled" });
          const beat = { jobs: { [id]: { lease_token: job.lease_token } } };
          expect(await api.json("POST", "/api/v1/heartbeat", beat)).toMatchObject({
            jobs: { [id]: { status: "cancel" } },
          });
        };
      },
    },
    {
      id: "wait-for-result",
      what: "Wait for a job to finish",
      shows: "GET /api/v1/jobs/{job_id}/wait?timeout=30",
      async story(api, queue) {
        const id = await api.add(queue);
        const waiting = api.json("GET", `/api/v1/jobs/${id}/wait?timeout=20`);
        await api.ack(await api.take(queue), { result: "done" });
        expect(await waiting).toMatchObject({ state: "completed", result: "done" });
        return async () => {};
      },
    },
  ],
  notOffered: [
    {
      what: "A job type that no worker knows goes straight to dead",
      because: "a queue is the type here; jobs wait in theirs until somebody works on it",
    },
  ],
};
