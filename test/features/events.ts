/** What happens to jobs, as others hear of it. */
import { expect } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

interface Told {
  readonly seq: number;
  readonly type: string;
  readonly data?: Record<string, unknown>;
}

/** Types of the events of a job, from the node that is asked, once the last of them is there. */
async function toldOf(api: Api, id: string, last: string): Promise<string[]> {
  return until(`${id} is told to be ${last}`, async () => {
    const { events } = await api.json("GET", `/api/v1/jobs/${id}/events`);
    const types = (events as Told[]).map(({ type }) => type);
    return types.at(-1) === last && types;
  });
}

/** Reads the stream until a block of it holds the text. */
async function streamUntil(url: string, wanted: string): Promise<string> {
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes(wanted)) return text;
    }
  } finally {
    stop.abort();
  }
  throw new Error(`the stream ended: ${text}`);
}

export const events: Chapter = {
  title: "Events",
  features: [
    {
      id: "event-log",
      what: "The story of a job: each thing that happened to it, with time, attempt and cause",
      shows: "corvo jobs log ID",
      async story(api, queue) {
        const id = await api.add(queue, { retry_base_delay: "10ms" });
        await api.fail(await api.take(queue));
        await api.ack(await api.take(queue));
        const story = ["enqueued", "started", "failed", "ready", "started", "completed"];
        expect(await toldOf(api, id, "completed")).toEqual(story);
        return async () => {
          expect(await toldOf(api, id, "completed")).toEqual(story);
          expect(await api.cli("jobs", "log", id)).toContain("it broke");
        };
      },
    },
    {
      id: "event-stream",
      what: "All events as they happen, over server-sent events, by queue, job and type",
      shows: "GET /api/v1/events?queues=",
      async story(api, queue) {
        const id = await api.add(queue);
        const from = `/api/v1/events?last_event_id=0&queues=${encodeURIComponent(queue)}`;
        const before = await streamUntil(`${api.url}${from}`, "event: enqueued");
        const last = /^id: (.*)$/m.exec(before)?.[1] ?? "";
        return async () => {
          await api.ack(await api.take(queue));
          const rest = `${from.replace("last_event_id=0", `last_event_id=${last}`)}`;
          const text = await streamUntil(`${api.url}${rest}`, "event: completed");
          expect([...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type)).toEqual([
            "started",
            "completed",
          ]);
          expect(text).toContain(id);
        };
      },
    },
    {
      id: "event-socket",
      what: "The same over a WebSocket, each event a message",
      shows: "ws /api/v1/events",
      async story(api, queue) {
        const path = `/api/v1/events?last_event_id=0&queues=${encodeURIComponent(queue)}`;
        const first = async (wanted: string) => {
          const socket = new WebSocket(api.url.replace("http", "ws") + path);
          const { promise, resolve, reject } = Promise.withResolvers<Told>();
          socket.addEventListener("message", ({ data }) => {
            const told = JSON.parse(String(data)) as Told;
            if (told.type === wanted) resolve(told);
          });
          socket.addEventListener("close", () => reject(new Error("the socket was closed")));
          const told = await promise;
          socket.close();
          return told;
        };
        const id = await api.add(queue);
        expect(await first("enqueued")).toMatchObject({ job_id: id } as object);
        return async () => {
          await api.json("POST", `/api/v1/jobs/${id}/cancel`);
          expect(await first("cancelled")).toMatchObject({ data: { from: "pending" } });
        };
      },
    },
    {
      id: "event-pages",
      what: "Events a page at a time, with a cursor that holds on every node",
      shows: "GET /api/v1/cluster/events?after_seq=",
      async story(api, queue) {
        for (let i = 0; i < 3; i++) await api.add(queue);
        const page = async (after: string, count: number) =>
          until("the page is there", async () => {
            const path = `/api/v1/cluster/events?after_seq=${after}&queues=${encodeURIComponent(queue)}`;
            const found = await api.json("GET", `${path}&limit=2`);
            return (found["events"] as Told[]).length === count && found;
          });
        const { cursor } = await page("0", 2);
        return async () => {
          expect((await page(String(cursor), 1))["events"]).toMatchObject([{ type: "enqueued" }]);
        };
      },
    },
    {
      id: "event-follow",
      what: "What happened lately on the command line, for people and as lines of JSON",
      shows: "corvo events --follow --queue QUEUE",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.json("POST", `/api/v1/jobs/${id}/hold`, { reason: "look first" });
        const shown = () =>
          until("the events are shown", async () => {
            const text = await api.cli("events", "--after", "0", "--job", id, "--json");
            const lines = text.split("\n").filter((line) => line !== "");
            return lines.length === 2 && lines.map((line) => JSON.parse(line) as Told);
          });
        expect(await shown()).toMatchObject([{ type: "enqueued" }, { type: "held" }]);
        return async () => {
          expect(await shown()).toMatchObject([{}, { data: { reason: "look first" } }]);
        };
      },
    },
    {
      id: "event-queues",
      what: "Pausing, draining, clearing and deleting of queues are events too",
      shows: "corvo events --type queue_paused,queue_resumed",
      async story(api, queue) {
        const name = encodeURIComponent(queue);
        await api.json("POST", `/api/v1/queues/${name}/pause`);
        await api.json("POST", `/api/v1/queues/${name}/resume`);
        const told = () =>
          until("the pause is told", async () => {
            const path = `/api/v1/cluster/events?queues=${name}`;
            const { events: found } = await api.json("GET", path);
            const types = (found as Told[]).map(({ type }) => type);
            return types.at(-1) === "queue_resumed" && types;
          });
        expect(await told()).toContain("queue_paused");
        return async () => expect(await told()).toContain("queue_paused");
      },
    },
  ],
  notOffered: [],
};
