/** Clients of other systems, unchanged. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Chapter } from "./feature.ts";

export const foreign: Chapter = {
  title: "Clients of other systems",
  features: [
    {
      id: "rivetq",
      what: "RivetQ's HTTP calls: enqueue, lease, ack, nack, stats, list, rate limit",
      shows: "POST /v1/queues/{queue}/enqueue; POST /v1/queues/{queue}/lease; POST /v1/ack",
      async story(api, queue) {
        await api.json("POST", `/v1/queues/${queue}/enqueue`, { payload: { n: 1 }, priority: 7 });
        const leased = await api.json("POST", `/v1/queues/${queue}/lease`, {
          visibility_ms: 60_000,
        });
        const [job] = leased["jobs"] as { id: string; lease_id: string; priority: number }[];
        expect(job?.priority).toBe(7);
        return async () => {
          const stats = await api.json("GET", `/v1/queues/${queue}/stats`);
          expect(stats).toEqual({ ready: 0, inflight: 1, dlq: 0 });
          const ack = { job_id: job?.id, lease_id: job?.lease_id };
          expect(await api.json("POST", "/v1/ack", ack)).toEqual({ success: true });
        };
      },
    },
    {
      id: "codeq",
      what: "codeQ's HTTP calls: create, claim, heartbeat, abandon, nack, result, admin",
      shows: "POST /v1/codeq/tasks; POST /v1/codeq/tasks/claim; POST /v1/codeq/tasks/{id}/result",
      async story(api, queue) {
        const task = await api.json("POST", "/v1/codeq/tasks", {
          command: queue,
          payload: { n: 1 },
        });
        const id = String(task["id"]);
        const claim = { commands: [queue], leaseSeconds: 60, waitSeconds: 5 };
        expect(await api.json("POST", "/v1/codeq/tasks/claim", claim)).toMatchObject({ id });
        return async () => {
          await api.json("POST", `/v1/codeq/tasks/${id}/heartbeat`, { extendSeconds: 120 });
          const result = { status: "COMPLETED", result: { ok: true } };
          // The call may have been made before the answer was lost with the leader.
          await until("the task has a result", async () => {
            await api.call("POST", `/v1/codeq/tasks/${id}/result`, result);
            const answer = await api.call("GET", `/v1/codeq/tasks/${id}/result?waitSeconds=1`);
            return answer.status === 200 ? true : undefined;
          });
          const counts = await api.json("GET", `/v1/codeq/admin/queues/${queue}`);
          expect(counts).toMatchObject({ inProgress: 0, ready: 0, dlq: 0 });
        };
      },
    },
  ],
  notOffered: [
    {
      what: "RivetQ's and codeQ's gRPC services",
      because: "their HTTP calls are served; streaming workers use ours",
    },
  ],
};
