/** What shows only over real connections and with many jobs, on a whole server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

interface Status {
  readonly waiting_workers: number;
  readonly applied_index: number;
}
const status = () => server.get<Status>("/status");

async function fill(queue: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 10_000) {
    const jobs = Array.from({ length: Math.min(left, 10_000) }, () => ({ queue, payload: {} }));
    await server.post("/enqueue/batch", { jobs });
  }
}

test("a worker that disconnects while it waits takes no job with it", async () => {
  const leaving = new AbortController();
  const body = { queues: ["left"], timeout: 30 };
  const gone = server
    .call("POST", "/api/v1/fetch", body, { signal: leaving.signal })
    .catch((error: Error) => error.name);
  while ((await status()).waiting_workers === 0) await Bun.sleep(1);
  leaving.abort();
  expect(await gone).toBe("AbortError");
  while ((await status()).waiting_workers > 0) await Bun.sleep(1);

  const { job_id } = await server.post<{ job_id: string }>("/enqueue", { queue: "left" });
  expect(await server.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({ state: "pending" });
  expect(await server.post<Claimed>("/fetch", body)).toMatchObject({ job_id, attempt: 1 });
});

test("waiting workers write nothing to the log", async () => {
  const leaving = new AbortController();
  const body = { queues: ["quiet"], timeout: 30 };
  const waits = Array.from({ length: 50 }, () =>
    server.call("POST", "/api/v1/fetch", body, { signal: leaving.signal }).catch(() => undefined),
  );
  while ((await status()).waiting_workers < 50) await Bun.sleep(1);
  const before = (await status()).applied_index;
  await Bun.sleep(300);
  expect((await status()).applied_index).toBe(before);
  leaving.abort();
  await Promise.all(waits);
});

test("a bulk action on more than 10,000 jobs runs in the background and touches each of them once", async () => {
  await fill("many", 10_001);
  await fill("spared", 10);
  const started = await server.call("POST", "/api/v1/jobs/bulk", {
    action: "cancel",
    filter: { queue: "many" },
  });
  const { bulk_operation_id: id } = started.body as { bulk_operation_id: string };
  expect(started).toMatchObject({ status: 202, body: { status: "queued" } });
  // Other work is not held up by it.
  await server.post("/enqueue", { queue: "aside" });

  interface Progress {
    readonly status: string;
    readonly processed: number;
  }
  const seen: number[] = [];
  let progress: Progress;
  do {
    progress = await server.get<Progress>(`/bulk/${id}`);
    seen.push(progress.processed);
  } while (progress.status === "running");
  expect(progress).toMatchObject({
    status: "completed",
    total: 10_001,
    processed: 10_001,
    affected: 10_001,
    errors: 0,
  });
  expect(seen).toEqual(seen.toSorted((one, other) => one - other));
  expect(await server.get("/queues/many")).toMatchObject({ pending: 0, cancelled: 10_001 });
  expect(await server.get("/queues/spared")).toMatchObject({ pending: 10 });
}, 20_000);

test("a dry run counts and touches nothing", async () => {
  await fill("dry", 20);
  const body = { action: "delete", filter: { queue: "dry" }, dry_run: true };
  expect(await server.post("/jobs/bulk", body)).toMatchObject({ matched: 20, affected: 0 });
  expect(await server.get("/queues/dry")).toMatchObject({ pending: 20 });
});
