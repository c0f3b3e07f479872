/** Stored life-cycle events: neither lost nor doubled by any crash, found again, and bounded. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import type { Batch } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EventChunk, type EventFilter, type LifecycleEvent } from "../../src/engine/event-chunk.ts";
import type { EventTail } from "../../src/engine/event-tail.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { EventLog } from "../../src/service/event-log.ts";
import { type EventRetention, packEvents, readEventRow } from "../../src/store/event-rows.ts";
import { EventSearcher } from "../../src/store/event-search.ts";
import { QueryStore } from "../../src/store/query-store.ts";
import { batchStep, startMs } from "../support/histories.ts";
import { batchAt } from "../support/history-batch.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const bounds = { limit: 100_000, scanMax: 1_000_000 };

/** A rig whose engine counts events, which its database knows from the beginning. */
function countingRig(path: string, retention?: EventRetention): StateRig {
  const rig = new StateRig(path, 100, retention);
  rig.state.meta.featureLevel = newestFeatureLevel;
  rig.checkpoint(0);
  return rig;
}

function stored(path: string, from = 1, filter: EventFilter = {}) {
  const searcher = new EventSearcher(path);
  try {
    return searcher.read({ from, filter, ...bounds });
  } finally {
    searcher.close();
  }
}

function inMemory(tail: EventTail, from: number): readonly LifecycleEvent[] {
  return tail.read(from, {}, bounds).events;
}

const enqueue = (queue: string, count = 1): Batch => ({
  nowMs: startMs,
  seed: 0,
  changes: [
    { kind: "enqueue", jobs: Array.from({ length: count }, () => ({ queue, payload: "{}" })) },
  ],
});

const step = fc.oneof(
  { weight: 8, arbitrary: batchStep.map((batch) => ({ kind: "batch" as const, batch })) },
  { weight: 5, arbitrary: fc.constant({ kind: "checkpoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "fail" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "crash" as const }) },
);

test("[EV4] after a crash at any moment the replay of the log tells what the database lacks, and nothing twice", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 50, size: "max" }), (steps) => {
      using dir = tempDir();
      const path = join(dir.path, "state.db");
      const rig = countingRig(path);
      const memory = new MemoryState();
      memory.meta.featureLevel = newestFeatureLevel;
      const reference = new Engine(memory);
      const batches: Batch[] = [];
      let nowMs = startMs;
      const expectAll = () => {
        const all = inMemory(memory.events, 1);
        const old = stored(path).events;
        expect(old).toEqual(all.slice(0, old.length));
        const { first } = rig.state.events;
        expect(first).toBeLessThanOrEqual(old.length + 1);
        expect(inMemory(rig.state.events, first)).toEqual(all.slice(first - 1));
      };
      for (const one of steps) {
        if (one.kind === "batch") {
          const batch = batchAt(one.batch, nowMs, memory);
          nowMs = batch.nowMs;
          reference.apply(batch);
          rig.engine.apply(batch);
          batches.push(batch);
        } else if (one.kind === "checkpoint") {
          rig.step(batches.length);
          expectAll();
        } else if (one.kind === "fail") {
          rig.fail();
        } else {
          rig.crash();
          for (const batch of batches.slice(rig.state.storedIndex)) rig.engine.apply(batch);
          expectAll();
        }
      }
      rig.checkpoint(batches.length);
      rig.crash();
      expect(stored(path).events).toEqual([...inMemory(memory.events, 1)]);
      rig.close();
    }),
    { numRuns: 40 },
  );
}, 40_000);

test("a chunk comes back as it was, with its texts", () => {
  const chunk = EventChunk.empty(41);
  for (let i = 0; i < 300; i++) {
    const subject = { seq: 2 ** 40 + i, createdAtMs: startMs + i, queue: `q${i % 3}`, attempt: i };
    chunk.add(i % 2 === 0 ? 2 : 4, subject, startMs + 2 * i, i % 5 === 0 ? undefined : `"é${i}"`);
  }
  const { columns, texts, ...row } = packEvents(chunk);
  const plain = new Uint8Array([...columns, ...new TextEncoder().encode(texts)]);
  const again = readEventRow({ ...row, body: Bun.zstdCompressSync(plain) });

  for (let number = 41; number < 341; number++) {
    expect(again.event(number)).toEqual(chunk.event(number));
  }
  expect({ first: row.first, count: row.count, low: row.low, high: row.high }).toEqual({
    first: 41,
    count: 300,
    low: 2 ** 40,
    high: 2 ** 40 + 299,
  });
});

