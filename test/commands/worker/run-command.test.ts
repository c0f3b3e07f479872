import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RawJson } from "../../../src/base/json.ts";
import type { RunnerOptions, RunnerSystem } from "../../../src/commands/worker/run-worker.ts";
import { processGone, type Runner, startRunner } from "../../support/runner.ts";
import { type ServedJob, StreamServer } from "../../support/stream-server.ts";

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

function start(
  script: string,
  options: Partial<RunnerOptions> = {},
  system: Partial<RunnerSystem> = {},
): Runner {
  const runner = startRunner(server, { command: ["sh", "-c", script], ...options }, system);
  runners.push(runner);
  return runner;
}

const text = (value: unknown) => (value as RawJson | undefined)?.text;
const ended = (job: ServedJob) =>
  server.until(() => job.acks.length + job.fails.length + job.releases.length > 0);

async function runOne(
  script: string,
  payload = "{}",
  jobOptions: Record<string, unknown> = {},
): Promise<ServedJob> {
  start(script);
  const job = server.add("q", new RawJson(payload), jobOptions);
  await ended(job);
  return job;
}

describe("what the command is given", () => {
  test("the payload arrives on stdin byte for byte", async () => {
    const payload = '{"n":12345678901234567890,\n "b":1.0, "s":"é\\u00e9\\n"}';

    const job = await runOne("cat", payload);

    expect(text(job.acks[0]?.["result"])).toBe(payload);
  });

  test("bytes arrive on stdin as they are, with their type in the environment", async () => {
    const job = await runOne('printf \'"%s %s"\' "$CORVO_CONTENT_TYPE" "$(od -An -tx1)"', "null", {
      content_type: "image/png",
      payload_base64: "AAEC/w==",
    });

    expect(text(job.acks[0]?.["result"])).toBe('"image/png  00 01 02 ff"');
  });

  test("a blob arrives on stdin as a stream, longer than a pipe", async () => {
    async function* content() {
      for (let i = 0; i < 40; i++) yield Buffer.alloc(10_000, i);
    }
    start("wc -c", {}, { openBlob: async () => content() });
    const job = server.add("q", new RawJson("null"), {
      content_type: "a/b",
      payload_blob: "a".repeat(64),
    });
    await ended(job);

    expect(text(job.acks[0]?.["result"])).toBe("400000");
  });

  test("a command that got a part of a blob is stopped, and its job given back", async () => {
    async function* broken() {
      yield Buffer.from("the beginning");
      throw new Error("the node is gone");
    }
    start("cat; echo done", {}, { openBlob: async () => broken() });
    const job = server.add("q", new RawJson("null"), { payload_blob: "a".repeat(64) });
    await ended(job);

    expect(job.acks).toEqual([]);
    expect(job.fails).toEqual([]);
    expect(job.releases).toHaveLength(1);
  });

  test("a job whose blob cannot be had is given back without an attempt", async () => {
    start("cat", {}, { openBlob: () => Promise.reject(new Error("nobody has it")) });
    const job = server.add("q", new RawJson("null"), { payload_blob: "a".repeat(64) });
    await ended(job);

    expect(job.releases).toHaveLength(1);
  });

  test("a payload larger than a pipe may be left unread", async () => {
    const job = await runOne("exec <&-; exit 0", JSON.stringify("x".repeat(250_000)));

    expect(job.acks).toHaveLength(1);
  });

  test("the environment names the job", async () => {
    const job = await runOne(
      'printf \'{"id":"%s","q":"%s","a":%s,"m":%s,"t":"%s","tags":%s,"s":"%s"}\' "$CORVO_JOB_ID" "$CORVO_QUEUE" "$CORVO_ATTEMPT" "$CORVO_MAX_RETRIES" "$CORVO_LEASE_TOKEN" "$CORVO_TAGS" "$CORVO_SERVER"',
      "{}",
      { tags: { a: "b" } },
    );

    expect(JSON.parse(text(job.acks[0]?.["result"]) ?? "")).toEqual({
      id: job.id,
      q: "q",
      a: 1,
      m: 3,
      t: job.acks[0]?.lease_token,
      tags: { a: "b" },
      s: server.url,
    });
  });

  test("the checkpoint file holds the last checkpoint", async () => {
    const job = await runOne('cat "$CORVO_CHECKPOINT_FILE"', "{}", {
      checkpoint: new RawJson('{"page": 7.0}'),
    });

    expect(text(job.acks[0]?.["result"])).toBe('{"page": 7.0}');
  });
});

