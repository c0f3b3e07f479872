/** What becomes of jobs that are like others, and what keeps retries from doing harm. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Api } from "./api.ts";
import type { Chapter, Feature } from "./feature.ts";

const enqueue = (api: Api, queue: string, body: object) =>
  api.json("POST", "/api/v1/enqueue", { queue, unique_key: "k", ...body });

/** The only job of a queue, as a worker gets it, with what has become its payload. */
async function onlyPayload(api: Api, queue: string): Promise<unknown> {
  const { payload } = await api.take(queue);
  expect(await api.claim(queue)).toBeUndefined();
  return payload;
}

const keys: readonly Feature[] = [
  {
    id: "unique-scopes",
    what: "A unique key holds while waiting, until done, or for a whole period",
    shows: "corvo enqueue QUEUE --unique-key KEY --unique-scope waiting|done|period",
    async story(api, queue) {
      const first = await enqueue(api, queue, { unique_scope: "waiting" });
      await api.take(queue);
      const second = await enqueue(api, queue, { unique_scope: "waiting" });
      expect(second["job_id"]).not.toBe(first["job_id"]);
      return async () => {
        const third = await enqueue(api, queue, {});
        expect(third).toMatchObject({ job_id: second["job_id"], status: "duplicate" });
      };
    },
  },
  {
    id: "unique-reject",
    what: "A second job with the key can be refused instead of answered with the first",
    shows: "corvo enqueue QUEUE --unique-key KEY --on-conflict reject",
    async story(api, queue) {
      await enqueue(api, queue, {});
      return async () => {
        const body = { queue, unique_key: "k", on_conflict: "reject" };
        await api.refused("CONFLICT", "POST", "/api/v1/enqueue", body);
      };
    },
  },
  {
    id: "unique-replace",
    what: "A waiting job becomes the newer one and keeps its id",
    shows: "corvo enqueue QUEUE PAYLOAD --unique-key KEY --on-conflict replace",
    async story(api, queue) {
      const first = await enqueue(api, queue, { payload: { n: 1 } });
      const second = await enqueue(api, queue, { payload: { n: 2 }, on_conflict: "replace" });
      expect(second).toMatchObject({ job_id: first["job_id"], status: "replaced" });
      return async () => expect(await onlyPayload(api, queue)).toEqual({ n: 2 });
    },
  },
  {
    id: "unique-keep-last",
    what: "While one runs at most one more waits, and the newest payload wins",
    shows: "corvo enqueue QUEUE PAYLOAD --unique-key KEY --on-conflict keep_last",
    async story(api, queue) {
      const add = (n: number) => enqueue(api, queue, { payload: { n }, on_conflict: "keep_last" });
      await add(1);
      const running = await api.take(queue);
      await add(2);
      expect(await add(3)).toMatchObject({ status: "replaced" });
      expect(await api.claim(queue)).toBeUndefined();
      return async () => {
        await api.ack(running);
        expect(await onlyPayload(api, queue)).toEqual({ n: 3 });
      };
    },
  },
  {
    id: "debounce",
    what: "Debounce: starts once no newer job has come for a time, with the payload of the last",
    shows: "corvo enqueue QUEUE PAYLOAD --unique-key KEY --debounce 2s --debounce-max 1m",
    async story(api, queue) {
      for (const n of [1, 2, 3]) await enqueue(api, queue, { payload: { n }, debounce: "5s" });
      expect(await api.claim(queue)).toBeUndefined();
      return async () => expect(await onlyPayload(api, queue)).toEqual({ n: 3 });
    },
  },
  {
    id: "throttle",
    what: "Throttle: the first job of a period runs, further ones are answered with it, also when it is done",
    shows: "corvo enqueue QUEUE --unique-key KEY --throttle 10m",
    async story(api, queue) {
      const first = await enqueue(api, queue, { throttle: "10m" });
      await api.ack(await api.take(queue));
      return async () => {
        const again = await enqueue(api, queue, { throttle: "10m" });
        expect(again).toMatchObject({ job_id: first["job_id"], status: "duplicate" });
      };
    },
  },
  {
    id: "singleton",
    what: "One unfinished job per key: the new one is skipped, or cancels the old one even if it runs",
    shows: "corvo enqueue QUEUE --unique-key KEY --singleton skip|cancel",
    async story(api, queue) {
      const first = await enqueue(api, queue, { singleton: "skip" });
      await api.take(queue);
      expect(await enqueue(api, queue, { singleton: "skip" })).toMatchObject({
        status: "duplicate",
      });
      const next = await enqueue(api, queue, { singleton: "cancel" });
      return async () => {
        expect((await api.job(String(first["job_id"]))).state).toBe("cancelled");
        expect((await api.take(queue)).job_id).toBe(String(next["job_id"]));
      };
    },
  },
  {
    id: "merge-payloads",
    what: "Payloads of jobs that become one are joined: members of objects, items of arrays",
    shows: "corvo enqueue QUEUE '[1]' --unique-key KEY --debounce 5s --merge append",
    async story(api, queue) {
      const options = { debounce: "5s", merge: "append" };
      for (const n of [1, 2, 3]) await enqueue(api, queue, { payload: [n], ...options });
      return async () => expect(await onlyPayload(api, queue)).toEqual([1, 2, 3]);
    },
  },
  {
    id: "contradictions-refused",
    what: "Options that contradict each other are refused with the reason",
    shows: "corvo enqueue QUEUE --debounce 5s",
    async story(api, queue) {
      return async () => {
        const body = { queue, debounce: "5s" };
        const answer = await api.refused("VALIDATION_ERROR", "POST", "/api/v1/enqueue", body);
        expect(answer.text).toContain("unique_key");
      };
    },
  },
];