test("filters and limits find the same in the database as in memory", () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = countingRig(path);
  for (let i = 0; i < 3000; i++) rig.engine.apply(enqueue(`q${i % 7}`));
  rig.checkpoint(3000);
  const searcher = new EventSearcher(path);
  const tail = rig.state.events;
  const filters: EventFilter[] = [
    {},
    { queues: new Set(["q3", "q5"]) },
    { seqs: new Set([17, 2900]) },
    { types: new Set(["completed"]) },
    { types: new Set(["enqueued"]), queues: new Set(["q1"]), seqs: new Set([2, 9, 10]) },
  ];
  for (const filter of filters) {
    for (const [from, limit] of [
      [1, 10],
      [1025, 5000],
      [1500, 1],
      [3000, 5],
      [3001, 5],
    ] as const) {
      const request = { from, filter, limit, scanMax: 1_000_000 };
      const { events, next } = searcher.read(request);
      const page = tail.read(from, filter, { limit, scanMax: 1_000_000 });
      expect(events).toEqual([...page.events]);
      expect(next).toBe(page.next);
    }
  }
  searcher.close();
  rig.close();
});

test.each([
  ["number", { eventsMax: 5000, bytesMax: 1e9, keepMs: 1e12 }],
  ["space", { eventsMax: 1e9, bytesMax: 8000, keepMs: 1e12 }],
  ["age", { eventsMax: 1e9, bytesMax: 1e9, keepMs: 5000 }],
])("[EV7] the oldest events go when their %s is over", (_, retention) => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = countingRig(path, retention);
  for (let i = 0; i < 20; i++) {
    rig.engine.apply({ ...enqueue("q", 1000), nowMs: startMs + i * 1000 });
    rig.checkpoint(i + 1);
  }
  const { first, events } = stored(path, stored(path).first);

  expect(first).toBeGreaterThan(8000);
  expect(events.length).toBeGreaterThan(900);
  expect(events.length).toBe(20_001 - (first ?? 0));
  expect(stored(path)).toEqual({ first, events: [], next: 1 });
  rig.close();
});

test("[EV5] a log of events reads on from the database into memory, and says what it does not have", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = countingRig(path, { eventsMax: 15_000, bytesMax: 1e9, keepMs: 1e12 });
  const search = await QueryStore.open(path, { flush: async () => {} });
  for (let i = 0; i < 20; i++) {
    rig.engine.apply(enqueue("q", 1000));
    rig.checkpoint(i + 1);
  }
  rig.engine.apply(enqueue("last", 3));
  const log = new EventLog(0, rig.state.events, {
    stored: search,
    isCurrent: () => true,
    isLeading: () => true,
  });

  const first = await log.first();
  let from = first;
  const read: number[] = [];
  while (from < log.next) {
    const page = await log.read(from, {}, { limit: 700, scanMax: 5000 });
    expect(page.gone).toBeUndefined();
    read.push(...page.events.map(({ number }) => number));
    from = page.next;
  }
  expect(read).toEqual(Array.from({ length: 20_004 - first }, (_, i) => first + i));
  expect(await log.read(first - 1, {}, bounds)).toEqual({
    gone: first,
    events: [],
    next: first - 1,
  });
  expect(await log.read(30_000, {}, bounds)).toEqual({ gone: undefined, events: [], next: 30_000 });

  const [event] = (await log.read(first + 5, {}, { limit: 1, scanMax: 1 })).events;
  const job = { seq: event?.seq ?? 0, createdAtMs: event?.createdAtMs ?? 0 };
  expect(await log.ofJob(job, 10)).toEqual({
    events: event === undefined ? [] : [event],
    more: false,
  });
  expect(await log.ofJob({ ...job, createdAtMs: 1 }, 10)).toEqual({ events: [], more: false });
  await search.close();
  rig.close();
});
