/** The command line of `corvo worker`: what is refused before a job is claimed, and the program as a whole. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RawJson } from "../../../src/base/json.ts";
import { startCommand } from "../../support/corvo-process.ts";
import { corvo } from "../../support/fake-system.ts";
import { StreamServer } from "../../support/stream-server.ts";

let server: StreamServer;

beforeEach(() => {
  server = new StreamServer().start();
});

afterEach(() => server.stop());

describe("refused with exit code 2, before anything is claimed", () => {
  test.each([
    [["q", "--", "no-such-program"], "command not found: no-such-program"],
    [["q", "--", "./no/such/program"], "command not found: ./no/such/program"],
    [["q", "--", "/etc/passwd"], "may not be executed: /etc/passwd"],
    [["q", "--", "/tmp"], "not a program: /tmp"],
    [["q", "--"], "the command after -- is missing"],
    [["q", "--persistent"], "--persistent needs a command"],
    [["q", "--concurrency", "0"], "0 is less than 1"],
    [["q", "--concurrency", "20000"], "20000 is more than 10000"],
    [["q", "--lease", "1ms"], "1ms is outside of 100ms to 1d"],
    [["q", "--timeout", "0s"], "no attempt can end within no time"],
    [["-x y"], "unknown flag"],
    [["q!"], '"q!" is not a queue name'],
    [
      Array.from({ length: 101 }, (_, n) => `q${n}`),
      "101 queues are given; a worker takes at most 100",
    ],
    [[], "QUEUES is missing"],
  ])("worker %j", async (words, message) => {
    const { code, stderr } = await corvo(["worker", "--server", server.url, ...words], {
      env: { PATH: process.env["PATH"] ?? "" },
    });

    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(server.connections).toBe(0);
  });
});

test("a key that is not accepted is exit code 4", async () => {
  server.apiRefusal = { code: "UNAUTHORIZED", error: "the key is not known", status: 401 };

  const worker = startCommand(["worker", "q", "--server", server.url], {});

  expect(await worker.exited).toBe(4);
  expect(worker.text()).toContain("error: the key is not known");
});

test.each([
  ["a page", () => new Response("<html>")],
  ["JSON of something else", () => Response.json({ hello: 1 })],
])("a server that is none of ours, and answers with %s, is exit code 6", async (_, fetch) => {
  using other = Bun.serve({ port: 0, fetch });
  const words = ["worker", "q", "--server", other.url.origin, "--", "true"];

  const worker = startCommand(words, {});

  expect(await worker.exited).toBe(6);
  expect(worker.text()).toContain("Is this the address of a Corvo server");
});

test("without a folder for the files of jobs nothing is claimed, and the folder is named", async () => {
  const words = ["worker", "q", "--server", server.url, "--", "true"];

  const worker = startCommand(words, { TMPDIR: "/nowhere" });

  expect(await worker.exited).toBe(2);
  expect(worker.text()).toContain("TMPDIR names the folder");
  expect(server.connections).toBe(0);
});

test("who forgot the dashes is told that jobs are only printed", async () => {
  const words = ["worker", "q", "send.sh", "--drain", "--server", server.url];

  const worker = startCommand(words, {});

  expect(await worker.exited).toBe(0);
  expect(worker.text()).toContain("no command is given after --: each job is printed");
});

test("a server that is not there yet is waited for", async () => {
  await server.stop();
  const worker = startCommand(["worker", "q", "--drain", "--server", server.url], {});
  await worker.shows(/cannot reach .*; the worker goes on trying/);
  server.add("q", new RawJson('"late"'));

  server.start();

  expect(await worker.exited).toBe(0);
  expect(worker.text()).toContain('q 1 "late"\n');
});

test("arguments after -- reach the command as they are, and the worker shows its name to the server", async () => {
  const words = ["worker", "q", "--drain", "--worker-id", "me", "--server", server.url];
  const job = server.add("q", null);

  const worker = startCommand([...words, "--", "printf", "%s|", "--server", "-x", "a b"], {});

  expect(await worker.exited).toBe(0);
  expect(job.acks[0]?.["output"]).toBe("--server|-x|a b|");
  expect(server.frames[0]).toMatchObject({ claim: { worker_id: "me", queues: ["q"] } });
});
