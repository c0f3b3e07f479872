/** More than the server can take, and more than the disk can hold: refused, named, and nothing acknowledged is lost. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorTable } from "../../src/base/errors.ts";
import { Place, Server } from "../support/binary.ts";

test("a flood is answered with 429 and Retry-After, serves on, and loses nothing that it acknowledged", async () => {
  await using place = await Place.create();
  // Compressed, so many equal bytes would be no flood.
  await using server = await place.serve(["--compress-above", "0"]);
  const jobs = Array.from({ length: 48 }, () => ({ queue: "flood", payload: "x".repeat(250_000) }));
  const body = JSON.stringify({ jobs });
  let refused = 0;

  const push = async (): Promise<number> => {
    for (;;) {
      const answer = await server.call("POST", "/api/v1/enqueue/batch", body);
      if (answer.status === 201) return (JSON.parse(answer.text) as { results: [] }).results.length;

      refused++;
      expect([answer.status, answer.text]).toEqual([
        429,
        expect.stringMatching(/"code":"OVERLOADED".*|pendingBytesMax|bodiesBytesMax/),
      ]);
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(0);
      await Bun.sleep(20);
    }
  };
  const accepted = await Promise.all(Array.from({ length: 12 }, push));
  const queue = await server.json<{ pending: number }>("GET", "/api/v1/queues/flood");
  const health = await server.call("GET", "/healthz");

  expect(refused).toBeGreaterThan(0);
  expect(accepted.every((count) => count === jobs.length)).toBe(true);
  expect(queue.pending).toBe(accepted.length * jobs.length);
  expect(health.status).toBe(200);
}, 60_000);

/** Is there the right to mount? Decided by doing it. */
function mountTmpfs(path: string, size: string): boolean {
  mkdirSync(path);
  return spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]).status === 0;
}

/**
 * The call that finds the disk full is in the log's hands already, and may be carried out once there is space: its
 * outcome is unknown. Every call after it is refused before anything happens.
 */
async function enqueueUntilRefused(
  server: Server,
): Promise<{ ids: string[]; unknown: number; refusal: string }> {
  const ids: string[] = [];
  let unknown = 0;
  for (;;) {
    // What compresses would not fill a disk.
    const payload = crypto.getRandomValues(Buffer.alloc(48_000)).toString("hex");
    const body = JSON.stringify({ queue: "full", payload });
    const answer = await server.call("POST", "/api/v1/enqueue", body);
    if (answer.status === 201) ids.push((JSON.parse(answer.text) as { job_id: string }).job_id);
    else if (answer.text.includes('"code":"OUTCOME_UNKNOWN"') && unknown === 0) unknown++;
    else return { ids, unknown, refusal: `${answer.status} ${answer.text}` };
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`not within 20 s: ${what}`);
    await Bun.sleep(50);
  }
}

const probe = await Place.create();
const canMount = mountTmpfs(join(probe.path, "probe"), "1m");
if (canMount) spawnSync("umount", [join(probe.path, "probe")]);
else process.stderr.write("a full disk is not tested here: it needs the right to mount a tmpfs\n");
await probe[Symbol.asyncDispose]();

test.if(canMount)(
  "a full disk makes the server read-only, and space makes it writable again, without a restart or a loss",
  async () => {
    await using place = await Place.create();
    const data = join(place.path, "data");
    mountTmpfs(data, "96m");
    try {
      const server = await place.serve(["--min-free-disk", "0", "--compress-above", "0"]);
      const ballast = join(data, "ballast");
      const free = statfsSync(data);
      writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize - 16 * 1024 * 1024));

      const { ids, unknown, refusal } = await enqueueUntilRefused(server);
      const health = await server.call("GET", "/healthz");
      const read = await server.call("GET", `/api/v1/jobs/${ids.at(-1)}`);
      rmSync(ballast);
      await until("writable again", async () => {
        const answer = await server.call("POST", "/api/v1/enqueue", '{"queue":"after"}');
        return answer.status === 201;
      });
      await server.stop("SIGKILL");
      const again = await place.serve();
      const queue = await again.json<{ pending: number }>("GET", "/api/v1/queues/full");
      const found = await again.json<{ jobs: unknown[] }>("POST", "/api/v1/jobs/bulk-get", {
        job_ids: ids,
      });
      await again.stop();

      expect(ids.length).toBeGreaterThan(20);
      expect(refusal).toStartWith("503 ");
      expect(refusal).toContain('"code":"READ_ONLY"');
      expect(health.status).toBe(503);
      expect(read.status).toBe(200);
      expect(found.jobs).toHaveLength(ids.length);
      expect(queue.pending).toBeWithin(ids.length, ids.length + unknown + 1);
    } finally {
      spawnSync("umount", ["-l", data]);
    }
  },
  60_000,
);

