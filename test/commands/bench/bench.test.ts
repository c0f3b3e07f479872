/** The bench as a process, with servers of its own: tiny sizes, every scenario. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { scenarios } from "../../../src/commands/bench/scenarios.ts";
import type { Summary } from "../../../src/commands/bench/summary.ts";
import { corvo } from "../../support/fake-system.ts";
import { tempDir } from "../../support/temp-dir.ts";

const root = new URL("../../../", import.meta.url).pathname;

function start(words: readonly string[]) {
  return Bun.spawn([process.execPath, "src/main.ts", ...words], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

interface Report {
  readonly host: Readonly<Record<string, unknown>>;
  readonly disk: Readonly<Record<string, unknown>> | null;
  readonly scenarios: readonly Summary[];
}

const tiny = [
  ...["--duration", "200ms", "--warmup", "50ms", "--samples", "3", "--jobs", "400"],
  ...["--parked", "300", "--backlog", "2000", "--payload", "64"],
];

test("every scenario runs, is verified, and leaves nothing behind", async () => {
  using dir = tempDir();
  const names = Object.keys(scenarios);

  const run = start(["bench", ...names, ...tiny, "--dir", dir.path, "--json"]);
  const [stdout, stderr] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
  ]);

  expect({ stderr, code: await run.exited }).toEqual({ stderr: "", code: 0 });
  const report = JSON.parse(stdout) as Report;
  expect(Object.keys(report.host).sort()).toEqual(
    ["bun", "commit", "corvo_version", "cores", "cpu", "load_average", "os"].sort(),
  );
  expect(report.disk).toEqual({
    folder: dir.path,
    fsync_us_p50: expect.any(Number),
    fsync_us_p99: expect.any(Number),
    in_memory: expect.any(Boolean),
  });
  expect(report.scenarios.map(({ scenario }) => scenario)).toEqual(names);
  for (const summary of report.scenarios) expectSummary(summary);
  expect(readdirSync(dir.path)).toEqual([]);
}, 60_000);

test("jobs with limit keys and groups go through like others, beside queues full of such", async () => {
  using dir = tempDir();
  const lanes = ["--keys", "50", "--groups", "7", "--beside", "limit-keys=300"];
  const words = ["lifecycle", "drain", ...tiny, ...lanes, "--beside", "groups=20"];

  const run = start(["bench", ...words, "--dir", dir.path, "--json"]);
  const stdout = await new Response(run.stdout).text();

  expect(await run.exited).toBe(0);
  for (const { conditions, verified, notes } of (JSON.parse(stdout) as Report).scenarios) {
    expect(conditions).toMatchObject({ limit_keys: 50, groups: 7 });
    expect(verified?.problems).toEqual([]);
    expect(notes.join()).toContain("300 limit keys with a waiting job each");
  }
}, 60_000);

function expectSummary(summary: Summary): void {
  const { scenario, conditions, figures, verified } = summary;
  expect(Object.keys(summary)).toEqual([
    "scenario",
    "conditions",
    "figures",
    "cpu",
    "verified",
    "notes",
  ]);
  expect(figures.length).toBeGreaterThan(0);
  for (const figure of figures) {
    expect(Object.keys(figure)).toEqual([
      ...["name", "unit", "better", "median", "min", "max", "values"],
      ...["bar", "stretch", "meets"],
    ]);
    expect(figure.values).toEqual([figure.median]);
    expect({ scenario, name: figure.name, isPositive: figure.median > 0 }).toEqual({
      scenario,
      name: figure.name,
      isPositive: true,
    });
  }
  if (scenario === "startup") {
    expect(verified).toBeNull();
    return;
  }
  expect(conditions).toMatchObject({ payload_bytes: 64, repeats: 1, nodes: 1 });
  expect(String(conditions["durability"])).toContain("fsync");
  expect(verified).toMatchObject({ ok: true, dead: 0, problems: [] });
  const { accepted = 0, completed = 0, waiting = 0 } = verified ?? {};
  expect(accepted).toBeGreaterThan(0);
  expect(completed + waiting).toBe(accepted);
}

test("a server that was there keeps none of the bench's queues, and repeats give a range", async () => {
  using dir = tempDir();
  const server = start(["server", "--bind", "127.0.0.1:0", "--data-dir", dir.path, "--json"]);
  try {
    const reader = server.stdout.getReader();
    const { value } = await reader.read();
    const { url } = JSON.parse(new TextDecoder().decode(value)) as { url: string };

    const run = start(["bench", "seq", "par32", "--server", url, ...tiny, "--repeat", "2"]);
    const stdout = await new Response(run.stdout).text();

    expect(await run.exited).toBe(0);
    expect(stdout).toContain("repeats 2");
    expect(stdout.match(/verified: /g)).toHaveLength(2);
    expect(stdout).toContain("server: not measured");
    expect(await (await fetch(`${url}/api/v1/queues`)).json()).toEqual([]);
  } finally {
    server.kill("SIGKILL");
    await server.exited;
  }
}, 60_000);

test("Ctrl-C ends it with 130, its server and its folder", async () => {
  using dir = tempDir();
  const run = start(["bench", "lifecycle", "--duration", "60s", "--dir", dir.path]);
  const reader = run.stderr.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toContain("lifecycle: warming up");
  const [folder] = readdirSync(dir.path);
  expect(folder).toStartWith("corvo-bench-");

  run.kill("SIGINT");

  expect(await run.exited).toBe(130);
  expect(readdirSync(dir.path)).toEqual([]);
  const left = new Bun.Glob("*/cmdline").scanSync({ cwd: "/proc", onlyFiles: false });
  for (const path of left) {
    const line = await Bun.file(`/proc/${path}`)
      .text()
      .catch(() => "");
    expect(line).not.toContain(dir.path);
  }
}, 60_000);

test("a scenario that kills its server is refused for one in use", async () => {
  const ran = await corvo(["bench", "restart", "--server", "http://127.0.0.1:1"]);

  expect(ran.stderr).toContain("restart cannot run with --server");
  expect(ran.code).toBe(2);
});

test.each([
  [["startup", "--dir", "/nowhere"], "the folder /nowhere cannot be used: ENOENT"],
  [["lifecycle", "--duration", "0s"], "--duration: nothing can be measured"],
])("%j is refused with a sentence", async (words, message) => {
  const ran = await corvo(["bench", ...words]);

  expect(ran.stderr).toContain(message);
  expect(ran.code).toBe(2);
});

test("the guide has a row for every scenario", async () => {
  const guide = await Bun.file(`${root}docs/guides/benchmarks.md`).text();

  for (const name of Object.keys(scenarios)) expect(guide).toContain(`\n| \`${name}\``);
});

test("a name that is no scenario is refused with the nearest one", async () => {
  const ran = await corvo(["bench", "lifecycel"]);

  expect(ran.stderr).toContain("Did you mean lifecycle?");
  expect(ran.code).toBe(2);
});

test("--list names every scenario", async () => {
  const ran = await corvo(["bench", "--list"]);

  for (const name of Object.keys(scenarios)) expect(ran.stdout).toContain(`\n${name} `.trimStart());
  expect(ran.code).toBe(0);
});
