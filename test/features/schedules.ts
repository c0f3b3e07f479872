/** Jobs that come again and again. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

interface Run {
  readonly due_at: string;
  readonly outcome: string;
  readonly ended?: string;
  readonly manual?: boolean;
}

const history = async (api: Api, name: string) =>
  (await api.json("GET", `/api/v1/schedules/${name}`))["history"] as Run[];

const set = (api: Api, queue: string, more: object) =>
  api.json("PUT", `/api/v1/schedules/${queue}`, { job: { queue }, ...more });

/** Due times of the jobs that a schedule made so far. */
async function dueTimes(api: Api, queue: string): Promise<string[]> {
  const { jobs } = await api.json("POST", "/api/v1/jobs/search", { queue, limit: 100 });
  const ids = (jobs as { id: string }[]).map(({ id }) => id);
  const shown = await Promise.all(ids.map((id) => api.job(id)));
  return shown.map((job) => String((job["schedule"] as { due_at: string }).due_at)).sort();
}

export const schedules: Chapter = {
  title: "Schedules",
  features: [
    {
      id: "schedule-every",
      what: "A job at regular intervals, once per due time, also across a failover",
      shows: "corvo schedule set NAME QUEUE --every 1s",
      async story(api, queue) {
        await api.cli("schedule", "set", queue, queue, "--every", "1s", "--catch-up", "all");
        return async () => {
          const due = await until("four runs", async () => {
            const seen = await dueTimes(api, queue);
            return seen.length >= 4 ? seen : undefined;
          });
          await api.cli("schedule", "delete", queue);
          const steps = due.slice(1).map((at, i) => Date.parse(at) - Date.parse(due[i] ?? ""));
          // None twice, none left out.
          expect(new Set(steps)).toEqual(new Set([1000]));
        };
      },
    },
    {
      id: "schedule-cron",
      what: "Cron expressions of five or six fields in any IANA time zone, correct across changes of the clock",
      shows: 'corvo schedule preview --cron "30 2 * * *" --zone Europe/Berlin',
      async story(api) {
        const preview = (start: string, cron: string) =>
          api.json("POST", "/api/v1/schedules/preview", {
            ...{ cron, zone: "Europe/Berlin", start, count: 3 },
          });
        // The hour that does not exist, and the one that comes twice.
        expect(await preview("2027-03-27T12:00:00Z", "30 2 * * *")).toEqual({
          next_runs: [
            "2027-03-28T01:00:00.000Z",
            "2027-03-29T00:30:00.000Z",
            "2027-03-30T00:30:00.000Z",
          ],
        });
        expect(await preview("2027-10-30T12:00:00Z", "30 2 * * *")).toEqual({
          next_runs: [
            "2027-10-31T00:30:00.000Z",
            "2027-11-01T01:30:00.000Z",
            "2027-11-02T01:30:00.000Z",
          ],
        });
        expect(await preview("2027-10-30T23:30:00Z", "0 * * * *")).toEqual({
          next_runs: [
            "2027-10-31T00:00:00.000Z",
            "2027-10-31T01:00:00.000Z",
            "2027-10-31T02:00:00.000Z",
          ],
        });
        return async () => {};
      },
    },
    {
      id: "schedule-refusals",
      what: "An expression that cannot be read or never comes due is refused with the reason",
      shows: "PUT /api/v1/schedules/{name} → 400 VALIDATION_ERROR",
      async story(api, queue) {
        const path = `/api/v1/schedules/${queue}`;
        for (const wrong of [
          { cron: "61 * * * *" },
          { cron: "0 0 30 2 *" },
          { cron: "* * *" },
          { cron: "0 0 * * *", zone: "Mars/Olympus" },
          { cron: "0 0 * * *", every: "1m" },
          {},
        ]) {
          await api.refused("VALIDATION_ERROR", "PUT", path, { job: { queue }, ...wrong });
        }
        await api.refused("LIMIT_EXCEEDED", "PUT", path, { job: { queue }, every: "10ms" });
        return async () => {
          await api.refused("NOT_FOUND", "GET", path);
        };
      },
    },
    {
      id: "schedule-overlap",
      what: "What happens while the run before is not over: allow, skip, buffer, cancel",
      shows: "corvo schedule set NAME QUEUE --every 1s --overlap skip",
      async story(api, queue) {
        await set(api, queue, { every: "1s", overlap: "skip" });
        const job = await api.take(queue);
        await until("a run was skipped", async () =>
          (await history(api, queue)).some(({ outcome }) => outcome === "skipped"),
        );
        return async () => {
          expect(await api.queue(queue)).toMatchObject({ active: 1, pending: 0 });
          await api.ack(job);
          const next = await api.take(queue);
          await api.cli("schedule", "delete", queue);
          await api.ack(next);
        };
      },
    },
    {
      id: "schedule-pause-run",
      what: "Pause, resume, run now",
      shows: "corvo schedule pause NAME; corvo schedule resume NAME; corvo schedule run NAME",
      async story(api, queue) {
        await set(api, queue, { cron: "0 0 1 1 *" });
        await api.cli("schedule", "pause", queue);
        const id = (await api.cli("schedule", "run", queue, "--quiet")).trim();
        return async () => {
          const shown = await api.json("GET", `/api/v1/schedules/${queue}`);
          expect(shown).toMatchObject({ paused: true, next_runs: [], runs: 1 });
          await api.cli("schedule", "resume", queue);
          expect((await api.json("GET", `/api/v1/schedules/${queue}`))["next_runs"]).toHaveLength(
            5,
          );
          expect((await api.take(queue)).job_id).toBe(id);
        };
      },
    },
    {
      id: "schedule-history",
      what: "History of each schedule: due time, job, how it ended, what was skipped and why",
      shows: "corvo schedule show NAME",
      async story(api, queue) {
        await set(api, queue, { cron: "@yearly", job: { queue, payload: { report: 1 } } });
        await api.json("POST", `/api/v1/schedules/${queue}/run`);
        await api.ack(await api.take(queue));
        return async () => {
          expect(await history(api, queue)).toMatchObject([
            { outcome: "started", manual: true, ended: "completed" },
          ]);
          expect(await api.cli("schedule", "show", queue)).toContain("completed");
        };
      },
    },
    {
      id: "schedule-bounds",
      what: "Start, end, most runs, jitter, and every job option",
      shows: "PUT /api/v1/schedules/{name} {start, end, max_runs, jitter, job}",
      async story(api, queue) {
        await set(api, queue, {
          every: "1s",
          max_runs: 2,
          jitter: "200ms",
          job: { queue, priority: "high", max_retries: 7, tags: { by: "clock" } },
        });
        return async () => {
          const runs = [await api.take(queue), await api.take(queue)];
          expect(await api.job(runs[0]?.job_id ?? "")).toMatchObject({
            priority: 1,
            max_retries: 7,
            tags: { by: "clock" },
          });
          await Bun.sleep(1500);
          expect(await api.json("GET", `/api/v1/schedules/${queue}`)).toMatchObject({
            ended: true,
            runs: 2,
          });
        };
      },
    },
  ],
  notOffered: [],
};
