/** A server with workers of its own, and job files of a system that has one queue, as its users type them. */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Place } from "../support/binary.ts";
import { until } from "../support/cluster/cluster.ts";

test("jobs of a file without queues are run by the workers of the server, which ends after them", async () => {
  await using place = await Place.create();
  const out = join(place.path, "out");
  const handler = join(place.path, "handler.sh");
  writeFileSync(handler, `#!/bin/sh\nread -r line; echo "$line" >> ${out}\nsleep 0.3\n`);
  chmodSync(handler, 0o755);
  const jobs = Array.from({ length: 6 }, (_, i) => ({
    id: `job-00${i}`,
    payload: { n: i },
    timeout_ms: i === 0 ? 0 : 5000,
  }));
  writeFileSync(join(place.path, "jobs.json"), JSON.stringify(jobs, undefined, 2));
  const server = await place.serve(["--workers", "2", "--", handler]);

  const added = await place.shell("corvo enqueue --file jobs.json");
  expect(added.stdout + added.stderr).toContain("added 6, duplicate 0, invalid 0");
  await until("two jobs have begun", async () => {
    const lines = existsSync(out) ? readFileSync(out, "utf8").trim().split("\n") : [];
    return lines.length >= 2 ? true : undefined;
  });
  const job = await server.json<{ jobs: { id: string; unique_key?: string }[] }>(
    "POST",
    "/api/v1/jobs/search",
    { queue: "default", state: ["active"] },
  );
  expect(job.jobs.length).toBeGreaterThan(0);

  expect(await server.stop()).toBe(0);
  // What was begun was finished and reported before the server went.
  await using again = await place.serve();
  const counts = await again.json<Record<string, number>>("GET", "/api/v1/queues/default");
  expect(counts).toMatchObject({ active: 0, dead: 0, retrying: 0, enqueued: 6 });
  const lines = readFileSync(out, "utf8").trim().split("\n");
  expect(counts["completed"]).toBe(lines.length);
});

test("a server that is killed leaves no worker behind, and what ran is finished first", async () => {
  await using place = await Place.create();
  const began = join(place.path, "began");
  const finished = join(place.path, "finished");
  const handler = join(place.path, "handler.sh");
  // The parent of a command is the worker that runs it; the name by which that knows its server is not for the command.
  writeFileSync(
    handler,
    `#!/bin/sh\necho "$PPID" > ${began}.new\nmv ${began}.new ${began}\nsleep 2\necho "\${CORVO_SERVER_PID-none}" > ${finished}\n`,
  );
  chmodSync(handler, 0o755);
  const server = await place.serve(["--workers", "1", "--", handler]);
  expect((await place.shell("corvo enqueue default '{}'")).code).toBe(0);
  const pid = await until("the job has begun", async () =>
    existsSync(began) ? Number(readFileSync(began, "utf8")) : undefined,
  );
  expect(existsSync(`/proc/${pid}`)).toBe(true);

  server.child.kill("SIGKILL");
  await server.child.exited;
  await until("the worker is gone", async () => (existsSync(`/proc/${pid}`) ? undefined : true));
  expect(readFileSync(finished, "utf8")).toBe("none\n");
}, 60_000);

test("flags of workers that make no sense are refused before the server starts", async () => {
  await using place = await Place.create();
  for (const line of [
    "corvo server --workers 2",
    "corvo server --work mail",
    "corvo server -- ./handler.sh",
    "corvo server --workers 2 -- ./no-such-program",
  ]) {
    const { code, stderr } = await place.shell(line);
    expect([line, code, stderr.startsWith("error: ")]).toEqual([line, 2, true]);
  }
});
