/**
 * Random traffic of streaming workers and producers against what must hold for any: no worker is pushed more jobs than
 * it gave credits, no job is pushed to two workers at a time, and when nothing is on its way any more no job
 * waits while a worker waits for it.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { LimitValues } from "../../src/engine/limits/setting.ts";
import { NodeRig, settle } from "../support/node-rig.ts";

const names = ["a", "b", "c"];
const queuesOf = fc.shuffledSubarray(names, { minLength: 1 });
const worker = fc.nat({ max: 3 });

const step = fc.oneof(
  fc.record({
    kind: fc.constant("enqueue" as const),
    queue: fc.constantFrom(...names),
    count: fc.integer({ min: 1, max: 4 }),
    delayMs: fc.constantFrom(0, 0, 50),
    lane: fc.constantFrom<object>(
      {},
      {},
      { limit_key: "k" },
      { limit_key: "l", limit_cost: 2 },
      { fifo_key: "f" },
      { resources: { r: 1 }, group: "g" },
      { resources: { r: 2 }, group: "h" },
    ),
  }),
  fc.record({
    kind: fc.constant("limit" as const),
    target: fc.oneof(
      fc.record({
        scope: fc.constantFrom("queue" as const, "eachKey" as const),
        queue: fc.constantFrom(...names),
        name: fc.constant(""),
      }),
      fc.constant({ scope: "resource" as const, queue: "", name: "r" }),
    ),
    values: fc.constantFrom<LimitValues>(
      {},
      { concurrency: 1 },
      { concurrency: 2 },
      { rate: { kind: "token", count: 1, windowMs: 40 } },
      { rate: { kind: "sliding", count: 2, windowMs: 90 } },
      { rate: { kind: "leaky", count: 3, windowMs: 100 }, concurrency: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant("pauseLimit" as const),
    queue: fc.constantFrom(...names),
    pauseMs: fc.constantFrom(0, 60),
  }),
  fc.record({
    kind: fc.constant("claim" as const),
    worker,
    queues: queuesOf,
    credits: fc.nat({ max: 3 }),
    leaseMs: fc.constantFrom(100, 60_000),
  }),
  fc.record({
    kind: fc.constantFrom("ack" as const, "fail" as const, "release" as const),
    worker,
    count: fc.integer({ min: 1, max: 2 }),
  }),
  fc.record({ kind: fc.constant("disconnect" as const), worker }),
  fc.record({ kind: fc.constant("full" as const), worker }),
  fc.record({ kind: fc.constant("drained" as const), worker }),
  fc.record({
    kind: fc.constant("pause" as const),
    queue: fc.constantFrom(...names),
    paused: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom("hold" as const, "go" as const) }),
  fc.record({ kind: fc.constant("disk" as const), isFull: fc.boolean() }),
  fc.record({ kind: fc.constant("pass" as const), durationMs: fc.constantFrom(1, 50, 100) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Lease {
  readonly job_id: string;
  readonly lease_token: string;
}

/** One streaming worker, and what it may expect. */
class ModelWorker {
  readonly #rig: NodeRig;
  readonly #all: Map<string, string>;
  #session: ReturnType<NodeRig["service"]["stream"]["open"]>;
  #frame = 0;
  credits = 0;
  queues: readonly string[] = [];
  readonly held: Lease[] = [];
  isFull = false;
  readonly faults: string[] = [];

  constructor(rig: NodeRig, active: Map<string, string>) {
    this.#rig = rig;
    this.#all = active;
    this.#session = this.#open();
  }

  send(members: object): void {
    this.#session.frame({ id: this.#frame++, ...members }).catch((error) => {
      throw error;
    });
  }

  disconnect(): void {
    this.#session.close();
    this.#session = this.#open();
    this.credits = 0;
    this.held.length = 0;
  }

  drained(): void {
    if (!this.isFull) return;
    this.isFull = false;
    this.#session.drained();
  }

  #open() {
    let isOpen = true;
    const session = this.#rig.service.stream.open((text) => {
      if (!isOpen) this.faults.push("pushed after the end");
      this.#pushed(JSON.parse(text) as { jobs?: Lease[]; revoked?: Lease[] });
      return !this.isFull;
    });
    return {
      ...session,
      frame: (frame: Parameters<typeof session.frame>[0]) => session.frame(frame),
      drained: () => session.drained(),
      close: () => {
        isOpen = false;
        session.close();
      },
    };
  }

  #pushed(message: { jobs?: Lease[]; revoked?: Lease[] }): void {
    for (const lease of message.revoked ?? []) {
      const at = this.held.findIndex((one) => one.lease_token === lease.lease_token);
      if (at >= 0) this.held.splice(at, 1);
    }
    for (const lease of message.jobs ?? []) {
      this.credits--;
      this.held.push(lease);
      if (this.#all.has(lease.lease_token)) this.faults.push("pushed twice");
      this.#all.set(lease.lease_token, lease.job_id);
    }
    if (this.credits < 0) this.faults.push("pushed more jobs than there were credits");
  }
}

