/** What an operator does with queues and jobs. */

import { expect } from "bun:test";
import { join } from "node:path";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

async function firstOf(api: Api, queue: string): Promise<string> {
  const found = JSON.parse(await api.cli("jobs", "list", "--queue", queue, "--json"));
  return found.jobs[0].id;
}

export const administration: Chapter = {
  title: "Queues and administration",
  features: [
    {
      id: "queue-list",
      what: "All queues with their counts in one call",
      shows: "corvo queue list",
      async story(api, queue) {
        await api.add(queue);
        return async () => {
          const list = JSON.parse(await api.cli("queue", "list", "--json")) as { name: string }[];
          expect(list.find(({ name }) => name === queue)).toMatchObject({ pending: 1 });
        };
      },
    },
    {
      id: "queue-stats",
      what: "Waiting, scheduled, running, retrying, dead jobs of a queue, and the oldest that waits",
      shows: "GET /api/v1/queues/{name}",
      async story(api, queue) {
        await api.add(queue);
        await api.take(queue);
        await api.add(queue);
        await api.add(queue, { delay: "1h" });
        return async () => {
          const shown = await api.queue(queue);
          expect(shown).toMatchObject({ active: 1, pending: 1, scheduled: 1, enqueued: 3 });
          expect(Date.parse(String(shown["oldest_pending_at"]))).toBeLessThanOrEqual(Date.now());
        };
      },
    },
    {
      id: "pause-resume",
      what: "Pause and resume a queue",
      shows: "corvo queue pause QUEUE; corvo queue resume QUEUE",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.cli("queue", "pause", queue);
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          await api.cli("queue", "resume", queue);
          expect((await api.take(queue)).job_id).toBe(id);
        };
      },
    },
    {
      id: "explain-job",
      what: "Why a job does not run: every cause, who holds what, until when, how many go first, an estimate",
      shows: "corvo explain JOB; GET /api/v1/jobs/{job_id}/explain",
      async story(api, queue) {
        await api.cli("limit", "set", "--queue", queue, "--key", "k", "--concurrency", "1");
        const holder = await api.add(queue, { limit_key: "k" });
        const id = await api.add(queue, { limit_key: "k" });
        await api.take(queue);
        await api.json("POST", `/api/v1/limits/queues/${queue}/pause`, { for: "1h" });
        return async () => {
          const found = await api.json("GET", `/api/v1/jobs/${id}/explain`);
          expect(found).toMatchObject({
            state: "pending",
            causes: [{ code: "limit_paused" }, { code: "limit_full", held_by: [holder] }],
            starts: { basis: "unknown" },
          });
          expect(await api.cli("explain", id)).toContain(`held by active jobs (${holder})`);
        };
      },
    },
    {
      id: "explain-queue",
      what: "Why a queue is silent, or that it is not",
      shows: "corvo explain QUEUE; GET /api/v1/queues/{name}/explain",
      async story(api, queue) {
        await api.add(queue, { delay: "1h" });
        return async () => {
          const scheduled = await api.json("GET", `/api/v1/queues/${queue}/explain`);
          const { scheduled_at } = await api.job(await firstOf(api, queue));
          expect(scheduled).toMatchObject({
            causes: [{ code: "jobs_waiting", jobs: 1, until: scheduled_at }],
          });
          const id = await api.add(queue);
          expect(await api.cli("explain", queue)).toContain(`Next is ${id}.`);
          await api.cli("queue", "pause", queue);
          expect(await api.cli("explain", queue)).toContain("is paused: no job of it");
        };
      },
    },
    {
      id: "clear-delete",
      what: "Clear and delete a queue",
      shows: "corvo queue clear QUEUE; corvo queue delete QUEUE",
      async story(api, queue) {
        await api.add(queue);
        await api.add(queue, { delay: "1h" });
        await api.cli("queue", "clear", queue, "--yes");
        expect(await api.queue(queue)).toMatchObject({ pending: 0, scheduled: 0 });
        await api.cli("queue", "delete", queue, "--yes");
        return async () => {
          await api.refused("NOT_FOUND", "GET", `/api/v1/queues/${queue}`);
        };
      },
    },
    {
      id: "move",
      what: "Move a job to another queue",
      shows: "corvo jobs move ID QUEUE",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.json("POST", `/api/v1/jobs/${id}/move`, { queue: `${queue}.other` });
        return async () => expect((await api.take(`${queue}.other`)).job_id).toBe(id);
      },
    },
    {
      id: "hold-approve-reject",
      what: "Hold a job until somebody approves or rejects it",
      shows: "corvo jobs hold ID; corvo jobs approve ID; corvo jobs reject ID",
      async story(api, queue) {
        const ids = [await api.add(queue), await api.add(queue)];
        for (const id of ids) await api.json("POST", `/api/v1/jobs/${id}/hold`, { reason: "look" });
        return async () => {
          expect(await api.claim(queue)).toBeUndefined();
          await api.json("POST", `/api/v1/jobs/${ids[0]}/approve`);
          await api.json("POST", `/api/v1/jobs/${ids[1]}/reject`, { reason: "no" });
          expect((await api.take(queue)).job_id).toBe(String(ids[0]));
          expect(await api.job(String(ids[1]))).toMatchObject({ state: "dead" });
        };
      },
    },
    {
      id: "bulk",
      what: "One action on many jobs, by ids or by filter, counted first if asked",
      shows: "POST /api/v1/jobs/bulk {filter, action, dry_run}",
      async story(api, queue) {
        const jobs = Array.from({ length: 30 }, () => ({ queue }));
        await api.json("POST", "/api/v1/enqueue/batch", { jobs });
        const bulk = { filter: { queue, state: ["pending"] }, action: "cancel" };
        expect(
          await api.json("POST", "/api/v1/jobs/bulk", { ...bulk, dry_run: true }),
        ).toMatchObject({ matched: 30, affected: 0 });
        expect(await api.json("POST", "/api/v1/jobs/bulk", bulk)).toMatchObject({ affected: 30 });
        return async () => expect(await api.queue(queue)).toMatchObject({ cancelled: 30 });
      },
    },
    {
      id: "bulk-background",
      what: "Actions on very many jobs go on in the background, across restarts and changes of the leader; they are listed and can be stopped",
      shows:
        "corvo jobs cancel --queue QUEUE --background; corvo bulk list; corvo bulk show ID --wait",
      async story(api, queue) {
        const jobs = Array.from({ length: 2000 }, () => ({ queue }));
        await api.json("POST", "/api/v1/enqueue/batch", { jobs });
        const words = ["jobs", "cancel", "--queue", queue, "--background", "--yes", "--quiet"];
        const id = (await api.cli(...words)).trim();
        return async () => {
          const ended = JSON.parse(await api.cli("bulk", "show", id, "--wait", "--json"));
          expect(ended).toMatchObject({ status: "completed", affected: 2000, processed: 2000 });
          expect(await api.queue(queue)).toMatchObject({ pending: 0, cancelled: 2000 });
          expect(await api.cli("bulk", "list", "--quiet")).toContain(id);
          const again = { status: 409, body: { code: "CONFLICT" } };
          expect(await api.call("POST", `/api/v1/bulk/${id}/cancel`)).toMatchObject(again);
        };
      },
    },
    {
      id: "backup",
      what: "A backup of everything, made by any node while all go on, and restored as a new cluster",
      shows: "corvo backup FILE; corvo backup verify FILE; corvo restore FILE --data-dir DIR",
      async story(api, queue) {
        await api.add(queue, { payload: { kept: true } });
        const file = join(api.folder(), `${queue}.backup`);
        await api.cli("backup", file, "--force");
        return async () => {
          expect(JSON.parse(await api.cli("backup", "verify", file, "--json"))).toMatchObject({
            sha256: expect.any(String),
          });
          const dir = join(api.folder(), `${queue}-restored`);
          const restored = JSON.parse(await api.cli("restore", file, "--data-dir", dir, "--json"));
          expect(restored.cluster_id).not.toBe(restored.from);
          expect(restored.jobs).toBeGreaterThan(0);
        };
      },
    },
    {
      id: "backup-queue",
      what: "A backup of single queues, added to a running server: jobs keep ids, states and results",
      shows: "corvo backup FILE --queue QUEUE; corvo restore FILE",
      async story(api, queue) {
        const id = await api.add(queue, { payload: { n: 1 } });
        const file = join(api.folder(), `${queue}.backup`);
        await api.cli("backup", file, "--queue", queue, "--force");
        return async () => {
          await api.call("DELETE", `/api/v1/jobs/${id}`);
          await api.cli("restore", file, "--quiet");
          expect(await api.job(id)).toMatchObject({ state: "pending", payload: { n: 1 } });
        };
      },
    },
    {
      id: "clean-up",
      what: "Delete old jobs by filter, besides what retention removes by itself",
      shows: "POST /api/v1/jobs/bulk {filter: {state, completed_before}, action: delete}",
      async story(api, queue) {
        await api.add(queue);
        await api.ack(await api.take(queue));
        await Bun.sleep(5);
        const completed_before = new Date().toISOString();
        const filter = { queue, state: ["completed"], completed_before };
        const bulk = { filter, action: "delete" };
        expect(await api.json("POST", "/api/v1/jobs/bulk", bulk)).toMatchObject({ affected: 1 });
        return async () => expect(await api.queue(queue)).toMatchObject({ enqueued: 0 });
      },
    },
    {
      id: "metrics",
      what: "Metrics for Prometheus: jobs, queues, events, workers, consensus, calls with durations",
      shows: "GET /metrics",
      async story(api, queue) {
        await api.add(queue);
        return async () => {
          const { text } = await api.call("GET", "/metrics");
          expect(text).toContain(`corvo_queue_jobs{queue="${queue}",state="pending"} 1`);
          expect(text).toContain("# TYPE corvo_http_request_duration_seconds histogram");
        };
      },
    },
  ],
  notOffered: [
    {
      what: "Queue policies in numbered versions",
      because:
        "a queue has the defaults and limits that were set last; `corvo queue defaults` and `corvo limit show` print them",
    },
    {
      what: "Rate limits per client of the API",
      because:
        "clients have no identity before there are keys; overload is answered with 429 for all",
    },
    {
      what: "Moving queues between shards",
      because: "where a queue lives follows from its name, and the number of shards is fixed",
    },
  ],
};
