/** Where the program is started, and on what: strangers' settings, another server, a port in use, damaged files. */
import { expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Place } from "../support/binary.ts";
import { tempDir } from "../support/temp-dir.ts";

test("an executable built from a tree that is gone does everything it should", async () => {
  using tree = tempDir();
  await using place = await Place.create();
  const root = new URL("../../", import.meta.url).pathname;
  const lines = [
    `cp -al "${root}node_modules" "${root}src" "${root}scripts" . 2>/dev/null || cp -a "${root}node_modules" "${root}src" "${root}scripts" .`,
    `cp "${root}package.json" "${root}tsconfig.json" .`,
    `"${process.execPath}" scripts/build-binaries.ts`,
    `mv dist/corvo "${place.binary}"`,
    "rm -rf node_modules src scripts package.json tsconfig.json dist",
  ];
  const built = Bun.spawn(["sh", "-ec", lines.join("\n")], {
    cwd: tree.path,
    stdout: "ignore",
    stderr: "pipe",
  });
  expect([await new Response(built.stderr).text(), await built.exited]).toEqual(["", 0]);
  await using server = await place.serve();

  const id = (await place.run(["enqueue", "a", '{"n":1}'])).stdout.trim();
  const worked = await place.shell("corvo worker a --drain -- cat");
  const shown = await place.run(["jobs", "get", id]);
  const listed = await place.run(["jobs", "list", "--payload-contains", '"n"', "--json"]);
  const others = await Promise.all([
    place.run(["queue", "list"]),
    place.run(["status"]),
    place.run(["version"]),
    place.run(["completion", "bash"]),
    place.run(["jobs", "--help"]),
  ]);
  const document = await server.call("GET", "/openapi.json");

  expect(worked.code).toBe(0);
  expect(shown.stdout).toContain("completed");
  expect(JSON.parse(listed.stdout)).toMatchObject({ total: 1 });
  expect(others.map(({ stderr, stdout }) => [stderr, stdout !== ""])).toEqual(
    others.map(() => ["", true]),
  );
  expect(document.status).toBe(200);
  expect(await server.stop()).toBe(0);
  expect(server.stderr).not.toContain("error");
}, 60_000);

test("settings and preloads of the folder it is started in are not obeyed", async () => {
  await using place = await Place.create();
  writeFileSync(
    join(place.path, ".env"),
    "CORVO_SERVER=http://127.0.0.1:9\nCORVO_API_KEY=stolen\n",
  );
  writeFileSync(join(place.path, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(
    join(place.path, "evil.ts"),
    'require("node:fs").writeFileSync("evil-ran", "yes"); process.exit(99);',
  );
  writeFileSync(join(place.path, "package.json"), '{"name":"stranger","version":"9.9.9"}');
  writeFileSync(join(place.path, "tsconfig.json"), "{ not json");

  const version = await place.run(["--version"]);
  const status = await place.run(["status"]);
  await using server = await place.serve();
  const added = await place.run(["enqueue", "a"]);

  expect(version.stdout).toMatch(/^corvo \d/);
  expect(version.stdout).not.toContain("9.9.9");
  expect(status.stderr).toContain("127.0.0.1:8080");
  expect(added.code).toBe(0);
  expect(server.url).toStartWith("http://127.0.0.1:");
  expect(existsSync(join(place.path, "evil-ran"))).toBe(false);
});

test("a second server on the same data directory, or port, says so and leaves the first alone", async () => {
  await using place = await Place.create();
  await using first = await place.serve();

  const sameData = await place.run(["server", "--bind", "127.0.0.1:0", "--data-dir", "data"]);
  const samePort = await place.run([
    "server",
    "--bind",
    new URL(first.url).host,
    "--data-dir",
    "other",
  ]);
  const health = await first.call("GET", "/healthz");

  expect(sameData.code).toBe(5);
  expect(sameData.stderr).toMatch(/data.*(?:in use|held|another)/i);
  expect(samePort.code).toBe(5);
  expect(samePort.stderr).toContain("is in use; stop what listens there");
  expect(health.status).toBe(200);
});

test("a server whose log finds no room goes on", async () => {
  await using place = await Place.create();
  const line = "exec corvo server --bind 127.0.0.1:0 --data-dir data --json 2> /dev/full";
  const child = place.start(["-c", line], { program: "/bin/sh" });
  const first = await new Response(child.stdout).body?.getReader().read();
  const { url } = JSON.parse(new TextDecoder().decode(first?.value));

  const added = await place.run(["enqueue", "a", "--server", url]);
  child.kill("SIGTERM");

  expect(added.code).toBe(0);
  expect(await child.exited).toBe(0);
});

/** A data directory that a killed server left, with some acknowledged jobs in its log. */
async function crashedData(place: Place): Promise<string> {
  const server = await place.serve();
  for (let i = 0; i < 40; i++) {
    await server.json("POST", "/api/v1/enqueue", {
      queue: "q",
      payload: `marker ${i} `.repeat(40),
    });
  }
  await server.stop("SIGKILL");
  return join(place.path, "data");
}

async function startOn(place: Place, data: string): Promise<{ code: number; stderr: string }> {
  return place.run(["server", "--bind", "127.0.0.1:0", "--data-dir", data]);
}

test("[G21] a flipped bit in the log is refused at the start, with the place and what to do", async () => {
  await using place = await Place.create();
  const data = await crashedData(place);

  for (const file of ["log.db-wal", "log.db"]) {
    const bytes = readFileSync(join(data, file));
    const at = bytes.indexOf("marker 7 marker 7");
    if (at === -1) continue;
    const copy = join(place.path, `flipped-${file}`);
    cpSync(data, copy, { recursive: true });
    bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 4;
    writeFileSync(join(copy, file), bytes);

    const refused = await startOn(place, copy);

    expect([file, refused.code]).toEqual([file, 1]);
    expect(refused.stderr).toMatch(/damaged/i);
    expect(refused.stderr).toMatch(/copy|backup|restore/i);
  }
  await using server = await place.serve();
  const queue = await server.json<{ pending: number }>("GET", "/api/v1/queues/q");
  expect(queue.pending).toBe(40);
});

test("[G22] a log that was cut short or removed is refused at the start", async () => {
  await using place = await Place.create();
  const data = await crashedData(place);
  const wal = join(data, "log.db-wal");
  expect(readFileSync(wal).length).toBeGreaterThan(20_000);

  const cut = join(place.path, "cut");
  cpSync(data, cut, { recursive: true });
  truncateSync(join(cut, "log.db-wal"), 8192);
  const removed = join(place.path, "removed");
  cpSync(data, removed, { recursive: true });
  await place.shell("rm removed/log.db removed/log.db-wal");

  for (const folder of [cut, removed]) {
    const refused = await startOn(place, folder);

    expect([folder, refused.code]).toEqual([folder, 1]);
    expect(refused.stderr).toMatch(/damaged|missing|ends/i);
  }
});
