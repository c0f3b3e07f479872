import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RawJson } from "../../src/base/json.ts";
import { createWorker, type Worker, type WorkerOptions } from "../../src/sdk/worker.ts";
import type { JobRun, RunStopped } from "../../src/sdk/worker-run.ts";
import { type ServedJob, StreamServer } from "../support/stream-server.ts";
import { memoryLogger, random, timers } from "../support/system-ports.ts";

let server: StreamServer;
let logger: ReturnType<typeof memoryLogger>;
const workers: Worker[] = [];

beforeEach(() => {
  server = new StreamServer().start();
  logger = memoryLogger();
});

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.stop(0);
    await worker.finished;
  }
  await server.stop();
});

function start(options: Partial<WorkerOptions> & Pick<WorkerOptions, "handler">): Worker {
  const worker = createWorker({
    stream: {
      server: server.url,
      WebSocket,
      timers,
      random,
      defer: setImmediate,
      backoffMs: 10,
      backoffMsMax: 40,
    },
    queues: ["q"],
    concurrency: 1,
    leaseMs: 60_000,
    workerId: "w",
    logger,
    abandonMs: 200,
    ...options,
  });
  workers.push(worker);
  return worker;
}

const done = { kind: "done" } as const;
const addMany = (count: number) =>
  Array.from({ length: count }, (_, n) => server.add("q", new RawJson(`${n}`)));
const untilStopped = (run: JobRun) =>
  new Promise<RunStopped>((resolve) => {
    run.signal.addEventListener("abort", () => resolve(run.signal.reason));
  });
const allIn = (jobs: readonly ServedJob[], state: string) => () =>
  jobs.every((job) => job.state === state);

describe("credits", () => {
  test("there are never more jobs at one time than slots, and all of them are run once", async () => {
    let running = 0;
    let most = 0;
    const full = Promise.withResolvers<void>();
    const jobs = addMany(300);
    start({
      concurrency: 7,
      async handler(run) {
        most = Math.max(most, ++running);
        // The first ones stay until every slot has one.
        if (most === 7) full.resolve();
        await full.promise;
        if (Number(run.payload.text) % 3 === 0) await Bun.sleep(1);
        running--;
        return done;
      },
    });
    await server.until(() => jobs.some((job) => job.state === "completed"));
    const later = addMany(200);

    await server.until(allIn([...jobs, ...later], "completed"));

    expect(most).toBe(7);
    expect([...jobs, ...later].every((job) => job.attempt === 1)).toBe(true);
    expect(server.frames.some((frame) => frame["release"] !== undefined)).toBe(false);
  });
});

describe("outcomes", () => {
  test("a result and the last checkpoint go with the ack", async () => {
    const job = server.add("q", null);
    start({
      async handler(run) {
        run.checkpoint(new RawJson("[1]"));
        run.checkpoint(new RawJson("[1.0]"));
        return { kind: "done", result: new RawJson("2.0"), output: "out" };
      },
    });

    await server.until(() => job.acks.length === 1);

    const ack = job.acks[0];
    expect([ack?.["result"], ack?.["checkpoint"]]).toEqual([
      new RawJson("2.0"),
      new RawJson("[1.0]"),
    ]);
    expect(ack?.["output"]).toBe("out");
  });

  test("an absent payload reads as null", async () => {
    const seen = Promise.withResolvers<string>();
    start({
      async handler(run) {
        seen.resolve(run.payload.text);
        return done;
      },
    });
    server.add("q", null);

    expect(await seen.promise).toBe("null");
  });

  test("a handler that throws fails the attempt with message and stack", async () => {
    const job = server.add("q", null);
    start({ handler: () => Promise.reject(new TypeError("no such host")) });

    await server.until(() => job.fails.length === 1);

    expect(job.fails[0]?.["error"]).toBe("no such host");
    expect(job.fails[0]?.["backtrace"]).toContain("worker.test.ts");
  });

  test("a failure comes after the checkpoint that it cannot carry", async () => {
    const job = server.add("q", null);
    start({
      async handler(run) {
        run.watchCheckpoint(() => new RawJson("7"));
        return { kind: "failed", error: "x", retryable: false };
      },
    });

    await server.until(() => job.fails.length === 1);

    expect(job.checkpoint?.text).toBe("7");
    expect(job.state).toBe("dead");
  });

  test("a result that the server refuses fails the attempt with the reason", async () => {
    server.judge = (frame) =>
      frame["ack"] === undefined ? "ok" : { code: "PAYLOAD_TOO_LARGE", error: "result: 9 bytes" };
    const job = server.add("q", null);
    start({ handler: () => Promise.resolve(done) });

    await server.until(() => job.fails.length === 1);

    expect(job.fails[0]?.["error"]).toContain("PAYLOAD_TOO_LARGE: result: 9 bytes");
  });

  test("a checkpoint that the server refuses costs neither the lease nor the result", async () => {
    server.judge = (frame) => {
      const items = [frame["heartbeat"], frame["ack"]].flatMap((list) => (list ?? []) as object[]);
      return items.some((item) => "checkpoint" in item)
        ? { code: "PAYLOAD_TOO_LARGE", error: "checkpoint: 9 bytes" }
        : "ok";
    };
    const beaten = () =>
      server.frames.filter((frame) => frame["heartbeat"] !== undefined).length > 1;
    const job = server.add("q", null);
    start({
      async handler(run) {
        run.checkpoint(new RawJson("1"));
        await server.until(beaten);
        run.checkpoint(new RawJson("2"));
        return { kind: "done", result: new RawJson("3") };
      },
    });

    await server.until(() => job.state === "completed");

    expect(job.acks[0]?.["result"]).toEqual(new RawJson("3"));
    expect(logger.lines.filter((line) => line.includes("checkpoint: 9 bytes"))).toHaveLength(2);
  });

  test("a checkpoint that is refused each time leaves the lease, which goes on without it", async () => {
    const hasCheckpoint = (frame: Record<string, unknown>) =>
      ((frame["heartbeat"] ?? []) as object[]).some((item) => "checkpoint" in item);
    server.judge = (frame) =>
      hasCheckpoint(frame) ? { code: "PAYLOAD_TOO_LARGE", error: "checkpoint: 9 bytes" } : "ok";
    const job = server.add("q", null);
    let count = 0;
    start({
      leaseMs: 90,
      async handler(run) {
        run.watchCheckpoint(() => new RawJson(String(count++)));
        // For more than twice the time of the lease.
        await server.until(() => server.frames.filter(hasCheckpoint).length > 8);
        run.watchCheckpoint(() => undefined);
        return { kind: "done", result: new RawJson(String(run.signal.aborted)) };
      },
    });

    await server.until(() => job.state === "completed");

    expect(job.acks[0]?.["result"]).toEqual(new RawJson("false"));
  });
});