describe("how an attempt ends", () => {
  test("the result file wins over stdout", async () => {
    const job = await runOne('echo 1; echo \'{"big": 1.0}\' > "$CORVO_RESULT_FILE"');

    expect(text(job.acks[0]?.["result"])).toBe('{"big": 1.0}');
  });

  test("stdout that is not one JSON document is no result", async () => {
    const job = await runOne("echo '{} {}'");

    expect(job.acks[0]).not.toHaveProperty("result");
    expect(job.acks[0]?.["output"]).toBe("{} {}\n");
  });

  test("a result file without JSON fails the attempt and says so", async () => {
    const job = await runOne('echo nonsense > "$CORVO_RESULT_FILE"');

    expect(job.fails[0]?.["error"]).toContain("CORVO_RESULT_FILE is not one JSON document");
  });

  test("a result file over the limit fails the attempt and names the limit", async () => {
    const job = await runOne('head -c 5000000 /dev/zero > "$CORVO_RESULT_FILE"');

    expect(job.fails[0]?.["error"]).toContain("5000000 bytes, the limit is 4194304");
  });

  test("another exit code fails with the last lines of stderr", async () => {
    const job = await runOne("seq 1 100 >&2; exit 3");

    expect(job.fails[0]?.["error"]).toStartWith("exit code 3: 81\n82\n");
    expect(job.fails[0]).not.toHaveProperty("retryable");
  });

  test.each([
    [65, false, "sends the job to dead"],
    [75, true, "asks for a retry"],
  ])("exit code %i has retryable=%p: %s", async (code, retryable) => {
    const job = await runOne(`exit ${code}`);

    expect(job.fails[0]?.["retryable"]).toBe(retryable);
    expect(job.fails[0]?.["error"]).toBe(`exit code ${code}`);
  });

  test("death by a signal is named", async () => {
    const job = await runOne("echo last words >&2; kill -SEGV $$");

    expect(job.fails[0]?.["error"]).toBe("killed by SIGSEGV: last words");
  });

  test("a command that the command does not find is told from other failures", async () => {
    const job = await runOne("no-such-program-here");

    expect(job.fails[0]?.["error"]).toContain("exit code 127 (command not found)");
  });

  test("a program that cannot be started gives the job back", async () => {
    runners.push(startRunner(server, { command: ["/no/such/program"] }));
    const job = server.add("q", null);

    await ended(job);

    expect(job.releases[0]?.["delay"]).toBe("5s");
  });

  test("output of both streams is kept, the last 64 KiB of it as valid UTF-8", async () => {
    const job = await runOne(
      "printf '\\303'; for i in $(seq 20000); do echo ééé; done; echo end >&2; sleep 0.05",
    );

    const output = String(job.acks[0]?.["output"]);
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(65_536);
    expect(Buffer.byteLength(output)).toBeGreaterThan(65_500);
    expect(output).toContain("end\n");
    expect(output).not.toContain("\uFFFD");
  });

  test("what the command leaves behind is killed", async () => {
    const job = await runOne("sleep 1000 >/dev/null 2>&1 & echo $!");

    expect(await processGone(Number(text(job.acks[0]?.["result"])))).toBe(true);
  });
});

describe("an output that stays open", () => {
  test("is waited for a moment and told", async () => {
    const runner = start("setsid sleep 1000 & echo $!");
    const job = server.add("q", new RawJson("{}"));
    await ended(job);
    const left = Number(text(job.acks[0]?.["result"]));

    process.kill(left);
    expect(runner.logger.lines.join("\n")).toContain("its output is still open");
  });
});

