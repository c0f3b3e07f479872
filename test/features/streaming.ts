/** The same over one connection: frames of many operations, jobs pushed as they become ready. */
import { expect } from "bun:test";
import { type StreamClient, streamClient } from "../support/socket.ts";
import type { Chapter } from "./feature.ts";

interface Pushed {
  readonly job_id: string;
  readonly lease_token: string;
  readonly payload: unknown;
}

async function withStream<T>(url: string, use: (client: StreamClient) => Promise<T>): Promise<T> {
  const client = await streamClient(url);
  try {
    return await use(client);
  } finally {
    client.socket.close();
  }
}

/** Messages until the condition holds for one. */
async function until(
  client: StreamClient,
  holds: (message: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  for (;;) {
    const message = await client.next();
    if (holds(message)) return message;
  }
}

export const streaming: Chapter = {
  title: "Streaming",
  features: [
    {
      id: "stream-enqueue",
      what: "Enqueue over a stream, frames sent without waiting for the answers",
      shows: "ws /api/v1/stream {enqueue}",
      async story(api, queue) {
        await withStream(api.url, async (client) => {
          for (let id = 1; id <= 20; id++) {
            client.socket.send(JSON.stringify({ id, enqueue: [{ queue, payload: id }] }));
          }
          const answered = new Set<unknown>();
          await until(client, ({ id }) => answered.add(id).size === 20);
        });
        return async () => expect(await api.queue(queue)).toMatchObject({ pending: 20 });
      },
    },
    {
      id: "stream-push",
      what: "A worker on a stream is sent jobs as they become ready, and acks many in a frame",
      shows: "ws /api/v1/stream {claim, ack}",
      async story(api, queue) {
        const ids = await withStream(api.url, async (client) => {
          const claim = { queues: [queue], credits: 10, worker_id: "w" };
          client.socket.send(JSON.stringify({ id: 1, claim }));
          await until(client, ({ id }) => id === 1);
          const jobs = [{ queue }, { queue }, { queue }];
          await api.json("POST", "/api/v1/enqueue/batch", { jobs });
          const got: Pushed[] = [];
          await until(client, (message) => {
            got.push(...((message["jobs"] ?? []) as Pushed[]));
            return got.length === 3;
          });
          const ack = got.map(({ job_id, lease_token }) => ({ job_id, lease_token }));
          client.socket.send(JSON.stringify({ id: 2, ack }));
          await until(client, ({ id }) => id === 2);
          return got.map(({ job_id }) => job_id);
        });
        return async () => {
          for (const id of ids) expect(await api.job(id)).toMatchObject({ state: "completed" });
        };
      },
    },
    {
      id: "stream-credits",
      what: "Flow control: never more jobs in hand than the worker gave credits for",
      shows: "ws /api/v1/stream {claim: {credits}}",
      async story(api, queue) {
        const jobs = Array.from({ length: 10 }, () => ({ queue }));
        await api.json("POST", "/api/v1/enqueue/batch", { jobs });
        await withStream(api.url, async (client) => {
          const claim = { queues: [queue], credits: 4, worker_id: "w", lease_ms: 60_000 };
          client.socket.send(JSON.stringify({ id: 1, claim }));
          let got = 0;
          await until(client, (message) => {
            got += ((message["jobs"] ?? []) as unknown[]).length;
            return got >= 4;
          });
          client.socket.send(JSON.stringify({ id: 2 }));
          await until(client, ({ id }) => id === 2);
          expect(await api.queue(queue)).toMatchObject({ active: 4, pending: 6 });
        });
        return async () => {};
      },
    },
  ],
  notOffered: [
    {
      what: "Workers over gRPC",
      because: "the stream and plain HTTP carry the same operations; RPC comes on its own",
    },
  ],
};
