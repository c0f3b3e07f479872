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
    {
      id: "chain",
      what: "Steps that run one after the other, each told the result of the one before",
      shows: "POST /api/v1/enqueue {chain: {steps: […]}}; GET /api/v1/chains/{chain_id}",
      async story(api, queue) {
        const later = `${queue}-later`;
        const steps = [{ queue }, { queue: later, payload: { own: 1 } }];
        const body = { queue, chain: { steps }, idempotency_key: queue };
        const { chain_id } = await api.json("POST", "/api/v1/enqueue", body);
        const first = await api.take(queue);
        await api.ack(first, { result: { pages: 3 } });
        return async () => {
          const next = await api.take(later);
          const told = { previous_job_id: first.job_id, previous_result: { pages: 3 }, own: 1 };
          expect(next.payload).toEqual(told);
          await api.ack(next);
          const chain = await api.json("GET", `/api/v1/chains/${chain_id}`);
          expect(chain).toMatchObject({ state: "completed", current_step: 1 });
        };
      },
    },
    {
      id: "chain-exit",
      what: "A worker ends a chain early by any kind of ack; a last job runs then",
      shows: 'POST /api/v1/ack/batch {acks: [{step_status: "exit"}]}',
      async story(api, queue) {
        const later = `${queue}-later`;
        const end = `${queue}-end`;
        const chain = { steps: [{ queue }, { queue: later }], on_exit: { queue: end } };
        const added = await api.json("POST", "/api/v1/enqueue", { queue, chain });
        const { job_id, lease_token } = await api.take(queue);
        const acks = [{ job_id, lease_token, step_status: "exit", exit_reason: "all done" }];
        await api.json("POST", "/api/v1/ack/batch", { acks });
        return async () => {
          await api.take(end);
          expect(await api.claim(later)).toBeUndefined();
          const shown = await api.json("GET", `/api/v1/chains/${added["chain_id"]}`);
          expect(shown).toMatchObject({ state: "exited", reason: "all done" });
        };
      },
    },
    {
      id: "chain-failure",
      what: "A chain's failure handler runs once, however a step died; a retry by hand takes the chain up again",
      shows: "POST /api/v1/enqueue {chain: {steps: […], on_failure: {queue}}}",
      async story(api, queue) {
        const [later, alert] = [`${queue}-later`, `${queue}-alert`];
        const chain = { steps: [{ queue }, { queue: later }], on_failure: { queue: alert } };
        const id = await api.add(queue, { max_retries: 1, chain });
        await api.fail(await api.take(queue));
        return async () => {
          const told = { failed_job_id: id, failed_step: 0, error: "it broke" };
          expect((await api.take(alert)).payload).toEqual(told);
          await api.json("POST", `/api/v1/jobs/${id}/retry`);
          await api.ack(await api.take(queue));
          await api.take(later);
        };
      },
    },
  ],
  notOffered: [],
};
