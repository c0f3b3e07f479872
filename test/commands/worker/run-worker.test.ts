import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RawJson } from "../../../src/base/json.ts";
import type { Timers } from "../../../src/base/ports.ts";
import type { RunnerOptions, RunnerSystem } from "../../../src/commands/worker/run-worker.ts";
import { processGone, type Runner, startRunner } from "../../support/runner.ts";
import { type ServedJob, StreamServer } from "../../support/stream-server.ts";
import { timers } from "../../support/system-ports.ts";

let server: StreamServer;
const runners: Runner[] = [];

beforeEach(() => {
  server = new StreamServer().start();
});

afterEach(async () => {
  for (const runner of runners.splice(0)) {
    runner.signal();
    runner.signal();
    await runner.exit;
    expect(runner.filesLeft()).toEqual([]);
    runner.dispose();
  }
  await server.stop();
});

function start(options: Partial<RunnerOptions>, system: Partial<RunnerSystem> = {}): Runner {
  const runner = startRunner(server, options, system);
  runners.push(runner);
  return runner;
}

const shell = (script: string) => ({ command: ["sh", "-c", script] });
const text = (value: unknown) => (value as RawJson | undefined)?.text;
const states = (jobs: readonly ServedJob[]) => jobs.map((job) => job.state);
const written = (runner: Runner, pattern: RegExp) =>
  server.until(() => pattern.test(runner.written.join("")));
const pidsOf = (runner: Runner) => (runner.written.join("").match(/\d+$/gm) ?? []).map(Number);

describe("signals", () => {
  test("after the first one running jobs finish and the exit code is 0", async () => {
    const runner = start(shell('echo on; while [ ! -e "$GO" ]; do sleep 0.01; done'), {
      env: { PATH: process.env["PATH"] ?? "", GO: `/tmp/go-${process.pid}` },
    });
    const [first, second] = [server.add("q", null), server.add("q", null)];
    await written(runner, /on/);

    runner.signal();
    await Bun.write(`/tmp/go-${process.pid}`, "");

    expect(await runner.exit).toBe(0);
    expect(states([first, second])).toEqual(["completed", "pending"]);
    expect(runner.logger.lines.join("\n")).toContain("stopping: 1 running, waiting up to 5s");
    await Bun.file(`/tmp/go-${process.pid}`).delete();
  });

  test("after the grace period commands are stopped and their jobs given back, not failed", async () => {
    const runner = start({ ...shell("echo $$; sleep 1000 & wait"), graceMs: 30 });
    const job = server.add("q", null);
    await written(runner, /\d\n/);

    runner.signal();

    expect(await runner.exit).toBe(0);
    expect([job.state, job.releases.length, job.fails.length]).toEqual(["pending", 1, 0]);
    for (const pid of pidsOf(runner)) expect(await processGone(pid)).toBe(true);
  });

  test("a command that exits with 0 because it was told to stop has not finished its job", async () => {
    const runner = start({
      ...shell("trap 'exit 0' TERM; echo $$; sleep 1000 & wait"),
      graceMs: 0,
    });
    const job = server.add("q", null);
    await written(runner, /\d\n/);

    runner.signal();

    expect(await runner.exit).toBe(0);
    expect([job.releases.length, job.acks.length]).toEqual([1, 0]);
  });

  test("the second one kills at once what ignores SIGTERM, gives jobs back and exits with 130", async () => {
    const runner = start({
      ...shell("trap '' TERM; echo $$; while :; do sleep 1; done"),
      killAfterMs: 60_000,
    });
    const job = server.add("q", null);
    await written(runner, /\d\n/);

    runner.signal();
    runner.signal();

    expect(await runner.exit).toBe(130);
    expect(job.releases).toHaveLength(1);
    for (const pid of pidsOf(runner)) expect(await processGone(pid)).toBe(true);
  });

  test("when the server is away at the end the exit code says that reports are missing", async () => {
    const hurried: Timers = { after: (delayMs, callback) => timers.after(delayMs / 50, callback) };
    const options = { ...shell("echo $$; exec sleep 1000"), graceMs: 0 };
    const runner = start(options, { timers: hurried });
    server.add("q", null);
    await written(runner, /\d\n/);

    await server.stop();
    runner.signal();

    expect(await runner.exit).toBe(6);
    expect(runner.logger.lines.at(-1)).toContain("may run again when their leases end");
  });
});

