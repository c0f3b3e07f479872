/** Bytes of queues and uses of blobs. That the books agree with the jobs is checked after every change of every history. */
import { expect, test } from "bun:test";
import { blobForm } from "../../src/base/stored-value.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel, versionOfLevel } from "../../src/engine/feature-levels.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { EngineRig } from "../support/engine-rig.ts";

const hash = (digit: string) => digit.repeat(64);
const blob = (digit: string) => blobForm(hash(digit), 1_000_000, "image/png");
const text = (chars: number) => JSON.stringify("x".repeat(chars - 2));

function bytesOf(rig: EngineRig, queue = "q"): number {
  return rig.state.getQueue(queue)?.bytes ?? 0;
}

function blobsOf(rig: EngineRig): unknown {
  return Object.fromEntries(rig.state.records("blobs").entries());
}

test("[V6] a queue takes no payload beyond its bytes, and takes one again when there is room", () => {
  const rig = new EngineRig();
  rig.apply({ kind: "setQueueBytes", queue: "q", maxBytes: 1000 });
  const first = rig.add({ payload: text(600) });

  const refused = rig.enqueue({ payload: text(401) });
  const other = rig.enqueue({ queue: "r", payload: text(4000) });
  const fits = rig.enqueue({ payload: text(400) });
  rig.apply({ kind: "manage", action: "delete", seqs: [first] });
  const later = rig.enqueue({ payload: text(401) });

  expect(refused).toEqual({
    kind: "rejected",
    code: "QUEUE_FULL_BYTES",
    message:
      'queue "q" holds 600 bytes of payloads and results, and the job has 401 more; at most 1000 (max_bytes of the queue)',
  });
  expect([other.kind, fits.kind, later.kind]).toEqual(["added", "added", "added"]);
  expect(bytesOf(rig)).toBe(801);
});

test("[V6] a queue that is full takes a job that makes room for itself", () => {
  const rig = new EngineRig();
  const options = { uniqueKey: "k", onConflict: "replace" } as const;
  rig.apply({ kind: "setQueueBytes", queue: "q", maxBytes: 1000 });
  rig.add({ payload: text(900), options });

  const fits = rig.enqueue({ payload: text(1000), options });
  const refused = rig.enqueue({ payload: text(1001), options });

  expect(fits.kind).toBe("replaced");
  expect(refused).toMatchObject({ code: "QUEUE_FULL_BYTES" });
});

test("[V6] a full queue still gives out its jobs and takes their results", () => {
  const rig = new EngineRig();
  rig.add({ payload: text(900) });
  rig.apply({ kind: "setQueueBytes", queue: "q", maxBytes: 10 });

  const job = rig.claim();
  const outcome = rig.apply({
    kind: "ack",
    items: [{ seq: job.seq, token: job.token, result: text(500) }],
  });

  expect(outcome).toMatchObject({ results: [{ kind: "done", state: "completed" }] });
  expect(bytesOf(rig)).toBe(1400);
});

test("[V7] a trim removes no more finished jobs than it has to, and no other jobs", () => {
  const rig = new EngineRig();
  const seqs = Array.from({ length: 5 }, () => rig.add({ payload: text(100) }));
  for (const job of rig.claimMany(4)) {
    rig.apply({ kind: "ack", items: [{ seq: job.seq, token: job.token }] });
  }
  const trim = { kind: "trimQueue", queue: "q", seqs: [...seqs].reverse() } as const;

  const unbounded = rig.apply(trim);
  rig.apply({ kind: "setQueueBytes", queue: "q", keepBytes: 250 });
  const trimmed = rig.apply(trim);
  const again = rig.apply(trim);

  expect(unbounded).toEqual({ kind: "cleared", deleted: 0, more: false });
  expect(trimmed).toEqual({ kind: "cleared", deleted: 2, more: false });
  expect(again).toEqual({ kind: "cleared", deleted: 0, more: false });
  expect([...rig.state.jobs.keys()]).toEqual([1, 2, 5]);
});