test.if(canMount)(
  "a server that was stopped starts on a disk that has filled up since, or says how much to free",
  async () => {
    await using place = await Place.create();
    const data = join(place.path, "data");
    const words = ["server", "--bind", "127.0.0.1:0", "--data-dir", "data", "--json"];
    mountTmpfs(data, "96m");
    try {
      const server = await place.serve();
      const added = await server.json<{ job_id: string }>("POST", "/api/v1/enqueue", {
        queue: "before",
      });
      await server.stop();
      const ballast = join(data, "ballast");
      const fill = () => {
        const free = statfsSync(data);
        writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize));
      };

      fill();
      const again = new Server(place.start(words));
      again.listening.catch(() => undefined);
      await until("it has noticed", async () => again.stderr.includes("the log starts read-only"));
      rmSync(ballast);
      await again.listening;
      const read = await again.call("GET", `/api/v1/jobs/${added.job_id}`);
      await again.stop();
      // Somebody has taken that, too, and nothing is left open that could be used again.
      rmSync(join(data, "reserve"));
      for (const name of readdirSync(data)) if (name.endsWith("-shm")) rmSync(join(data, name));
      fill();
      const refused = await place.run(words);

      expect(read.status).toBe(200);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("Free at least 1 MiB, then start again.");
    } finally {
      spawnSync("umount", ["-l", data]);
    }
  },
  60_000,
);

test.if(canMount)(
  "a backup for which the disk has no room says that it broke off, a restore what is full, and neither leaves anything behind",
  async () => {
    await using place = await Place.create();
    const data = join(place.path, "data");
    const small = join(place.path, "small");
    mountTmpfs(small, "4m");
    mountTmpfs(data, "96m");
    try {
      const server = await place.serve(["--min-free-disk", "0", "--compress-above", "0"]);
      const payload = "x".repeat(250_000);
      const jobs = Array.from({ length: 40 }, () => ({ queue: "full", payload }));
      await server.json("POST", "/api/v1/enqueue/batch", { jobs });
      // From here on the jobs are stored, so that only the copy needs room.
      await server.json("POST", "/api/v1/jobs/search", { queue: "full", limit: 1 });
      const free = statfsSync(data);
      const ballast = join(data, "ballast");
      writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize - 8 * 1024 * 1024));

      const made = await place.run(["backup", "full.backup"]);
      rmSync(ballast);
      const again = await place.run(["backup", "full.backup"]);
      await server.stop();
      const restored = await place.run(["restore", "full.backup", "--data-dir", "small/data"]);

      expect([made.code, made.stderr]).toEqual([
        errorTable.UNAVAILABLE.exit,
        expect.stringContaining("the backup broke off"),
      ]);
      expect(again.code).toBe(0);
      expect([restored.code, restored.stderr]).toEqual([
        errorTable.DISK_BUDGET.exit,
        expect.stringContaining("is full: the backup was not restored"),
      ]);
      expect(readdirSync(join(small, "data"))).toEqual([]);
    } finally {
      spawnSync("umount", ["-l", data]);
      spawnSync("umount", ["-l", small]);
    }
  },
  60_000,
);

