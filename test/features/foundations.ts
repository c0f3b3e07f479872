/** What all the rest stands on: interfaces, durability, the cluster, and what the server tells of itself. */
import { expect } from "bun:test";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

interface NodeRow {
  readonly http_url: string;
  readonly voter: boolean;
  readonly state: string;
}

async function nodesOf(api: Api): Promise<NodeRow[]> {
  const status = await api.json("GET", "/api/v1/cluster/status");
  return status["nodes"] as NodeRow[];
}

export const foundations: Chapter = {
  title: "Interfaces, durability, cluster, observation",
  features: [
    {
      id: "openapi",
      what: "Every operation is described by an OpenAPI document that the server gives out",
      shows: "GET /openapi.json",
      async story(api) {
        return async () => {
          const document = await api.json("GET", "/openapi.json");
          expect(document["openapi"]).toBe("3.1.0");
          expect(Object.keys(document["paths"] as object).length).toBeGreaterThan(80);
        };
      },
    },
    {
      id: "cors",
      what: "Pages of other origins may call the API",
      shows: "OPTIONS /api/v1/enqueue",
      async story(api) {
        return async () => {
          await api.json("GET", "/healthz");
          const reply = await fetch(`${api.url}/api/v1/enqueue`, { method: "OPTIONS" });
          expect(reply.headers.get("access-control-allow-origin")).toBe("*");
        };
      },
    },
    {
      id: "cli-json",
      what: "Every command answers programs with --json, and with exit codes that mean something",
      shows: "corvo queue get QUEUE --json; corvo version --json",
      async story(api, queue) {
        await api.add(queue);
        return async () => {
          const shown = await api.cli("queue", "get", queue, "--json");
          expect(JSON.parse(shown)).toMatchObject({ name: queue, pending: 1 });
          await expect(api.cli("jobs", "get", "job_1a201d6d718000000000000001")).rejects.toThrow(
            ": 3",
          );
        };
      },
    },
    {
      id: "acknowledged-is-durable",
      what: "What was acknowledged is on disk, on a majority of a cluster, before the answer",
      shows: "POST /api/v1/enqueue, then kill -9",
      async story(api, queue) {
        const ids = await Promise.all([1, 2, 3].map((payload) => api.add(queue, { payload })));
        return async () => {
          for (const id of ids) expect(await api.job(id)).toMatchObject({ id, state: "pending" });
        };
      },
    },
    {
      id: "snapshot",
      what: "The state is copied beside the running engine, and the log is let go of behind it",
      shows: "corvo cluster snapshot",
      async story(api, queue) {
        const id = await api.add(queue);
        await api.cli("cluster", "snapshot");
        return async () => expect(await api.job(id)).toMatchObject({ state: "pending" });
      },
    },
    {
      id: "any-node",
      what: "Any node takes any call: writes and reads go to the leader by themselves",
      shows: "corvo enqueue QUEUE --server FOLLOWER",
      async story(api, queue) {
        for (const { http_url } of await nodesOf(api)) {
          const body = JSON.stringify({ queue, payload: http_url });
          const reply = await fetch(`${http_url}/api/v1/enqueue`, { method: "POST", body });
          expect(reply.status).toBe(201);
        }
        const count = (await nodesOf(api)).length;
        return async () => expect(await api.queue(queue)).toMatchObject({ pending: count });
      },
    },
    {
      id: "stale-read",
      what: "A read may be answered by the asked node from what it has",
      shows: "GET /api/v1/jobs/{job_id}?consistency=stale",
      async story(api, queue) {
        const id = await api.add(queue);
        return async () => {
          expect(await api.json("GET", `/api/v1/jobs/${id}?consistency=stale`)).toMatchObject({
            id,
          });
        };
      },
    },
    {
      id: "cluster-status",
      what: "The nodes with role, health and lag, and what to do in one sentence",
      shows: "corvo cluster status; GET /api/v1/cluster/status",
      async story(api) {
        return async () => {
          expect((await nodesOf(api)).some(({ voter }) => voter)).toBe(true);
          expect(await api.cli("cluster", "status")).toContain("leader");
        };
      },
    },
    {
      id: "health",
      what: "A node says whether it accepts work, and whether clients should be sent to it",
      shows: "GET /healthz; GET /readyz",
      async story(api) {
        return async () => {
          expect(await api.json("GET", "/healthz")).toEqual({ status: "ok" });
          expect(await api.json("GET", "/readyz")).toEqual({ status: "ok" });
        };
      },
    },
    {
      id: "server-status",
      what: "What a server holds and does, in one look",
      shows: "corvo status; GET /api/v1/status",
      async story(api, queue) {
        await api.add(queue);
        return async () => {
          expect(await api.cli("status")).toContain("jobs");
          const status = await api.json("GET", "/api/v1/status");
          expect(status["jobs"]).toMatchObject({ pending: expect.any(Number) });
        };
      },
    },
  ],
  notOffered: [
    {
      what: "Redis, PostgreSQL or memory as the store",
      because:
        "log and state are the server's own files, and a test server needs a folder and no more",
    },
    {
      what: "A switch that turns fsync off",
      because: "acknowledged means on disk; one fsync per batch makes it cheap",
    },
    {
      what: "Snapshots or logs sent to S3",
      because: "`corvo backup -` writes to standard output, which any tool can send on",
    },
    {
      what: "Profiles and a login of the command line",
      because: "CORVO_SERVER and CORVO_API_KEY say where and as whom",
    },
    {
      what: "A profile of the running process over HTTP",
      because:
        "`bun --cpu-prof` and metrics serve for that; a port that gives one out would be a risk",
    },
  ],
};
