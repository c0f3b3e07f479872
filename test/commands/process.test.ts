/** The program as a process: what only shows with real streams and signals. */
import { expect, test } from "bun:test";
import { completionFiles } from "../../src/commands/_shared/completions.ts";

const root = new URL("../../", import.meta.url).pathname;

function start(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return Bun.spawn([process.execPath, "src/main.ts", ...words], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

test("the version is one line on stdout", async () => {
  const run = start(["--version"]);

  expect(await new Response(run.stdout).text()).toMatch(/^corvo \d+\.\d+\.\d+ \(.+\)\n$/);
  expect(await run.exited).toBe(0);
});

test("data goes to stdout to the last byte, and nothing else does", async () => {
  const run = start(["completion", "fish"]);
  const golden = await Bun.file(`${root}completions/${completionFiles.fish}`).text();

  expect(await new Response(run.stdout).text()).toBe(golden);
  expect(await new Response(run.stderr).text()).toBe("");
  expect(await run.exited).toBe(0);
});

test("a reader that goes away ends it without noise", async () => {
  const run = Bun.spawn(
    ["sh", "-c", '"$0" src/main.ts completion fish | head -c 10', process.execPath],
    { cwd: root, stdout: "pipe", stderr: "pipe" },
  );

  expect(await new Response(run.stdout).text()).toStartWith("# Made by");
  expect(await new Response(run.stderr).text()).toBe("");
});

test("SIGINT ends a wait with 130", async () => {
  const asked = Promise.withResolvers<void>();
  using silent = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      asked.resolve();
      return new Promise<Response>(() => undefined);
    },
  });
  const run = start(["jobs", "wait", "job_1"], { CORVO_SERVER: `http://127.0.0.1:${silent.port}` });
  await asked.promise;

  run.kill("SIGINT");

  expect(await run.exited).toBe(130);
  expect(await new Response(run.stderr).text()).toBe("interrupted\n");
});

test("a server that is not there is exit code 6", async () => {
  const run = start(["status"], { CORVO_SERVER: "127.0.0.1:1" });

  expect(await new Response(run.stderr).text()).toContain(
    "error: cannot reach http://127.0.0.1:1: connection refused\nhint: ",
  );
  expect(await run.exited).toBe(6);
});

test("output that finds no room is no success", async () => {
  const run = Bun.spawn(
    ["sh", "-c", '"$0" src/main.ts completion fish > /dev/full', process.execPath],
    {
      cwd: root,
      stdout: "pipe",
      stderr: "pipe",
    },
  );

  expect(await new Response(run.stderr).text()).toMatch(
    /^error: cannot write standard output: ENOSPC.*\n$/,
  );
  expect(await run.exited).toBe(1);
});

test("a device without content is a file without records", async () => {
  const run = start(["enqueue", "q", "--file", "/dev/null", "--server", "127.0.0.1:1"]);

  expect(await new Response(run.stdout).text()).toBe("added 0, duplicate 0, invalid 0\n");
  expect(await run.exited).toBe(0);
});

test("talk that finds no room changes nothing", async () => {
  const run = Bun.spawn(
    ["sh", "-c", '"$0" src/main.ts status --server 127.0.0.1:1 2> /dev/full', process.execPath],
    { cwd: root, stdout: "pipe", stderr: "pipe" },
  );

  expect(await run.exited).toBe(6);
});

test("a question is legible on a terminal that was never told its size", async () => {
  using counting = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.json({ matched: 5 }),
  });
  const answerNo = [
    "import os, pty, sys",
    "pid, terminal = pty.fork()",
    "if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])",
    "shown, isAnswered = b'', False",
    "while True:",
    "    try: piece = os.read(terminal, 4096)",
    "    except OSError: break",
    "    if not piece: break",
    "    shown += piece",
    "    if not isAnswered and b'No' in shown: isAnswered = os.write(terminal, b'n\\r') > 0",
    "os.write(1, shown)",
    "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
  ].join("\n");
  const words = ["src/main.ts", "jobs", "delete", "--all", "--server", `${counting.url}`];
  const run = Bun.spawn(["python3", "-c", answerNo, process.execPath, ...words], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", NO_COLOR: "1" },
    stdout: "pipe",
    stderr: "inherit",
  });

  const shown = await new Response(run.stdout).text();

  expect(shown).toContain("Delete 5 jobs?");
  expect(shown).toContain("nothing was changed");
  expect(await run.exited).toBe(1);
});
