/** Jobs that belong together. */
import { expect } from "bun:test";
import type { Chapter } from "./feature.ts";

export const flow: Chapter = {
  title: "Flow between jobs",
  features: [
    {
      id: "depends-on",
      what: "A job waits until others are completed",
      shows: "corvo enqueue QUEUE --depends-on ID",
      async story(api, queue) {
        const first = await api.add(queue);
        const id = await api.cli("enqueue", `${queue}-later`, "{}", "--depends-on", first);
        expect(await api.job(id.trim())).toMatchObject({ blocked: true, waits_for: [first] });
        expect(await api.claim(`${queue}-later`)).toBeUndefined();
        return async () => {
          await api.ack(await api.take(queue));
          expect((await api.take(`${queue}-later`)).job_id).toBe(id.trim());
        };
      },
    },
    {
      id: "depends-in-one-call",
      what: "Jobs of one call depend on each other by their place in it; half a graph is never added",
      shows: 'POST /api/v1/enqueue/batch {jobs: [{…}, {depends_on: ["$0"]}]}',
      async story(api, queue) {
        const jobs = [{ queue }, { queue: `${queue}-later`, depends_on: ["$0"] }];
        await api.json("POST", "/api/v1/enqueue/batch", { jobs, idempotency_key: queue });
        const broken = [{ queue }, { queue, depends_on: ["job_x"] }];
        await api.refused("NOT_FOUND", "POST", "/api/v1/enqueue/batch", { jobs: broken });
        return async () => {
          expect(await api.queue(queue)).toMatchObject({ pending: 1 });
          await api.ack(await api.take(queue));
          await api.take(`${queue}-later`);
        };
      },
    },
    {
      id: "dependency-failure",
      what: "When a dependency fails: fail with it, wait for its retry, or run all the same",
      shows: "corvo enqueue QUEUE --depends-on ID --on-dependency-failure wait",
      async story(api, queue) {
        const first = await api.add(queue);
        const later = (policy: string) =>
          api.add(`${queue}-${policy}`, { depends_on: [first], on_dependency_failure: policy });
        const [failing, waiting] = [await later("fail"), await later("wait")];
        await later("ignore");
        await api.json("POST", `/api/v1/jobs/${first}/cancel`);
        return async () => {
          const reason = `dependency ${first} was cancelled`;
          expect((await api.reaches(failing, "dead"))["dead_reason"]).toBe(reason);
          await api.take(`${queue}-ignore`);
          expect((await api.job(waiting))["blocked"]).toBe(true);
          await api.json("POST", `/api/v1/jobs/${first}/retry`);
          await api.ack(await api.take(queue));
          await api.take(`${queue}-wait`);
        };
      },
    },
  ],
  notOffered: [],
};