const snooze = (api: Api, job: { job_id: string; lease_token: string }, delay: string) =>
  api.call("POST", `/api/v1/snooze/${job.job_id}`, { lease_token: job.lease_token, delay });

const retries: readonly Feature[] = [
  {
    id: "snooze",
    what: "A worker puts a job off without spending the attempt, so many times at most",
    shows:
      "POST /api/v1/snooze/{job_id} {delay}; `::corvo snooze 1m` and exit code 75 of a command",
    async story(api, queue) {
      const id = await api.add(queue, { max_snoozes: 1 });
      expect((await snooze(api, await api.take(queue), "200ms")).status).toBe(200);
      return async () => {
        const again = await api.take(queue);
        expect(again).toMatchObject({ job_id: id, attempt: 1 });
        expect((await snooze(api, again, "1s")).body).toMatchObject({ code: "SNOOZE_ERROR" });
      };
    },
  },
  {
    id: "start-by",
    what: "A job that has not started in its time is not run any more",
    shows: "corvo enqueue QUEUE --expire-after 10m",
    async story(api, queue) {
      const id = await api.add(queue, { expire_after: "200ms" });
      return async () => {
        expect((await api.reaches(id, "dead"))["dead_reason"]).toContain("job expired");
      };
    },
  },
  {
    id: "total-deadline",
    what: "A deadline from the enqueue to the end over all attempts, which stops one that runs",
    shows: "corvo enqueue QUEUE --deadline 1h",
    async story(api, queue) {
      const id = await api.add(queue, { deadline: "1500ms" });
      const job = await api.claim(queue, 1000);
      return async () => {
        expect((await api.reaches(id, "dead"))["dead_reason"]).toContain("deadline");
        if (job === undefined) return;
        const body = { lease_token: job.lease_token };
        await api.refused("LEASE_LOST", "POST", `/api/v1/ack/${id}`, body);
      };
    },
  },
  {
    id: "jitter-modes",
    what: "Delays of retries are spread: beyond the delay, anywhere up to it, or in its second half",
    shows: "corvo enqueue QUEUE --retry-jitter-mode full|equal|additive",
    async story(api, queue) {
      const options = { retry_jitter_mode: "equal", retry_base_delay: "10m" };
      await api.add(queue, options);
      const answer = await api.fail(await api.take(queue));
      return async () => {
        const inMs = Date.parse(String(answer["next_attempt_at"])) - Date.now();
        expect(inMs).toBeGreaterThan(250_000);
        expect(inMs).toBeLessThan(600_001);
      };
    },
  },
  {
    id: "no-retry-on",
    what: "Errors of some classes are not retried",
    shows: "corvo enqueue QUEUE --no-retry-on ValidationError",
    async story(api, queue) {
      const id = await api.add(queue, { no_retry_on: ["ValidationError"] });
      await api.fail(await api.take(queue), { error_class: "ValidationError" });
      return async () => {
        const reason = (await api.reaches(id, "dead"))["dead_reason"];
        expect(reason).toContain("no_retry_on");
      };
    },
  },
  {
    id: "retry-for",
    what: "Retries are bounded by time instead of number",
    shows: "corvo enqueue QUEUE --retry-for 1h",
    async story(api, queue) {
      const id = await api.add(queue, { retry_for: "1m", retry_base_delay: "2m" });
      await api.fail(await api.take(queue));
      return async () => {
        expect((await api.reaches(id, "dead"))["dead_reason"]).toContain("retry_for");
      };
    },
  },
  {
    id: "quarantine",
    what: "A job that takes its workers with it, lease after lease, is held for a person",
    shows: "corvo enqueue QUEUE --max-lost-leases 2; corvo jobs list --state held",
    async story(api, queue) {
      const id = await api.add(queue, { max_lost_leases: 1 });
      await api.take(queue, { lease_ms: 1000 });
      return async () => {
        expect((await api.reaches(id, "held"))["hold_reason"]).toContain("quarantined");
        await api.json("POST", `/api/v1/jobs/${id}/approve`);
        expect((await api.take(queue)).job_id).toBe(id);
      };
    },
  },
];

