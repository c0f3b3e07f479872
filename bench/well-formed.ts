/**
 * What the last look before the log costs: nanoseconds for each job of an enqueue, a claim and an ack, in calls of one and of
 * a hundred. Run: bun bench/well-formed.ts
 */
import type { Change, NewJob } from "../src/engine/change.ts";
import { refuseIllFormed } from "../src/engine/well-formed.ts";

const payload = JSON.stringify({ to: "someone@example.org", text: "x".repeat(200) });
const plain = (): NewJob => ({ queue: "mail", payload });
const rich = (): NewJob => ({
  ...{ queue: "mail", payload, priority: 1, delayMs: 1000 },
  options: { maxRetries: 5, backoff: "linear", tags: '{"a":"b"}', lane: { key: "k", group: "g" } },
});

function changesOf(count: number): Record<string, Change> {
  const many = <T>(make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
  return {
    "enqueue, plain": { kind: "enqueue", jobs: many(plain) },
    "enqueue, six options": { kind: "enqueue", jobs: many(rich) },
    claim: { kind: "claim", queues: ["mail"], count, leaseMs: 60_000, workerId: "worker-1" },
    ack: { kind: "ack", items: many((i) => ({ seq: i + 1, token: i + 7 })) },
  };
}

function nanosecondsOfOne(change: Change, count: number): number {
  const rounds = Math.ceil(2_000_000 / count);
  const run = () => {
    const startNs = Bun.nanoseconds();
    for (let i = 0; i < rounds; i++) refuseIllFormed(change);
    return (Bun.nanoseconds() - startNs) / (rounds * count);
  };
  run();
  return Math.min(run(), run(), run());
}

for (const count of [1, 100]) {
  for (const [name, change] of Object.entries(changesOf(count))) {
    const cost = nanosecondsOfOne(change, count).toFixed(0);
    console.log(
      `${name.padEnd(24)} ${String(count).padStart(3)} jobs a call ${cost.padStart(6)} ns a job`,
    );
  }
}
