/** Limits, turns and order: which job a worker gets, and what keeps it from others. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Api, Claimed } from "./api.ts";
import type { Chapter } from "./feature.ts";

const ofQueue = (queue: string) => `/api/v1/limits/queues/${queue}`;

/** As many jobs as the queue gives at once. */
async function claimAll(api: Api, queue: string): Promise<Claimed[]> {
  const body = { queues: [queue], worker_id: "story", count: 20, wait_ms: 0, lease_ms: 60_000 };
  const answer = await api.call("POST", "/api/v1/fetch/batch", body);
  return answer.status === 204 ? [] : (answer.body["jobs"] as Claimed[]);
}

async function addMany(
  api: Api,
  queue: string,
  payloads: readonly unknown[],
  options: object = {},
) {
  for (const payload of payloads) await api.add(queue, { payload, ...options });
}

const payloadsOf = (jobs: readonly Claimed[]) => jobs.map(({ payload }) => payload);

export const limits: Chapter = {
  title: "Limits, turns and order",
  features: [
    {
      id: "queue-concurrency",
      what: "At most so many jobs of a queue run at once",
      shows: "corvo limit set --queue QUEUE --concurrency 2",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--concurrency", "2");
        await addMany(api, queue, [1, 2, 3]);
        const first = await api.take(queue);
        await api.take(queue);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          const waiting = api.take(queue);
          await api.ack(first);
          expect((await waiting).payload).toBe(3);
        };
      },
    },
    {
      id: "key-concurrency",
      what: "The same for each key of a queue, with values of its own for some",
      shows:
        "corvo limit set --queue QUEUE --each-key --concurrency 1; corvo enqueue QUEUE --limit-key K",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--each-key", "--concurrency", "1");
        await api.cli("limit", "set", "--queue", queue, "--key", "big", "--concurrency", "2");
        await addMany(api, queue, ["s1", "s2"], { limit_key: "small" });
        await addMany(api, queue, ["b1", "b2", "b3"], { limit_key: "big" });
        const taken = await claimAll(api, queue);
        expect(payloadsOf(taken)).toEqual(["s1", "b1", "b2"]);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          for (const job of taken.slice(0, 1)) await api.ack(job);
          expect((await api.take(queue)).payload).toBe("s2");
        };
      },
    },
    {
      id: "resources",
      what: "Named resources that jobs of several queues share, in units",
      shows:
        "corvo limit set --resource gpu --concurrency 3; corvo enqueue QUEUE --resources gpu=2",
      async story(api, queue) {
        await api.cli("limit", "set", "--resource", queue, "--concurrency", "3");
        await api.add(queue, { resources: { [queue]: 2 } });
        await api.add(`${queue}-other`, { resources: { [queue]: 2 } });
        await api.add(`${queue}-other`, { payload: "light", resources: { [queue]: 1 } });
        const heavy = await api.take(queue);
        expect((await api.take(`${queue}-other`)).payload).toBe("light");
        return async () => {
          expect(await api.claim(`${queue}-other`)).toBeUndefined();
          const shown = await api.json("GET", `/api/v1/limits/resources/${queue}`);
          expect(shown).toMatchObject({ concurrency: 3, in_use: 3, open: false });
          await api.ack(heavy);
          await api.take(`${queue}-other`);
        };
      },
    },
    {
      id: "rate-token",
      what: "A rate with bursts (token bucket), of a queue or of each key; a job can cost more than one",
      shows:
        "corvo limit set --queue QUEUE --rate 4/1h --burst 4; corvo enqueue QUEUE --limit-cost 3",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--rate", "4/1h", "--burst", "4");
        await api.add(queue, { payload: "heavy", limit_cost: 3 });
        await addMany(api, queue, ["one", "two"]);
        expect(payloadsOf(await claimAll(api, queue))).toEqual(["heavy", "one"]);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          // A rate that is changed begins anew.
          await api.cli("limit", "set", "--queue", queue, "--rate", "5/1h");
          expect((await api.take(queue)).payload).toBe("two");
        };
      },
    },
    {
      id: "rate-sliding",
      what: "Never more than so many starts in any window, exactly; windows of hours or days hold too",
      shows: "corvo limit set --queue QUEUE --rate 2/1h --rate-kind sliding",
      async story(api, queue) {
        const words = ["--rate", "2/1h", "--rate-kind", "sliding"];
        await api.cli("limit", "set", "--queue", queue, ...words);
        await addMany(api, queue, [1, 2, 3]);
        expect(await claimAll(api, queue)).toHaveLength(2);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          const shown = await api.json("GET", ofQueue(queue));
          expect(shown).toMatchObject({ open: false });
          const leftMs = Date.parse(String(shown["opens_at"])) - Date.now();
          expect(leftMs).toBeGreaterThan(3_300_000);
          await api.json("DELETE", `/api/v1/queues/${queue}/throttle`);
          await api.take(queue);
        };
      },
    },
    {
      id: "rate-leaky",
      what: "Starts that are evenly spaced (leaky bucket)",
      shows: "corvo limit set --queue QUEUE --rate 5/1s --rate-kind leaky",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--rate", "5/1s", "--rate-kind", "leaky");
        await addMany(api, queue, [1, 2, 3, 4]);
        const ids = [(await api.take(queue)).job_id, (await api.take(queue)).job_id];
        return async () => {
          ids.push((await api.take(queue)).job_id, (await api.take(queue)).job_id);
          const starts = await Promise.all(
            ids.map(async (id) => Date.parse(String((await api.job(id))["started_at"]))),
          );
          const gaps = starts.slice(1).map((at, i) => at - (starts[i] ?? 0));
          expect(Math.min(...gaps)).toBeGreaterThanOrEqual(200);
        };
      },
    },
    {
      id: "rate-key",
      what: "A rate for each key, and 0.3's throttle and concurrency of a queue",
      shows: "POST /api/v1/queues/{name}/throttle {rate, window_ms}",
      async story(api, queue) {
        await api.json("PUT", ofQueue(queue), { each_key: true, rate: { count: 1, window: "1h" } });
        await addMany(api, queue, ["a1", "a2"], { limit_key: "a" });
        await addMany(api, queue, ["b1"], { limit_key: "b" });
        expect(payloadsOf(await claimAll(api, queue))).toEqual(["a1", "b1"]);
        const old = `${queue}-old`;
        await api.json("POST", `/api/v1/queues/${old}/throttle`, { rate: 1, window_ms: 7_200_000 });
        await addMany(api, old, [1, 2]);
        await api.take(old);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          expect(await api.claim(old)).toBeUndefined();
        };
      },
    },
    {
      id: "worker-pause",
      what: "A worker that was told to come back later pauses the key, queue or resource, and keeps its attempt",
      shows: 'POST /api/v1/fail/{job_id} {pause: "30s", pause_scope: "key", keep_attempt: true}',
      async story(api, queue) {
        await addMany(api, queue, ["a1", "a2"], { limit_key: "a" });
        await addMany(api, queue, ["b1"], { limit_key: "b" });
        const job = await api.take(queue);
        await api.fail(job, { pause: "1h", pause_scope: "key", keep_attempt: true });
        return async () => {
          expect((await api.take(queue)).payload).toBe("b1");
          expect(await api.claim(queue)).toBeUndefined();
          await api.cli("limit", "resume", "--queue", queue, "--key", "a");
          const again = await claimAll(api, queue);
          expect(again.find(({ job_id }) => job_id === job.job_id)).toMatchObject({ attempt: 1 });
        };
      },
    },
    {
      id: "operator-pause",
      what: "An operator pauses a queue, a key or a resource until a time; it ends by itself",
      shows: "corvo limit pause --queue QUEUE --for 30s",
      async story(api, queue) {
        await api.add(queue);
        await api.cli("limit", "pause", "--queue", queue, "--for", "2s");
        const shown = await api.json("GET", ofQueue(queue));
        const untilMs = Date.parse(String(shown["paused_until"]));
        return async () => {
          const job = await api.take(queue);
          const startedMs = Date.parse(String((await api.job(job.job_id))["started_at"]));
          expect(startedMs).toBeGreaterThanOrEqual(untilMs);
        };
      },
    },
    {
      id: "fifo-key",
      what: "Jobs of one key one after the other: a retry keeps its key; what blocks a key is shown",
      shows: "corvo enqueue QUEUE --fifo-key K; corvo queue blocked QUEUE",
      async story(api, queue) {
        const options = { fifo_key: "order-1", retry_base_delay: "1s", max_retries: 5 };
        await addMany(api, queue, [1, 2], options);
        await api.add(queue, { payload: "other", fifo_key: "order-2" });
        const first = await api.take(queue);
        expect((await api.take(queue)).payload).toBe("other");
        await api.fail(first);
        return async () => {
          expect(await api.cli("queue", "blocked", queue)).toContain(first.job_id);
          const again = await api.take(queue);
          expect(again.job_id).toBe(first.job_id);
          await api.ack(again);
          expect((await api.take(queue)).payload).toBe(2);
        };
      },
    },
    {
      id: "group-turns",
      what: "Groups take turns by weight, whatever their backlogs; a new leader goes on where it was",
      shows: "corvo enqueue QUEUE --group G; corvo limit set --queue QUEUE --group G --weight 2",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--group", "big", "--weight", "2");
        await addMany(api, queue, Array(8).fill("big"), { group: "big" });
        await addMany(api, queue, Array(4).fill("small"), { group: "small" });
        const before = payloadsOf([await api.take(queue), await api.take(queue)]);
        return async () => {
          const after = payloadsOf(await claimAll(api, queue));
          const shares = [...before, ...after].slice(0, 6).filter((one) => one === "small");
          expect(shares).toHaveLength(2);
          expect(after).toHaveLength(10);
        };
      },
    },
    {
      id: "group-backlog",
      what: "A bound on how many jobs of a group may wait, so one cannot fill the queue",
      shows: "corvo limit set --queue QUEUE --each-group --backlog 2",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--each-group", "--backlog", "2");
        await addMany(api, queue, [1, 2], { group: "g" });
        const third = { queue, group: "g", payload: 3 };
        await api.refused("LIMIT_EXCEEDED", "POST", "/api/v1/enqueue", third);
        return async () => {
          await api.refused("LIMIT_EXCEEDED", "POST", "/api/v1/enqueue", third);
          await api.add(queue, { group: "h" });
          await api.take(queue);
          await api.json("POST", "/api/v1/enqueue", third);
        };
      },
    },
    {
      id: "limit-wakes",
      what: "A worker that waits is woken when a limit lets a job go; nothing polls",
      shows: "POST /api/v1/fetch {wait_ms}",
      async story(api, queue) {
        await api.json("PUT", ofQueue(queue), { rate: { count: 1, window: "1s", kind: "leaky" } });
        await addMany(api, queue, [1, 2, 3]);
        await api.take(queue);
        return async () => {
          const [two, three] = [await api.take(queue), await api.take(queue)];
          expect(payloadsOf([two, three])).toEqual([2, 3]);
        };
      },
    },
    {
      id: "limit-misspelt",
      what: "A call with a misspelt member is refused with the name that was meant, and changes nothing",
      shows: 'PUT /api/v1/limits/queues/{name} {rate: {knd: "leaky"}}',
      async story(api, queue) {
        await api.json("PUT", ofQueue(queue), { concurrency: 7 });
        const rate = { count: 1, window: "1s", knd: "leaky" };
        const answer = await api.refused("VALIDATION_ERROR", "PUT", ofQueue(queue), { rate });
        expect(answer.text).toContain("rate.knd is not known here; did you mean kind?");
        return async () => {
          const left = await api.json("GET", ofQueue(queue));
          expect(left).toMatchObject({ concurrency: 7 });
          expect(left).not.toHaveProperty("rate");
        };
      },
    },
    {
      id: "limit-pages",
      what: "Long lists come page by page, and a page goes on where the last one ended whoever leads",
      shows: "GET /api/v1/limits?limit=2&cursor=…",
      async story(api, queue) {
        const keys = ["a", "b", "c", "d", "e"];
        for (const key of keys) await api.json("PUT", ofQueue(queue), { key, concurrency: 1 });
        const page = async (cursor?: unknown) => {
          const more = cursor === undefined ? "" : `&cursor=${cursor}`;
          const path = `/api/v1/limits?queue=${encodeURIComponent(queue)}&limit=2${more}`;
          const answer = await api.json("GET", path);
          const names = (answer["limits"] as { key: string }[]).map(({ key }) => key);
          return { names, cursor: answer["cursor"] };
        };
        const first = await page();
        return async () => {
          const second = await page(first.cursor);
          const third = await page(second.cursor);
          expect([...first.names, ...second.names, ...third.names]).toEqual(keys);
          expect(third.cursor).toBeUndefined();
          await api.refused("VALIDATION_ERROR", "GET", "/api/v1/limits?cursor=x");
        };
      },
    },
    {
      id: "limit-list",
      what: "Every limit and pause, what of it is in use, and when it opens",
      shows: "corvo limit list; GET /api/v1/limits",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--concurrency", "1");
        await api.cli("limit", "pause", "--queue", queue, "--key", "k", "--for", "1h");
        await api.add(queue);
        await api.take(queue);
        return async () => {
          await until("both are listed", async () => {
            const { limits: listed } = await api.json("GET", `/api/v1/limits?queue=${queue}`);
            return (listed as object[]).length === 2 ? listed : undefined;
          });
          expect(await api.json("GET", ofQueue(queue))).toMatchObject({ in_use: 1, open: false });
          await api.cli("limit", "remove", "--queue", queue);
          expect(await api.json("GET", ofQueue(queue))).toMatchObject({ open: true });
        };
      },
    },
  ],
  notOffered: [
    {
      what: "A total order over all queues",
      because:
        "order is kept within a queue, a priority, a group and a fifo_key; across queues a claim takes the best priority first, then the earliest place.",
    },
  ],
};
