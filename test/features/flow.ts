/** Jobs that belong together. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
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
          const chain = await until("the chain is over", async () => {
            const shown = await api.json("GET", `/api/v1/chains/${chain_id}`);
            return shown["state"] === "running" ? undefined : shown;
          });
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
    {
      id: "batch",
      what: "Jobs that are counted together; others run once when all have ended, by success or failure",
      shows: "POST /api/v1/enqueue/batch {jobs: […], batch: {on_success, on_failure, on_complete}}",
      async story(api, queue) {
        const [good, bad, end] = [`${queue}-good`, `${queue}-bad`, `${queue}-end`];
        const batch = {
          on_success: { queue: good },
          on_failure: { queue: bad, payload: { own: 1 } },
          on_complete: { queue: end },
        };
        const jobs = [{ queue }, { queue }, { queue }];
        const body = { jobs, batch, idempotency_key: queue };
        const { batch_id, job_ids } = await api.json("POST", "/api/v1/enqueue/batch", body);
        await api.ack(await api.take(queue));
        await api.fail(await api.take(queue), { retryable: false });
        return async () => {
          await api.json("DELETE", `/api/v1/jobs/${(job_ids as string[])[2]}`);
          const counts = { total: 3, completed: 1, dead: 1, cancelled: 1 };
          expect((await api.take(bad)).payload).toEqual({ batch_id, ...counts, own: 1 });
          expect((await api.take(end)).payload).toEqual({ batch_id, ...counts });
          expect(await api.claim(good)).toBeUndefined();
          const shown = await api.json("GET", `/api/v1/batches/${batch_id}`);
          expect(shown).toMatchObject({ state: "failed", pending: 0, ...counts });
        };
      },
    },
    {
      id: "batch-retry",
      what: "A job of a batch that is retried by hand is waited for; nothing that followed the end runs twice",
      shows: "corvo batch status ID",
      async story(api, queue) {
        const end = `${queue}-end`;
        const jobs = [{ queue, max_retries: 1 }, { queue }];
        const body = { jobs, batch: { callback_queue: end }, idempotency_key: queue };
        const { batch_id, job_ids } = await api.json("POST", "/api/v1/enqueue/batch", body);
        const [first = ""] = job_ids as string[];
        await api.fail(await api.take(queue));
        await api.json("POST", `/api/v1/jobs/${first}/retry`);
        await api.ack(await api.take(queue));
        expect(await api.claim(end)).toBeUndefined();
        return async () => {
          await api.fail(await api.take(queue));
          await api.take(end);
          await api.json("POST", `/api/v1/jobs/${first}/retry`);
          await api.ack(await api.take(queue));
          expect(await api.claim(end)).toBeUndefined();
          expect(await api.cli("batch", "status", String(batch_id))).toMatch(/completed +2/);
        };
      },
    },
    {
      id: "batch-open",
      what: "A batch that jobs join one by one until it is sealed, by hand or by its time",
      shows: "corvo batch create QUEUE; corvo batch add ID QUEUE PAYLOAD; corvo batch seal ID",
      async story(api, queue) {
        const good = JSON.stringify({ queue: `${queue}-good` });
        const create = (...flags: string[]) =>
          api.cli("batch", "create", queue, "--on-success", good, ...flags);
        const id = (await create()).trim();
        await api.cli("batch", "add", id, queue, "{}");
        await api.ack(await api.take(queue));
        const short = (await create("--seal-after", "1s")).trim();
        return async () => {
          expect((await api.json("GET", `/api/v1/batches/${id}`))["state"]).toBe("open");
          await api.cli("enqueue", queue, "{}", "--batch-id", id);
          await api.cli("batch", "seal", id);
          await api.refused("BATCH_ERROR", "POST", "/api/v1/enqueue", { queue, batch_id: id });
          expect((await api.take(`${queue}-good`)).payload).toMatchObject({ batch_id: short });
          await api.ack(await api.take(queue));
          expect((await api.take(`${queue}-good`)).payload).toMatchObject({ batch_id: id });
          const found = await api.json("POST", "/api/v1/jobs/search", { batch_id: id });
          expect(found["jobs"]).toHaveLength(2);
        };
      },
    },
    {
      id: "batch-cancel",
      what: "A batch is cancelled with all its unfinished jobs",
      shows: "corvo batch cancel ID --reason TEXT; corvo batch list --state cancelled",
      async story(api, queue) {
        const end = `${queue}-end`;
        const jobs = [{ queue }, { queue, delay: "1h" }];
        const batch = { on_failure: { queue: end }, on_complete: { queue: end } };
        const body = { jobs, batch, idempotency_key: queue };
        const { batch_id, job_ids } = await api.json("POST", "/api/v1/enqueue/batch", body);
        const id = String(batch_id);
        const running = await api.take(queue);
        await api.cli("batch", "cancel", id, "--reason", "wrong input");
        return async () => {
          await api.take(end);
          expect(await api.claim(end)).toBeUndefined();
          for (const job of job_ids as string[]) {
            expect(await api.job(job)).toMatchObject({
              state: "cancelled",
              cancel_reason: `cancelled with its batch ${id}`,
            });
          }
          const token = { lease_token: running.lease_token };
          await api.refused("LEASE_LOST", "POST", `/api/v1/ack/${running.job_id}`, token);
          expect(await api.cli("batch", "list", "--state", "cancelled")).toContain(id);
        };
      },
    },
    {
      id: "children",
      what: "Jobs that belong to a parent, which must exist, and a list of them",
      shows: "corvo enqueue QUEUE --parent-id ID; GET /api/v1/jobs/{id}/children",
      async story(api, queue) {
        const parent = await api.add(queue);
        const child = await api.add(queue, { parent_id: parent });
        await api.refused("NOT_FOUND", "POST", "/api/v1/enqueue", { queue, parent_id: "job_x" });
        return async () => {
          const page = await api.json("GET", `/api/v1/jobs/${parent}/children`);
          expect(page).toMatchObject({ jobs: [{ id: child, parent_id: parent }], total: 1 });
        };
      },
    },
    {
      id: "cascade-cancel",
      what: "A cancelled parent takes along the children that asked for it, and theirs",
      shows: "corvo enqueue QUEUE --parent-id ID --cascade-cancel",
      async story(api, queue) {
        const parent = await api.add(queue);
        const tied = { cascade_cancel: true };
        const child = await api.add(queue, { parent_id: parent, ...tied });
        const grandchild = await api.add(queue, { parent_id: child, ...tied });
        const free = await api.add(queue, { parent_id: parent });
        await api.json("POST", `/api/v1/jobs/${parent}/cancel`);
        return async () => {
          await api.reaches(child, "cancelled");
          await api.reaches(grandchild, "cancelled");
          expect((await api.job(free)).state).toBe("pending");
          const late = { queue, parent_id: parent, ...tied };
          await api.refused("PARENT_ERROR", "POST", "/api/v1/enqueue", late);
        };
      },
    },
    {
      id: "job-tree",
      what: "A job with all that belongs to it, as a tree: dependencies, chain, batch, parents, children",
      shows: "corvo jobs tree ID",
      async story(api, queue) {
        const parent = await api.add(queue);
        const chain = { steps: [{ queue }, { queue: `${queue}-later` }] };
        const child = await api.add(queue, { parent_id: parent, chain });
        const last = await api.add(queue, { parent_id: child, depends_on: [parent] });
        return async () => {
          const lines = (await api.cli("jobs", "tree", child)).split("\n");
          expect(lines[0]).toBe(`${parent}  ${queue}  pending`);
          expect(lines[1]).toBe(`└─ ${child}  ${queue}  pending`);
          expect(lines[2]).toStartWith("   ├─ chain chn_");
          expect(lines[4]).toBe(`   │  └─ 1  ${queue}-later  waiting`);
          expect(lines[5]).toBe(`   └─ ${last}  ${queue}  blocked`);
          expect(lines[6]).toBe(`      └─ after ${parent}  ${queue}  pending`);
        };
      },
    },
  ],
  notOffered: [],
};