describe("without a command", () => {
  test("each job is printed on a line and finished", async () => {
    const runner = start({});
    const job = server.add("q", new RawJson('{"a":\n1.0}'));

    await server.until(() => job.state === "completed");

    expect(runner.written).toEqual([`${job.id} q 1 {"a": 1.0}\n`]);
  });

  test("with --json a line is the job as JSON with its payload unchanged", async () => {
    const runner = start({ isJson: true });
    const job = server.add("q", new RawJson('{"a":12345678901234567890}'));

    await server.until(() => job.state === "completed");

    expect(runner.written[0]).toContain('"payload":{"a":12345678901234567890}');
    expect(JSON.parse(runner.written[0] ?? "")).toMatchObject({ job_id: job.id, attempt: 1 });
  });

  test("a job that nobody reads any more is given back and the worker ends", async () => {
    const runner = start({}, { out: { write: () => Promise.resolve(false) } });
    const job = server.add("q", null);

    expect(await runner.exit).toBe(0);
    expect(job.releases).toHaveLength(1);
  });
});

describe("what is shown", () => {
  test("lines of handlers carry their job, whole even when written in parts", async () => {
    const runner = start(shell("printf 'on'; echo err >&2; sleep 0.05; printf 'e\\ntwo'"));
    const job = server.add("q", null);

    await server.until(() => job.state === "completed");

    const prefix = `[q ${job.id.slice(-6)}#1]`;
    expect(runner.written.join("")).toBe(`${prefix} err\n${prefix} one\n${prefix} two\n`);
  });

  test("nothing with --quiet", async () => {
    const runner = start({ ...shell("echo one"), isQuiet: true });
    const job = server.add("q", null);

    await server.until(() => job.state === "completed");

    expect(runner.written).toEqual([]);
    expect(job.acks[0]?.["output"]).toBe("one\n");
  });
});

describe("draining", () => {
  test("all jobs of several queues are run with the concurrency asked for, then the worker ends", async () => {
    const jobs = Array.from({ length: 30 }, (_, n) => server.add(n % 2 === 0 ? "a" : "b", null));
    const runner = start({ ...shell("true"), queues: ["a", "b"], concurrency: 8, isDrain: true });

    expect(await runner.exit).toBe(0);
    expect(new Set(states(jobs))).toEqual(new Set(["completed"]));
    expect(runner.logger.lines.at(-1)).toBe(
      "worker ended: 30 done, 0 failed, 0 given back, 0 dropped",
    );
  });
});