describe("progress and checkpoints", () => {
  test("progress lines become progress and are not part of the result", async () => {
    start(
      "echo '::corvo progress 1/4 first'; echo '::corvo progress 3/4 third one'; echo '[1,'; while [ ! -e \"$CORVO_CHECKPOINT_FILE.go\" ]; do sleep 0.02; done; echo '2]'",
    );
    const job = server.add("q", null);
    await server.until(() => job.progress.length > 0);
    const runner = runners[0];
    const folder = runner?.filesLeft()[0];
    expect(folder).toBeDefined();
    await Bun.write(`${runner?.temporaryFolder}/${folder}/job-1/checkpoint.json.go`, "");

    await ended(job);

    expect(job.progress).toEqual(['{"current":3,"total":4,"message":"third one"}']);
    expect(text(job.acks[0]?.["result"])).toBe("[1,\n2]");
  });

  test("a checkpoint that was written is there for the next attempt after a failure", async () => {
    const job = await runOne('echo \'{"at": 5}\' > "$CORVO_CHECKPOINT_FILE"; exit 1');

    expect(job.checkpoint?.text).toBe('{"at": 5}');
  });

  test("a checkpoint is sent while the command runs, with the heartbeats", async () => {
    start('echo 1 > "$CORVO_CHECKPOINT_FILE"; exec sleep 100', { leaseMs: 300 });
    const job = server.add("q", null);

    await server.until(() => job.checkpoint !== undefined);

    expect(job.state).toBe("active");
  });
});

describe("stopping a command", () => {
  const stubborn =
    "trap '' TERM; sleep 1000 & echo $$ >&2; echo $! >&2; (trap '' TERM; sleep 1000) & echo $! >&2; wait; wait";

  async function pidsOf(runner: Runner, count: number): Promise<number[]> {
    const pids = () => runner.written.join("").match(/\d+$/gm) ?? [];
    await server.until(() => pids().length >= count);
    return pids().map(Number);
  }

  test("a time-out ends the whole process group, with SIGKILL if need be, and fails the attempt", async () => {
    const runner = start(stubborn, { timeoutMs: 150, killAfterMs: 100 });
    const job = server.add("q", null);
    const pids = await pidsOf(runner, 3);

    await ended(job);

    for (const pid of pids) expect(await processGone(pid)).toBe(true);
    expect(job.fails[0]?.["error"]).toStartWith("timed out after 150ms: killed by SIG");
  });

  test("the time-out of the job wins over that of the worker", async () => {
    start("exec sleep 1000", { timeoutMs: 60_000 });
    const job = server.add("q", null, { timeout_ms: 50 });

    await ended(job);

    expect(job.fails[0]?.["error"]).toBe("timed out after 50ms: killed by SIGTERM");
  });

  test.each(["cancel", "lost"])(
    "a job that is revoked (%s) is stopped and not reported",
    async (reason) => {
      const runner = start("echo $$; exec sleep 1000");
      const job = server.add("q", null);
      const [pid] = await pidsOf(runner, 1);

      server.push({ revoked: [{ job_id: job.id, lease_token: job.token, reason }] });

      expect(await processGone(pid ?? 0)).toBe(true);
      runner.signal();
      expect(await runner.exit).toBe(0);
      expect(runner.logger.lines.at(-1)).toContain("1 dropped");
      expect(job.acks.length + job.fails.length + job.releases.length).toBe(0);
    },
  );

  test("a lease that turns out to be lost at a heartbeat stops the command", async () => {
    const runner = start("echo $$; exec sleep 1000", { leaseMs: 150 });
    const job = server.add("q", null);
    const [pid] = await pidsOf(runner, 1);

    job.token = "another";

    expect(await processGone(pid ?? 0)).toBe(true);
    expect(job.acks.length + job.fails.length).toBe(0);
  });
});
