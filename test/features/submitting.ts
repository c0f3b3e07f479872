/** What a producer may ask for. */
import { expect } from "bun:test";
import type { Chapter } from "./feature.ts";

const soon = () => new Date(Date.now() + 400).toISOString();

export const submitting: Chapter = {
  title: "Submitting jobs",
  features: [
    {
      id: "queue-on-first-use",
      what: "Named queues, made on first use",
      shows: "corvo enqueue QUEUE '{}'",
      async story(api, queue) {
        await api.cli("enqueue", queue, "{}");
        return async () => expect(await api.queue(queue)).toMatchObject({ pending: 1 });
      },
    },
    {
      id: "payload-as-sent",
      what: "Any JSON payload, back as the text that was sent",
      shows: "POST /api/v1/enqueue",
      async story(api, queue) {
        const id = await api.add(queue, { payload: { deep: [1, { a: "é" }], none: null } });
        return async () =>
          expect((await api.job(id))["payload"]).toEqual({ deep: [1, { a: "é" }], none: null });
      },
    },
    {
      id: "payload-bound",
      what: "Payload size limit with an error that names it",
      shows: "POST /api/v1/enqueue → 413 PAYLOAD_TOO_LARGE",
      async story(api, queue) {
        const body = { queue, payload: "x".repeat(300_000) };
        const { status } = await api.refused("PAYLOAD_TOO_LARGE", "POST", "/api/v1/enqueue", body);
        expect(status).toBe(413);
        return async () => {};
      },
    },
    {
      id: "tags",
      what: "Tags on a job, searchable",
      shows: "corvo enqueue QUEUE --tag team=red; corvo jobs list --tag team=red",
      async story(api, queue) {
        const id = await api.add(queue, { tags: { team: queue } });
        return async () => {
          const found = await api.json("POST", "/api/v1/jobs/search", { tags: { team: queue } });
          expect(found["jobs"]).toMatchObject([{ id, tags: { team: queue } }]);
        };
      },
    },
    {
      id: "server-made-id",
      what: "Server-made, sortable id, returned by enqueue",
      shows: "POST /api/v1/enqueue",
      async story(api, queue) {
        const ids = [await api.add(queue), await api.add(queue), await api.add(queue)];
        expect([...ids].sort()).toEqual(ids);
        return async () => expect(await api.job(ids[1] ?? "")).toMatchObject({ id: ids[1] });
      },
    },
    {
      id: "client-chosen-key",
      what: "A key of the client's choice instead of an id of its own: a second enqueue is told of the first",
      shows: "POST /api/v1/enqueue {unique_key}",
      async story(api, queue) {
        const id = await api.add(queue, { unique_key: "order-17" });
        return async () => {
          const again = { queue, payload: {}, unique_key: "order-17" };
          expect(await api.json("POST", "/api/v1/enqueue", again)).toMatchObject({
            job_id: id,
            status: "duplicate",
            unique_existing: true,
          });
        };
      },
    },
    {
      id: "priorities",
      what: "Priorities 0 to 9, and critical, high, normal, low",
      shows: "corvo enqueue QUEUE --priority high",
      async story(api, queue) {
        for (const priority of [9, "low", "normal", "high", 0]) {
          await api.add(queue, { priority, payload: priority });
        }
        return async () => {
          const order: unknown[] = [];
          for (let i = 0; i < 5; i++) order.push((await api.take(queue)).payload);
          expect(order).toEqual([0, "high", "normal", "low", 9]);
        };
      },
    },
    {
      id: "delay",
      what: "Relative delay",
      shows: "corvo enqueue QUEUE --delay 400ms",
      async story(api, queue) {
        const id = await api.add(queue, { delay: "400ms" });
        expect(await api.job(id)).toMatchObject({ state: "scheduled" });
        return async () => expect((await api.take(queue)).job_id).toBe(id);
      },
    },
    {
      id: "run-at",
      what: "Absolute time to run at",
      shows: "POST /api/v1/enqueue {scheduled_at}",
      async story(api, queue) {
        const id = await api.add(queue, { scheduled_at: soon() });
        return async () => expect((await api.take(queue)).job_id).toBe(id);
      },
    },
    {
      id: "max-attempts",
      what: "Most attempts per job",
      shows: "corvo enqueue QUEUE --max-retries 2",
      async story(api, queue) {
        const id = await api.add(queue, { max_retries: 2, retry_backoff: "none" });
        expect(await api.fail(await api.take(queue))).toMatchObject({ attempts_remaining: 1 });
        return async () => {
          expect(await api.fail(await api.take(queue))).toMatchObject({ status: "dead" });
          expect(await api.job(id)).toMatchObject({ state: "dead", attempt: 2 });
        };
      },
    },
    {
      id: "backoff-settings",
      what: "Backoff settings per job",
      shows:
        "POST /api/v1/enqueue {retry_backoff, retry_base_delay, retry_max_delay, retry_jitter}",
      async story(api, queue) {
        const id = await api.add(queue, {
          retry_backoff: "linear",
          retry_base_delay: "7s",
          retry_max_delay: "9s",
          retry_jitter: 0.5,
        });
        return async () =>
          expect(await api.job(id)).toMatchObject({
            retry_backoff: "linear",
            retry_base_delay_ms: 7000,
            retry_max_delay_ms: 9000,
            retry_jitter: 0.5,
          });
      },
    },
    {
      id: "attempt-timeout",
      what: "Longest time of one attempt, enforced by the server",
      shows: "corvo enqueue QUEUE --timeout 300ms",
      async story(api, queue) {
        const id = await api.add(queue, { timeout: "300ms", max_retries: 1 });
        const job = await api.take(queue);
        return async () => {
          await api.reaches(id, "dead");
          await api.refused("LEASE_LOST", "POST", `/api/v1/ack/${id}`, {
            lease_token: job.lease_token,
          });
        };
      },
    },
    {
      id: "time-to-live",
      what: "A job that has not started in time is not run",
      shows: "corvo enqueue QUEUE --expire-after 200ms",
      async story(api, queue) {
        const id = await api.add(queue, { expire_after: "200ms" });
        return async () => {
          expect(await api.reaches(id, "dead")).toMatchObject({
            dead_reason: expect.stringContaining("expired"),
          });
          expect(await api.claim(queue)).toBeUndefined();
        };
      },
    },
    {
      id: "idempotency-key",
      what: "Idempotency key for one call or a whole batch; another call under the key is refused",
      shows: "POST /api/v1/enqueue/batch {idempotency_key}",
      async story(api, queue) {
        const body = { jobs: [{ queue, payload: 1 }, { queue }], idempotency_key: queue };
        const first = await api.json("POST", "/api/v1/enqueue/batch", body);
        return async () => {
          expect(await api.json("POST", "/api/v1/enqueue/batch", body)).toEqual(first);
          expect(await api.queue(queue)).toMatchObject({ pending: 2 });
          await api.refused("CONFLICT", "POST", "/api/v1/enqueue", {
            queue,
            payload: 2,
            idempotency_key: queue,
          });
        };
      },
    },
    {
      id: "unique-period",
      what: "Unique job for a period",
      shows: "POST /api/v1/enqueue {unique_key, unique_period}",
      async story(api, queue) {
        const unique = { unique_key: "k", unique_period: 1 };
        const id = await api.add(queue, unique);
        expect(await api.add(queue, unique)).toBe(id);
        return async () => {
          await Bun.sleep(1100);
          expect(await api.add(queue, unique)).not.toBe(id);
        };
      },
    },
    {
      id: "batch-enqueue",
      what: "Many jobs in one call, durable together",
      shows: "POST /api/v1/enqueue/batch",
      async story(api, queue) {
        const jobs = Array.from({ length: 500 }, (_, n) => ({ queue, payload: n }));
        const answer = await api.json("POST", "/api/v1/enqueue/batch", { jobs });
        expect(answer["job_ids"]).toHaveLength(500);
        return async () => expect(await api.queue(queue)).toMatchObject({ pending: 500 });
      },
    },
    {
      id: "file-enqueue",
      what: "Jobs from a file or a pipe, one per line",
      shows: "corvo enqueue --file jobs.jsonl",
      async story(api, queue) {
        const path = `${api.folder()}/${queue}.jsonl`;
        await Bun.write(path, `{"queue":"${queue}","payload":1}\n{"queue":"${queue}"}\n`);
        await api.cli("enqueue", "--file", path);
        return async () => expect(await api.queue(queue)).toMatchObject({ pending: 2 });
      },
    },
  ],
  notOffered: [
    {
      what: "Ids of the client's choice",
      because:
        "an id says where a job is stored; a unique key or an idempotency key does what such ids are used for",
    },
    {
      what: "Enqueue inside a transaction of the caller's database",
      because: "that needs a table on the caller's side; a unique key makes a relay safe to repeat",
    },
  ],
};
