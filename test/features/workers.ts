/** Workers as operators see them, and which worker may have which job. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly in_hand: number;
}

async function listed(api: Api, id: string): Promise<Listed | undefined> {
  const { text } = await api.call("GET", "/api/v1/workers");
  return (JSON.parse(text) as Listed[]).find((worker) => worker.id === id);
}

export const workers: Chapter = {
  title: "Workers",
  features: [
    {
      id: "labels",
      what: "A job may require labels, and only a worker that has them is given it",
      shows:
        "corvo enqueue QUEUE --require gpu=a100; corvo worker QUEUE --label gpu=a100 -- COMMAND",
      async story(api, queue) {
        await api.cli("enqueue", queue, "1", "--require", "gpu=a100", "--require", "zone=eu");
        await api.add(queue, { payload: 2 });
        return async () => {
          expect((await api.take(queue, { labels: { gpu: "a100" } })).payload).toBe(2);
          expect(
            await api.claim(queue, 0, { labels: { gpu: "h100", zone: "eu" } }),
          ).toBeUndefined();
          const labels = { gpu: "a100", zone: "eu", disk: "big" };
          expect((await api.take(queue, { labels })).payload).toBe(1);
        };
      },
    },
    {
      id: "workers-list",
      what: "Who takes jobs, with host, program, queues, labels and jobs in hand",
      shows: "corvo workers list; GET /api/v1/workers",
      async story(api, queue) {
        const worker_id = `${queue}-worker`;
        await api.add(queue);
        const job = await api.take(queue, { worker_id, hostname: "host1" });
        return async () => {
          // A new leader knows it by the job that it has in hand.
          expect(await listed(api, worker_id)).toMatchObject({ in_hand: 1, hostname: "host1" });
          await api.ack(job);
          await api.claim(queue, 0, { worker_id, client: "test 1", labels: { zone: "eu" } });
          expect(await listed(api, worker_id)).toMatchObject({
            state: "idle",
            in_hand: 0,
            queues: [queue],
            client: "test 1",
            labels: { zone: "eu" },
          });
          expect(await api.cli("workers", "list", "--queue", queue)).toContain(worker_id);
        };
      },
    },
    {
      id: "workers-quiet",
      what: "A worker is asked to take no more jobs, or to end, and may go on again",
      shows: "corvo workers quiet WORKER; corvo workers stop WORKER; corvo workers resume WORKER",
      async story(api, queue) {
        const worker_id = `${queue}-worker`;
        await api.cli("workers", "quiet", worker_id);
        await api.add(queue);
        return async () => {
          expect(await api.claim(queue, 300, { worker_id })).toBeUndefined();
          expect(await listed(api, worker_id)).toMatchObject({ state: "quiet" });
          await api.cli("workers", "resume", worker_id);
          await api.take(queue, { worker_id });
          await api.cli("workers", "stop", worker_id);
          await until("the order is seen", async () =>
            (await listed(api, worker_id))?.state === "stopping" ? true : undefined,
          );
        };
      },
    },
  ],
  notOffered: [],
};