/** Adds jobs that fail for good, with these errors. */
async function bury(api: Api, queue: string, ...errors: readonly string[]): Promise<void> {
  for (const error of errors) {
    await api.add(queue, { max_retries: 1 });
    await api.fail(await api.take(queue), { error });
  }
}

const deadLetters: readonly Feature[] = [
  {
    id: "dead-queue",
    what: "Dead jobs are passed on to a queue of their own; the dead job stays to be looked at",
    shows: "corvo enqueue QUEUE --dead-queue OTHER",
    async story(api, queue) {
      const dead = `${queue}-dead`;
      const id = await api.add(queue, { max_retries: 1, dead_queue: dead, payload: { n: 1 } });
      await api.fail(await api.take(queue));
      return async () => {
        expect(await api.take(dead)).toMatchObject({ dead_of: id, payload: { n: 1 } });
        expect((await api.job(id)).state).toBe("dead");
      };
    },
  },
  {
    id: "dead-groups",
    what: "Dead jobs grouped by error, with numbers and ids folded",
    shows: "corvo jobs dead QUEUE; corvo jobs list --error-group ID",
    async story(api, queue) {
      await bury(api, queue, "user 17 not found", "user 4 not found", "disk full");
      return async () => {
        const shown = JSON.parse(await api.cli("jobs", "dead", queue, "--json"));
        expect(shown).toMatchObject({
          groups: [
            { error: "user * not found", count: 2 },
            { error: "disk full", count: 1 },
          ],
          exact: true,
        });
        const filter = { error_group: shown.groups[0].id, queue };
        const found = await api.json("POST", "/api/v1/jobs/search", filter);
        expect(found["total"]).toBe(2);
      };
    },
  },
  {
    id: "redrive",
    what: "Dead jobs are run again at a rate, by error if wanted, across restarts and failovers",
    shows: "corvo queue redrive QUEUE --rate 50 --error-group ID --to-queue OTHER",
    async story(api, queue) {
      await bury(api, queue, ...Array.from({ length: 6 }, (_, i) => `no user ${i}`), "disk full");
      const { groups } = await api.json("GET", `/api/v1/queues/${queue}/dead/groups`);
      const [group] = groups as { id: string; count: number }[];
      expect(group?.count).toBe(6);
      const to = `${queue}-again`;
      const flags = ["--rate", "1", "--to-queue", to, "--error-group", group?.id ?? ""];
      await api.cli("queue", "redrive", queue, ...flags);
      return async () => {
        await until("six jobs have come again", async () =>
          (await api.queue(to))["pending"] === 6 ? true : undefined,
        );
        const status = await api.cli("queue", "redrive", queue, "--status", "--wait", "--json");
        expect(JSON.parse(status)).toMatchObject({ state: "completed", retried: 6, skipped: 0 });
        expect(await api.queue(queue)).toMatchObject({ dead: 1 });
      };
    },
  },
  {
    id: "queue-drain",
    what: "A queue takes no new jobs while what it has is worked off, and says when that is done",
    shows: "corvo queue drain QUEUE --wait; corvo queue undrain QUEUE",
    async story(api, queue) {
      await api.add(queue);
      await api.cli("queue", "drain", queue);
      return async () => {
        await api.refused("QUEUE_DRAINING", "POST", "/api/v1/enqueue", { queue });
        const emptied = api.cli("queue", "drain", queue, "--wait");
        await api.ack(await api.take(queue));
        await emptied;
        await api.cli("queue", "undrain", queue);
        await api.add(queue);
      };
    },
  },
  {
    id: "queue-defaults",
    what: "Options of retries, time-outs and dead letters can be set for a whole queue",
    shows: "corvo queue defaults QUEUE --max-retries 8 --timeout 5m",
    async story(api, queue) {
      await api.cli("queue", "defaults", queue, "--max-retries", "8", "--timeout", "5m");
      return async () => {
        const id = await api.add(queue, { timeout: "1m" });
        expect(await api.job(id)).toMatchObject({ max_retries: 8, timeout_ms: 60_000 });
        expect(await api.cli("queue", "defaults", queue)).toContain("max_retries");
      };
    },
  },
];

export const admission: Chapter = {
  title: "Admission, retries and dead letters",
  features: [...keys, ...retries, ...deadLetters],
  notOffered: [
    {
      what: "Job ids chosen by the client",
      because:
        "an id says where its job is stored; an idempotency key makes a call safe to repeat, and a unique key for a period refuses a second job",
    },
  ],
};