describe("persistent processes", () => {
  const python = (body: string) => ({
    command: [
      "python3",
      "-u",
      "-c",
      `import sys, json, os, time\nfor line in sys.stdin:\n    job = json.loads(line)\n${body.replace(/^/gm, "    ")}`,
    ],
    isPersistent: true,
  });
  const answer = (value: string) => `print(json.dumps(${value}), flush=True)`;

  test("one process answers many jobs", async () => {
    start(
      python(
        answer(
          '{"ok": True, "result": [os.getpid(), job["payload"], job["attempt"], job["queue"]]}',
        ),
      ),
    );
    const jobs = [1, 2, 3].map((n) => server.add("q", new RawJson(`{"n":\n${n}}`)));

    await server.until(() => jobs.every((job) => job.state === "completed"));

    const results = jobs.map((job) => JSON.parse(text(job.acks[0]?.["result"]) ?? ""));
    expect(new Set(results.map((result) => result[0])).size).toBe(1);
    expect(results.map((result) => result.slice(1))).toEqual([1, 2, 3].map((n) => [{ n }, 1, "q"]));
  });

  test("progress, checkpoint, output and a failure that must not be retried", async () => {
    start(
      python(
        `${answer('{"progress": {"done": 1}}')}\n${answer('{"checkpoint": [1]}')}\nprint("hello", flush=True)\nprint("oops", file=sys.stderr, flush=True)\ntime.sleep(0.05)\n${answer('{"ok": False, "error": "bad input", "retryable": False}')}`,
      ),
    );
    const job = server.add("q", null);

    await server.until(() => job.fails.length === 1);

    expect(job.fails[0]).toMatchObject({ error: "bad input", retryable: false });
    expect(String(job.fails[0]?.["output"]).split("\n").sort()).toEqual(["", "hello", "oops"]);
    expect(job.checkpoint?.text).toBe("[1]");
  });

  test("a failure without a reason, or with a snooze that is none, says so", async () => {
    start(
      python(
        `if job["payload"] == 1:\n    ${answer('{"ok": False, "snooze": "soon"}')}\nelse:\n    ${answer('{"ok": False}')}`,
      ),
    );
    const jobs = [server.add("q", new RawJson("1")), server.add("q", new RawJson("2"))];

    await server.until(() => jobs.every((job) => job.fails.length === 1));

    expect(jobs.map((job) => job.fails[0]?.["error"])).toEqual([
      'the handler asked for a snooze of "soon", which is no duration such as "30s"',
      "the handler gave no reason",
    ]);
  });

  test("a process that dies fails its job with the exit, and the next job gets a new one", async () => {
    start(
      python(
        `if job["payload"] == 1:\n    print("dying", file=sys.stderr, flush=True)\n    os._exit(9)\n${answer('{"ok": True}')}`,
      ),
    );
    const [first, second] = [server.add("q", new RawJson("1")), server.add("q", new RawJson("2"))];

    await server.until(() => second.state === "completed");

    expect(first.fails[0]?.["error"]).toBe(
      "the handler process ended during the job: exit code 9: dying",
    );
  });

  test("an answer just before the exit still counts", async () => {
    start(python(`${answer('{"ok": True, "result": 5}')}\nos._exit(0)`));
    const jobs = [server.add("q", null), server.add("q", null)];

    await server.until(() => jobs.every((job) => job.state === "completed"));

    expect(jobs.map((job) => text(job.acks[0]?.["result"]))).toEqual(["5", "5"]);
  });

  test("a process that answers twice is stopped before its second answer can count for another job", async () => {
    const twice =
      'line = json.dumps({"ok": True}) + "\\n"\nsys.stdout.write(line + line)\nsys.stdout.flush()';
    const runner = start(python(`${twice}\ntime.sleep(0.01)`));
    const first = server.add("q", null);
    await server.until(() => first.state === "completed");
    const second = server.add("q", null);

    await server.until(() => second.acks.length + second.fails.length > 0);

    expect(runner.logger.lines.join("\n")).toContain("answered for a job that it does not have");
  });

  test("a time-out ends the process, the next job gets a new one, and the end leaves none", async () => {
    const runner = start({
      ...python(
        `print("pid", os.getpid(), flush=True)\nif job["payload"] == 1:\n    time.sleep(1000)\n${answer('{"ok": True}')}`,
      ),
      timeoutMs: 400,
    });
    const [first, second] = [server.add("q", new RawJson("1")), server.add("q", new RawJson("2"))];
    await server.until(() => second.state === "completed");
    expect(first.fails[0]?.["error"]).toStartWith("timed out after 400ms");

    runner.signal();

    expect(await runner.exit).toBe(0);
    const pids = pidsOf(runner);
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(await processGone(pid)).toBe(true);
  });
});