describe("leases", () => {
  test("all held jobs are in one heartbeat frame, each third of the lease", async () => {
    addMany(5);
    start({
      concurrency: 5,
      leaseMs: 150,
      async handler(run) {
        await untilStopped(run);
        return done;
      },
    });
    const beats = () => server.frames.filter((frame) => frame["heartbeat"] !== undefined);

    await server.until(() => beats().length === 3);

    for (const frame of beats()) expect(frame["heartbeat"]).toHaveLength(5);
    expect(beats()[0]).toMatchObject({ heartbeat: Array(5).fill({ lease_ms: 150 }) });
  });

  test.each([
    ["cancelled", "cancel"],
    ["lost", "lost"],
  ])("a job that was %s at a heartbeat is stopped and not reported", async (reason, how) => {
    const stopped = Promise.withResolvers<RunStopped>();
    const worker = start({
      leaseMs: 120,
      async handler(run) {
        stopped.resolve(await untilStopped(run));
        return done;
      },
    });
    const job = server.add("q", null);
    await server.until(() => job.state === "active");

    if (how === "cancel") job.state = "cancelled";
    else job.token = "another";

    expect((await stopped.promise).reason).toBe(reason as "lost");
    worker.stop(0);
    expect((await worker.finished).dropped).toBe(1);
    expect(job.acks).toHaveLength(0);
  });

  test("progress is gathered and the last value wins", async () => {
    const job = server.add("q", null);
    start({
      async handler(run) {
        for (let n = 0; n < 100; n++) run.progress(new RawJson(`${n}`));
        await untilStopped(run);
        return done;
      },
    });

    await server.until(() => job.progress.length > 0);

    expect(job.progress).toEqual(["99"]);
  });

  test.each([
    ["done", done],
    ["failed", { kind: "failed", error: "no" }],
  ] as const)("the last progress of a job that is %s arrives before that", async (_, outcome) => {
    const job = server.add("q", null);
    start({
      async handler(run) {
        run.progress(new RawJson("1"));
        await server.until(() => job.progress.length > 0);
        run.progress(new RawJson("2"));
        return outcome;
      },
    });

    await server.until(() => job.acks.length + job.fails.length > 0);

    expect(job.progress).toEqual(["1", "2"]);
  });
});