test.if(canMount)(
  "[V9] before the disk is full new payloads are refused, work goes on, and room lets them in again without a restart",
  async () => {
    await using place = await Place.create();
    const data = join(place.path, "data");
    mountTmpfs(data, "96m");
    try {
      await using server = await place.serve(["--min-free-disk", "6MiB", "--compress-above", "0"]);
      const ballast = join(data, "ballast");
      const free = statfsSync(data);
      writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize - 22 * 1024 * 1024));

      const { ids, unknown, refusal } = await enqueueUntilRefused(server);
      const upload = await server.call("POST", "/api/v1/blobs", "z".repeat(100_000));
      const health = await server.call("GET", "/healthz");
      let reason: string | undefined;
      await until("the status says that it is full", async () => {
        const { disk_full } = await server.json<{ disk_full?: string }>("GET", "/api/v1/status");
        reason = disk_full;
        // What is moved from a log to its database may make room for a few more.
        if (reason === undefined) await enqueueUntilRefused(server);
        return reason !== undefined;
      });
      const claimed = await server.json<{ job_id: string; lease_token: string }>(
        "POST",
        "/api/v1/fetch",
        { queues: ["full"], wait_ms: 0 },
      );
      const acked = await server.call(
        "POST",
        `/api/v1/ack/${claimed.job_id}`,
        JSON.stringify({ lease_token: claimed.lease_token, result: 1 }),
      );
      const deleted = await server.call("DELETE", "/api/v1/queues/full");
      rmSync(ballast);
      await until("there is room again", async () => {
        const answer = await server.call("POST", "/api/v1/enqueue", '{"queue":"after"}');
        return answer.status === 201;
      });

      expect(ids.length).toBeGreaterThan(20);
      expect(unknown).toBe(0);
      expect(refusal).toStartWith("507 ");
      expect(refusal).toContain('"code":"DISK_BUDGET"');
      expect(refusal).toContain("new payloads leave 6291456 (--min-free-disk)");
      const statuses = [upload, health, acked, deleted].map((answer) => answer.status);
      expect(statuses).toEqual([507, 200, 200, 200]);
      expect(reason).toContain("bytes are free on the disk");
    } finally {
      spawnSync("umount", ["-l", data]);
    }
  },
  60_000,
);

test.if(canMount)(
  "[V9] on a disk that refuses new payloads everything that was let in is worked off and deleted, and more comes in",
  async () => {
    await using place = await Place.create();
    const data = join(place.path, "data");
    mountTmpfs(data, "96m");
    try {
      await using server = await place.serve(["--compress-above", "0"]);
      const { ids, refusal } = await enqueueUntilRefused(server);

      const acked: string[] = [];
      for (;;) {
        const ask = { queues: ["full"], count: 32, wait_ms: 0 };
        const { jobs } = await server.json<{ jobs: { job_id: string; lease_token: string }[] }>(
          "POST",
          "/api/v1/fetch/batch",
          ask,
        );
        if (jobs.length === 0) break;
        const acks = jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token, result: 1 }));
        await server.json("POST", "/api/v1/ack/batch", { acks });
        acked.push(...jobs.map(({ job_id }) => job_id));
      }
      // What was done waits to be stored; a search waits for that.
      const done = await server.json<{ total: number }>("POST", "/api/v1/jobs/search", {
        state: ["completed"],
      });
      const bulk = { action: "delete", filter: { state: ["completed"] } };
      const deleted = await server.json<{ affected: number }>("POST", "/api/v1/jobs/bulk", bulk);
      await until("there is room again", async () => {
        const answer = await server.call("POST", "/api/v1/enqueue", '{"queue":"after"}');
        return answer.status === 201;
      });

      expect(refusal).toContain('"code":"DISK_BUDGET"');
      expect(ids.length).toBeGreaterThan(50);
      expect(acked.toSorted()).toEqual(ids.toSorted());
      expect([done.total, deleted.affected]).toEqual([ids.length, ids.length]);
    } finally {
      spawnSync("umount", ["-l", data]);
    }
  },
  60_000,
);