test("[V5] a blob is kept for as long as a job has it, also when retention removes them unseen", () => {
  const rig = new EngineRig();
  rig.apply({
    kind: "configure",
    retention: { doneMs: 10_000, doneMax: 1000, deadMs: 1e9, deadMax: 1000 },
  });
  rig.add({ payload: blob("a") });
  rig.add({ payload: blob("a") });
  const [first, second] = rig.claimMany(2);
  if (first === undefined || second === undefined) throw new Error("both are ready");

  const whileActive = blobsOf(rig);
  rig.apply({ kind: "ack", items: [{ seq: first.seq, result: blob("b") }] });
  rig.pass(5000);
  rig.apply({ kind: "ack", items: [{ seq: second.seq }] });
  const whenDone = blobsOf(rig);
  rig.pass(20_000).tick();

  expect(whileActive).toEqual({ [hash("a")]: { bytes: 1_000_000, uses: 2 } });
  expect(whenDone).toEqual({
    [hash("a")]: { bytes: 1_000_000, uses: 2 },
    [hash("b")]: { bytes: 1_000_000, uses: 1 },
  });
  expect(blobsOf(rig)).toEqual({});
  expect([...rig.state.records("finishedBlobs").entries()]).toEqual([]);
  expect(bytesOf(rig)).toBe(0);
});

test("[V5] a start in between knows which blobs retention gives back", () => {
  const rig = new EngineRig();
  rig.add({ payload: blob("a") });
  const job = rig.claim();
  rig.apply({ kind: "ack", items: [{ seq: job.seq }] });

  const engine = new Engine(rig.state);
  engine.apply({
    nowMs: rig.nowMs + 400 * 3_600_000,
    seed: 0,
    changes: [{ kind: "advanceTime", limit: 10 }],
  });

  expect(blobsOf(rig)).toEqual({});
});

test("[V5] the leader hears when a blob gets its first use and when it loses its last", () => {
  const rig = new EngineRig();
  const heard = (act: () => void) => {
    act();
    return rig.engine.takeEffects().blobsChanged;
  };
  let seqs: number[] = [];

  expect(heard(() => seqs.push(rig.add({ payload: blob("a") })))).toBe(true);
  expect(heard(() => seqs.push(rig.add({ payload: blob("a") })))).toBe(false);
  expect(heard(() => rig.apply({ kind: "manage", action: "delete", seqs: [1] }))).toBe(false);
  expect(heard(() => rig.apply({ kind: "manage", action: "delete", seqs }))).toBe(true);
  seqs = [];
});

test("[V4] blobs are bounded in number", () => {
  const rig = new EngineRig();
  const table = rig.state.records("blobs");
  for (let i = 0; i < engineLimits.blobsMax; i++) table.put(String(i), { bytes: 1, uses: 1 });
  table.put(hash("a"), { bytes: 1, uses: 1 });
  const engine = new Engine(rig.state);
  const add = (payload: string) =>
    engine.apply({
      nowMs: rig.nowMs,
      seed: 0,
      changes: [{ kind: "enqueue", jobs: [{ queue: "q", payload }] }],
    })[0];

  expect(add(blob("b"))).toMatchObject({
    results: [{ code: "LIMIT_EXCEEDED", message: "100001 blobs are kept already (blobsMax)" }],
  });
  expect(add(blob("a"))).toMatchObject({ results: [{ kind: "added" }] });
});

test("[V6] jobs from before the level at which counting began are never counted", () => {
  const rig = new EngineRig();
  rig.state.meta.bytesFrom = undefined;
  rig.state.meta.featureLevel = 2;
  const old = rig.add({ payload: text(500) });
  const version = versionOfLevel(newestFeatureLevel);
  rig.apply({
    kind: "admitMember",
    uuid: "u",
    httpUrl: "http://h",
    peerAddress: "h:1",
    version,
  });
  rig.apply({ kind: "raiseFeatureLevel", level: newestFeatureLevel });

  rig.add({ payload: text(300) });
  const counted = bytesOf(rig);
  rig.apply({ kind: "manage", action: "delete", seqs: [old] });

  expect(counted).toBe(300);
  expect(bytesOf(rig)).toBe(300);
});
