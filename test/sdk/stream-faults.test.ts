/** The stream under random faults of the server: what it answers must agree with what the server has done. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RawJson } from "../../src/base/json.ts";
import { openStream, type Stream } from "../../src/sdk/stream.ts";
import type { ItemAnswer } from "../../src/sdk/stream-frame.ts";
import { type FrameVerdict, StreamServer } from "../support/stream-server.ts";
import { random, timers } from "../support/system-ports.ts";

const busy = { code: "OVERLOADED", error: "busy", retry_after_ms: 1 };
const faults = [
  "ok",
  "ignore",
  "apply-silently",
  "busy",
  "busy but for enqueue",
  "unknown",
] as const;
type Fault = (typeof faults)[number];

function verdictOf(server: StreamServer, fault: Fault, frame: object): FrameVerdict {
  if (fault === "busy") return busy;
  if (fault === "busy but for enqueue")
    return "enqueue" in frame ? { ...busy, only: "enqueue" } : busy;
  if (fault === "unknown") return { ...busy, code: "OUTCOME_UNKNOWN" };
  // A frame without an answer is only noticed when the connection ends.
  if (fault !== "ok") setTimeout(() => server.breakConnections(), 1);
  return fault;
}

interface Scenario {
  readonly plan: readonly Fault[];
  readonly count: number;
  readonly framesMax: number;
  readonly isUnique: boolean;
}

const scenarios = fc.record<Scenario>({
  plan: fc.array(fc.constantFrom(...faults), { maxLength: 12 }),
  count: fc.integer({ min: 1, max: 40 }),
  framesMax: fc.integer({ min: 1, max: 3 }),
  isUnique: fc.boolean(),
});

/** Adds jobs and acks each as it comes, until the server has finished all that it holds. */
async function play(server: StreamServer, scenario: Scenario) {
  const { plan, count, framesMax, isUnique } = scenario;
  const added = new Map<number, ItemAnswer[]>();
  /** By lease token. */
  const acked = new Map<string, ItemAnswer[]>();
  const note =
    <K>(map: Map<K, ItemAnswer[]>, key: K) =>
    (answer: ItemAnswer) => {
      map.set(key, [...(map.get(key) ?? []), answer]);
      server.changed();
    };
  const faultsLeft = [...plan];
  server.judge = (frame) => verdictOf(server, faultsLeft.shift() ?? "ok", frame);
  const stream: Stream = openStream(
    {
      server: server.url,
      WebSocket,
      timers,
      random,
      defer: setImmediate,
      framesMax,
      resendUnique: isUnique,
      backoffMs: 2,
      backoffMsMax: 4,
    },
    {
      opened: () => stream.claim({ queues: ["q"], credits: 100 }),
      jobs: (jobs) => {
        stream.claim({ queues: ["q"], credits: jobs.length });
        for (const { job_id, lease_token } of jobs) {
          stream.ack({ job_id, lease_token }, note(acked, lease_token));
        }
      },
    },
  );
  for (let n = 0; n < count; n++) {
    const key = isUnique ? { unique_key: `k${n}` } : {};
    stream.enqueue({ queue: "q", payload: new RawJson(String(n)), ...key }, note(added, n));
    if (n % 7 === 0) await Bun.sleep(0);
  }
  const isOver = () => {
    const jobs = [...server.jobs.values()];
    const isAnswered = added.size === count && stream.openCount === 0;
    return isAnswered && jobs.every((job) => job.state === "completed");
  };
  // Leases of jobs that were pushed into a broken connection end some time.
  const pulse = setInterval(() => {
    for (const job of server.jobs.values()) {
      if (job.state === "active" && !acked.has(job.token ?? "")) server.expire(job);
    }
    server.changed();
  }, 5);
  await server.until(isOver);
  clearInterval(pulse);
  stream.close();
  return { added, acked };
}

test("every item is answered once, and the answer agrees with what the server did", async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const server = new StreamServer().start();
      const { added, acked } = await play(server, scenario);
      await server.stop();

      const jobs = [...server.jobs.values()];
      for (let n = 0; n < scenario.count; n++) {
        const held = jobs.filter((job) => job.payload?.text === String(n)).length;
        const [answer, second] = added.get(n) ?? [];
        expect(second).toBeUndefined();
        if (answer?.code === undefined) expect(held).toBe(1);
        else expect([answer.code, scenario.isUnique]).toEqual(["OUTCOME_UNKNOWN", false]);
        expect(held).toBeLessThanOrEqual(1);
      }
      for (const job of jobs) expect(job.acks).toHaveLength(1);
      const tokens = jobs.map((job) => job.acks[0]?.lease_token);
      for (const [token, answers] of acked) {
        expect(answers).toHaveLength(1);
        // What was acked is told as such, or not known; only another attempt's ack is plainly refused.
        const codes = tokens.includes(token)
          ? [undefined, "OUTCOME_UNKNOWN"]
          : ["OUTCOME_UNKNOWN", "LEASE_LOST"];
        expect(codes).toContain(answers[0]?.code);
      }
    }),
    { numRuns: 40 },
  );
}, 20_000);