describe("when the server goes away", () => {
  test("handlers go on and their results arrive after it is back", async () => {
    const release = Promise.withResolvers<void>();
    const job = server.add("q", null);
    const worker = start({
      async handler() {
        await release.promise;
        return { kind: "done", result: new RawJson("1") };
      },
    });
    await server.until(() => job.state === "active");

    await server.stop();
    release.resolve();
    await Bun.sleep(30);
    server.start();
    await server.until(() => job.state === "completed");

    expect(job.attempt).toBe(1);
    worker.stop(0);
    expect((await worker.finished).done).toBe(1);
  });

  test("after a reconnect a lease that ended meanwhile is noticed at once", async () => {
    const stopped = Promise.withResolvers<string>();
    const job = server.add("q", null);
    start({
      async handler(run) {
        stopped.resolve((await untilStopped(run)).reason);
        return done;
      },
    });
    await server.until(() => job.state === "active");

    job.token = "another";
    server.breakConnections();
    expect(await stopped.promise).toBe("lost");
    expect(server.connections).toBe(2);
    expect(job.acks).toHaveLength(0);
  });

  test.each([
    ["goes away", "over", () => server.stop()],
    ["goes away", "live", () => server.stop()],
    ["falls silent", "live", () => server.mute()],
  ])(
    "a handler is stopped when the server %s for as long as its lease, and not before; its lease is %s after that",
    async (_, found, leave) => {
      const stopped = Promise.withResolvers<string>();
      const release = Promise.withResolvers<void>();
      const job = server.add("q", null);
      start({
        leaseMs: 90,
        async handler(run) {
          if (run.job.attempt > 1) return done;
          const { reason } = await untilStopped(run);
          stopped.resolve(reason);
          await release.promise;
          return { kind: "failed", error: "stopped" };
        },
      });
      // Renewed for several times its length.
      await server.until(() => server.frames.filter(({ heartbeat }) => heartbeat).length > 6);
      expect(job.state).toBe("active");

      await leave();
      expect(await stopped.promise).toBe("lost");
      if (found === "over") server.expire(job);
      release.resolve();
      await server.stop();
      server.start();
      await server.until(() => job.state === "completed");
      expect(job.fails).toEqual([]);
      expect(job.releases).toHaveLength(found === "live" ? 1 : 0);
    },
  );

  test("jobs go on being claimed after many broken connections", async () => {
    const jobs = addMany(400);
    start({
      concurrency: 10,
      async handler() {
        await Bun.sleep(1);
        return done;
      },
    });
    for (let round = 1; round <= 5; round++) {
      await server.until(() => jobs.filter((job) => job.state === "completed").length > round * 30);
      server.breakConnections();
      await server.until(() => server.connections > round);
    }
    for (const job of jobs) if (job.state === "active") server.expire(job);
    const isFinished = () => {
      for (const job of jobs) if (job.state === "active" && job.attempt === 1) return false;
      return jobs.every((job) => job.state !== "pending");
    };
    await server.until(isFinished);

    expect(jobs.filter((job) => job.acks.length > 1)).toEqual([]);
  });
});

describe("stopping", () => {
  test("running handlers may finish, nothing new is taken, what arrives meanwhile is given back", async () => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    server.add("q", null);
    const worker = start({
      async handler() {
        started.resolve();
        await release.promise;
        return done;
      },
    });
    await started.promise;

    worker.stop(60_000);
    const second = server.add("q", null);
    release.resolve();

    expect(await worker.finished).toMatchObject({ done: 1, returned: 0, unknown: 0 });
    expect(second.state).toBe("pending");
  });

  test("after the grace period handlers are stopped and their jobs given back with the checkpoint", async () => {
    const started = Promise.withResolvers<void>();
    const job = server.add("q", null);
    const worker = start({
      async handler(run) {
        started.resolve();
        const stop = await untilStopped(run);
        run.checkpoint(new RawJson('"half"'));
        throw stop;
      },
    });
    await started.promise;

    worker.stop(20);

    expect(await worker.finished).toMatchObject({ done: 0, failed: 0, returned: 1 });
    expect(job.releases).toHaveLength(1);
    expect(job.checkpoint?.text).toBe('"half"');
  });

  test("a handler that ignores the signal is abandoned and its job given back", async () => {
    const job = server.add("q", null);
    const started = Promise.withResolvers<void>();
    const handler = () => {
      started.resolve();
      return new Promise<never>(() => {});
    };
    const worker = start({ handler, abandonMs: 20 });
    await started.promise;

    worker.stop(0);

    expect(await worker.finished).toMatchObject({ returned: 1 });
    expect(job.releases).toHaveLength(1);
  });

  test("a claim that is refused for good ends the worker with the reason", async () => {
    server.judge = () => ({ code: "UNAUTHORIZED", error: "key revoked" });

    const report = await start({ handler: () => Promise.resolve(done) }).finished;

    expect(report.fault).toMatchObject({ code: "UNAUTHORIZED" });
    expect(report.fault?.message).toContain("key revoked");
  });
});

describe("draining", () => {
  test("the worker ends when no job is waiting and none is running", async () => {
    const jobs = addMany(20);
    const worker = start({
      concurrency: 3,
      async handler(run) {
        await Bun.sleep(2);
        if (run.payload.text === "5") server.add("q", new RawJson("99"));
        return done;
      },
      countWaiting: () => Promise.resolve(server.waiting(["q"])),
    });

    expect(await worker.finished).toMatchObject({ done: 21, unknown: 0 });
    expect(jobs.every((job) => job.state === "completed")).toBe(true);
  });

  test("a count that cannot be had is asked for again", async () => {
    let asked = 0;
    const worker = start({
      handler: () => Promise.resolve(done),
      countWaiting: () => (++asked < 3 ? Promise.reject(new Error("away")) : Promise.resolve(0)),
    });

    await worker.finished;

    expect(asked).toBe(4);
  });
});