async function play(rig: NodeRig, workers: readonly ModelWorker[], step: Step): Promise<void> {
  const of = (index: number) => workers[index] as ModelWorker;
  switch (step.kind) {
    case "enqueue":
      for (let i = 0; i < step.count; i++) {
        const delay = step.delayMs === 0 ? {} : { delay: `${step.delayMs}ms` };
        rig.enqueue({ queue: step.queue, ...delay, ...step.lane }).catch(() => undefined);
      }
      break;
    case "limit": {
      const { target, values } = step;
      rig.replica.submit({ kind: "setLimit", target, values }).catch(() => undefined);
      break;
    }
    case "pauseLimit": {
      const target = { scope: "queue" as const, queue: step.queue, name: "" };
      const { pauseMs } = step;
      rig.replica.submit({ kind: "pauseLimit", target, pauseMs }).catch(() => undefined);
      break;
    }
    case "claim": {
      // Taken back while jobs are on their way, credits could not be told from those spent.
      if (step.credits === 0 && rig.log.isHeld) return;
      const { queues, credits, leaseMs } = step;
      const one = of(step.worker);
      one.credits = credits === 0 ? 0 : one.credits + credits;
      one.queues = queues;
      one.send({ claim: { queues, credits, lease_ms: leaseMs } });
      break;
    }
    case "ack":
    case "fail":
    case "release": {
      const leases = of(step.worker).held.splice(0, step.count);
      const items = leases.map(({ job_id, lease_token }) => ({ job_id, lease_token, error: "e" }));
      if (items.length > 0) of(step.worker).send({ [step.kind]: items });
      break;
    }
    case "disconnect":
      of(step.worker).disconnect();
      break;
    case "full":
      of(step.worker).isFull = true;
      break;
    case "drained":
      of(step.worker).drained();
      break;
    case "pause":
      rig.setPaused(step.queue, step.paused).catch(() => undefined);
      break;
    case "hold":
      rig.log.isHeld = true;
      break;
    case "go":
      await rig.log.release();
      break;
    case "disk":
      rig.log.isFull = step.isFull;
      break;
    case "pass":
      await rig.time.pass(step.durationMs);
  }
  await settle();
}

/** Looking at b is what notices that the pause of c is over, and no batch follows that would tell those who wait there. */
const pausesThatEndWhileTheLogIsBusy: Step[] = [
  { kind: "enqueue", queue: "a", count: 1, delayMs: 50, lane: {} },
  { kind: "pauseLimit", queue: "c", pauseMs: 60 },
  { kind: "enqueue", queue: "c", count: 1, delayMs: 0, lane: {} },
  { kind: "claim", worker: 0, queues: ["b", "c"], credits: 1, leaseMs: 100 },
  { kind: "hold" },
  { kind: "pass", durationMs: 100 },
  { kind: "pauseLimit", queue: "b", pauseMs: 0 },
  { kind: "hold" },
];

test("[LM10] no traffic makes a worker get more than its credits, or a job wait for nobody", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
      async (steps) => {
        const rig = new NodeRig();
        const leases = new Map<string, string>();
        const workers = [0, 1, 2, 3].map(() => new ModelWorker(rig, leases));
        for (const one of steps) {
          await play(rig, workers, one);
          expect(workers.flatMap((worker) => worker.faults)).toEqual([]);
        }

        rig.log.isFull = false;
        await rig.log.release();
        // A disk that was full is tried again by itself.
        await rig.time.pass(2000);
        // A worker whose buffer is said to be full only gets that far when something was pushed to it.
        for (const one of workers) one.drained();
        await settle();
        await rig.time.pass(1);
        for (const one of workers) {
          if (one.credits === 0) continue;
          for (const queue of one.queues)
            expect([queue, rig.replica.engine.claimable(queue)]).toEqual([queue, 0]);
        }
        // What time alone let go has been given out when it was time: looking again finds nothing.
        const pushed = leases.size;
        await rig.replica.submit({ kind: "advanceTime", limit: 1000 });
        await settle();
        expect(leases.size).toBe(pushed);
      },
    ),
    { numRuns: 1000, examples: [[pausesThatEndWhileTheLogIsBusy]] },
  );
}, 20_000);
