/** Bulk actions in the background over HTTP, on one shard and on three. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type LiveServer, liveServer } from "../support/live-server.ts";

interface View {
  readonly id: string;
  readonly status: string;
  readonly total: number;
  readonly processed: number;
  readonly affected: number;
}

describe.each([1, 3])("with %d shards", (shards) => {
  let server: LiveServer;
  beforeAll(async () => {
    server = await liveServer({ shards });
  });
  afterAll(() => server.stop());

  const fill = (count: number, tag: string) =>
    server.post<{ job_ids: string[] }>("/enqueue/batch", {
      jobs: Array.from({ length: count }, (_, i) => ({ queue: `${tag}-${i % 4}`, tags: { tag } })),
    });
  const begin = async (body: object) => {
    const answer = await server.call("POST", "/api/v1/jobs/bulk", { async: true, ...body });
    return answer as { status: number; body: Record<string, string> };
  };
  const events = async (id: string) => {
    const response = await fetch(`${server.url}/api/v1/bulk/${id}/progress`);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const text = await response.text();
    return text
      .split("\n\n")
      .filter((part) => part !== "" && !part.startsWith(":"))
      .map((part) => {
        const fields = part.split("\n").map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)] as const;
        });
        const { id: number, event, data = "" } = Object.fromEntries(fields);
        return { number, event, data: JSON.parse(data), text: data };
      });
  };

  test("[BK1] [BK7] the end of an action is told as soon as it is there, and to whoever asks later at once", async () => {
    await fill(1200, "end");
    const { status, body } = await begin({ filter: { tags: { tag: "end" } }, action: "cancel" });
    expect(status).toBe(202);
    const id = body["bulk_operation_id"] ?? "";
    expect(body).toMatchObject({ status: "queued", progress_url: `/api/v1/bulk/${id}/progress` });

    const seen = await events(id);
    const last = seen.at(-1);
    expect(last?.event).toBe("bulk.async.completed");
    expect(last?.data).toMatchObject({
      type: "bulk.async.completed",
      task_id: id,
      status: "completed",
      affected: 1200,
      processed: 1200,
      total: 1200,
      percent: 100,
    });
    expect(last?.text).toMatch(/"created_at_ns":\d{19}\}$/);
    expect((await events(id)).map(({ event }) => event)).toEqual(["bulk.async.completed"]);
    expect(await server.get<View>(`/bulk/${id}`)).toMatchObject({
      id,
      status: "completed",
      total: 1200,
      total_exact: true,
      processed: 1200,
      affected: 1200,
      skipped: 0,
    });
  });

  test("[BK4] sent again with its id an action begins nothing; another one with that id is refused", async () => {
    const { job_ids } = await fill(8, "again");
    const asked = { job_ids, action: "hold", bulk_operation_id: `again-${shards}` };
    expect(await begin(asked)).toMatchObject({ status: 202 });
    await events(`again-${shards}`);
    for (const job_id of job_ids) await server.post(`/jobs/${job_id}/approve`);

    expect(await begin(asked)).toMatchObject({ status: 202 });
    expect((await events(`again-${shards}`)).at(-1)?.data).toMatchObject({ affected: 8 });
    const page = await server.post<{ total: number }>("/jobs/search", {
      tags: { tag: "again" },
      state: ["held"],
    });
    expect(page.total).toBe(0);
    expect(await begin({ ...asked, action: "delete" })).toMatchObject({
      status: 409,
      body: { code: "CONFLICT" },
    });
  });

  test("[BK4] durations of an action that is sent again count from the first time, and its few last jobs are its own", async () => {
    await fill(8, "late");
    const id = `late-${shards}`;
    const filter = { q: "tag.tag:late created<2h" };
    const asked = { filter, action: "retry", bulk_operation_id: id };
    const first = await begin({ ...asked, action: "cancel" });
    expect(first).toMatchObject({ status: 202, body: { estimated_total: 8 } });
    await events(id);

    // In a later millisecond.
    for (const nowMs = Date.now(); Date.now() === nowMs; );
    for (const more of [{}, { async: false }]) {
      const again = await begin({ ...asked, action: "cancel", ...more });
      expect(again.body).toEqual(first.body);
    }
    const other = { q: "tag.tag:late created<3h attempt<5" };
    for (const more of [{ action: "retry" }, { action: "cancel", filter: other }]) {
      expect(await begin({ ...asked, ...more })).toMatchObject({ status: 409 });
    }
  });

  test("[BK3] an action is stopped, and is over after that", async () => {
    await fill(6000, "stop");
    const { body } = await begin({ filter: { tags: { tag: "stop" } }, action: "delete" });
    const id = body["bulk_operation_id"] ?? "";

    const stopped = await server.call("POST", `/api/v1/bulk/${id}/cancel`);
    if (stopped.status === 200) {
      const view = stopped.body as View;
      expect(view.status).toBe("cancelled");
      const left = await server.post<{ total: number }>("/jobs/search", { tags: { tag: "stop" } });
      expect(left.total).toBe(6000 - view.affected);
      expect((await events(id)).at(-1)?.event).toBe("bulk.async.failed");
    }
    expect(await server.call("POST", `/api/v1/bulk/${id}/cancel`)).toMatchObject({
      status: 409,
      body: { code: "CONFLICT" },
    });
    for (const path of ["/api/v1/bulk/nope/cancel", "/api/v1/bulk/nope/progress"]) {
      const method = path.endsWith("cancel") ? "POST" : "GET";
      expect(await server.call(method, path)).toMatchObject({ status: 404 });
    }
  });

  test("actions are listed, the newest first", async () => {
    const { job_ids } = await fill(2, "list");
    for (const action of ["hold", "approve"]) {
      const { body } = await begin({ job_ids, action });
      await events(body["bulk_operation_id"] ?? "");
    }

    const all = await server.get<{
      bulk_operations: { action: string; status: string }[];
      total: number;
      has_more: boolean;
    }>("/bulk?status=completed&limit=2");

    expect(all.bulk_operations.map(({ action }) => action)).toEqual(["approve", "hold"]);
    expect(all.total).toBeGreaterThanOrEqual(2);
    expect(all.has_more).toBe(all.total > 2);
  });

  test("all jobs are meant only when the call says so", async () => {
    await fill(3, "all");
    expect(await begin({ action: "hold", filter: {} })).toMatchObject({ status: 400 });
    expect(await begin({ action: "hold" })).toMatchObject({ status: 400 });
    expect(await begin({ action: "hold", all: true, job_ids: [] })).toMatchObject({ status: 400 });

    const counted = await server.post<{ matched: number; matched_exact: boolean }>("/jobs/bulk", {
      action: "hold",
      all: true,
      dry_run: true,
    });
    const { total } = await server.post<{ total: number }>("/jobs/search", {});
    expect(counted).toMatchObject({ matched: total, matched_exact: true });
  });
});
