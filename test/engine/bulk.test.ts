import { expect, test } from "bun:test";
import fc from "fast-check";
import { namedAfter } from "../../src/engine/bulk.ts";
import type { ManageAction } from "../../src/engine/change.ts";
import type { Job, JobState } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { JobFilter } from "../../src/engine/query.ts";
import { EngineRig } from "../support/engine-rig.ts";
import { sources } from "../support/naive-rules.ts";

interface Start {
  readonly id?: string;
  readonly action?: ManageAction;
  readonly filter?: JobFilter;
  readonly seqs?: readonly number[];
  readonly queue?: string;
  readonly priority?: number;
}

function start(rig: EngineRig, { id = "b", action = "cancel", ...more }: Start = {}) {
  const which = more.filter === undefined && more.seqs === undefined ? { filter: {} } : {};
  const asked = { kind: "startBulk" as const, id, action, ...which, ...more };
  return rig.apply({ ...asked, total: 0, totalExact: false });
}

function bulk(rig: EngineRig, id = "b") {
  const found = rig.state.records("bulk").get(id);
  if (found === undefined) throw new Error("no such action");
  return found;
}

function step(rig: EngineRig, seqs: readonly number[], isLast = false, id = "b") {
  const { number, afterSeq } = bulk(rig, id);
  return rig.apply({ kind: "stepBulk", id, number, afterSeq, seqs, isLast });
}

test("[BK1] jobs that were named are touched in the order of their creation, and those in no state for it are skipped", () => {
  const rig = new EngineRig();
  const [a, b, c] = [rig.add(), rig.add(), rig.add()];
  rig.manage("cancel", b);
  start(rig, { action: "hold", seqs: [c, a, b, c] });

  expect(namedAfter(rig.state, bulk(rig))).toEqual([a, b, c]);
  step(rig, [a, b]);
  expect(bulk(rig)).toMatchObject({ state: "running", processed: 2, affected: 1, afterSeq: b });
  expect(namedAfter(rig.state, bulk(rig))).toEqual([c]);
  step(rig, [c], true);

  expect(bulk(rig)).toMatchObject({ state: "completed", processed: 3, affected: 2 });
  expect([a, b, c].map((seq) => rig.job(seq).state)).toEqual(["held", "cancelled", "held"]);
  expect([...rig.state.records("bulkIds").entries()]).toEqual([]);
});

test("[BK1] a job that the search found and that matches no more is left alone", () => {
  const rig = new EngineRig();
  const [a, b] = [rig.add(), rig.add({ options: { maxRetries: 1 } })];
  rig.fail(rig.claim(), { retryable: false });
  start(rig, { action: "delete", filter: { states: ["dead"] } });
  rig.manage("retry", a);

  step(rig, [a, b], true);

  expect(bulk(rig)).toMatchObject({ processed: 2, affected: 0 });
  expect(rig.job(a).state).toBe("pending");
});

test("[BK2] a step that two leaders made counts once, also when the id was that of another action before", () => {
  const rig = new EngineRig();
  const seqs = [rig.add(), rig.add(), rig.add()];
  start(rig);
  const { number, afterSeq } = bulk(rig);
  const first = { kind: "stepBulk" as const, id: "b", number, afterSeq, isLast: false };
  rig.apply({ ...first, seqs: seqs.slice(0, 1) });
  rig.apply({ ...first, seqs: seqs.slice(0, 2) });
  rig.apply({ ...first, number: number + 1, afterSeq: seqs[0] ?? 0, seqs: seqs.slice(1) });

  expect(bulk(rig)).toMatchObject({ processed: 1, affected: 1 });
  expect(rig.job(seqs[1] ?? 0).state).toBe("pending");
});

test("[BK3] a cancel stops it, what cannot go on fails with the reason, and neither is done twice", () => {
  const rig = new EngineRig();
  const seqs = [rig.add(), rig.add()];
  start(rig);
  step(rig, seqs.slice(0, 1));
  rig.apply({ kind: "endBulk", id: "b" });
  expect(step(rig, seqs.slice(1))).toEqual({ kind: "ok" });

  expect(bulk(rig)).toMatchObject({ state: "cancelled", affected: 1, finishedAtMs: rig.nowMs });
  expect(rig.job(seqs[1] ?? 0).state).toBe("pending");
  expect(rig.apply({ kind: "endBulk", id: "b" })).toMatchObject({ code: "CONFLICT" });
  expect(rig.apply({ kind: "endBulk", id: "x" })).toMatchObject({ code: "NOT_FOUND" });

  start(rig, { id: "c", seqs });
  const { number } = bulk(rig, "c");
  rig.apply({ kind: "endBulk", id: "c", number, error: "the filter makes no sense" });
  expect(bulk(rig, "c")).toMatchObject({ state: "failed", error: "the filter makes no sense" });
  expect(rig.state.records("bulkIds").size).toBe(0);
});

test("[BK4] the same start again begins nothing, and another one with that id is refused", () => {
  const rig = new EngineRig();
  start(rig, { filter: { queue: "q" } });
  const before = bulk(rig);

  expect(start(rig, { filter: { queue: "q" } })).toEqual({ kind: "ok" });
  expect(bulk(rig)).toEqual(before);
  expect(start(rig, { filter: { queue: "r" } })).toMatchObject({ code: "CONFLICT" });
  expect(start(rig, { action: "hold", filter: { queue: "q" } })).toMatchObject({
    code: "CONFLICT",
  });
});

test("[BK5] so many run at once, and what is over is forgotten in time", () => {
  const rig = new EngineRig();
  for (let i = 0; i < engineLimits.bulksRunningMax; i++) start(rig, { id: `b${i}` });
  const refused = start(rig, { id: "more" });
  expect(refused).toMatchObject({ code: "OVERLOADED" });
  expect(refused).toMatchObject({ message: expect.stringContaining("bulksRunningMax") });

  rig.apply({ kind: "endBulk", id: "b0" });
  rig.apply({ kind: "endBulk", id: "b1" });
  rig.pass(engineLimits.bulkKeptMs);
  start(rig, { id: "late" });
  expect(rig.state.records("bulk").has("b0")).toBe(false);
  expect(rig.state.records("bulk").size).toBe(engineLimits.bulksRunningMax - 1);
});

test("[BK5] no more than so many are remembered, the last ones", () => {
  const rig = new EngineRig();
  for (let i = 0; i <= engineLimits.bulksKeptMax; i++) start(rig, { id: `b${i}`, seqs: [] });

  expect(rig.state.records("bulk").size).toBe(engineLimits.bulksKeptMax);
  expect(rig.state.records("bulk").has("b0")).toBe(false);
  expect(bulk(rig, "b1").state).toBe("completed");
});

test("[BK1] a move into a queue that is drained is not begun, and one that is drained later fails job by job", () => {
  const rig = new EngineRig();
  const seq = rig.add();
  rig.apply({ kind: "drainQueue", queue: "r", draining: true });
  expect(start(rig, { action: "move", queue: "r" })).toMatchObject({ code: "QUEUE_DRAINING" });
  rig.apply({ kind: "drainQueue", queue: "r", draining: false });
  start(rig, { action: "move", queue: "r" });
  rig.apply({ kind: "drainQueue", queue: "r", draining: true });

  step(rig, [seq], true);

  expect(bulk(rig)).toMatchObject({ state: "completed", processed: 1, affected: 0 });
  expect(rig.job(seq).queue).toBe("q");
});

const actions = [
  "retry",
  "requeue",
  "cancel",
  "delete",
  "move",
  "hold",
  "approve",
  "reject",
  "changePriority",
] as const satisfies readonly ManageAction[];
const queues = ["q", "r"] as const;
const reachable = [
  "pending",
  "scheduled",
  "held",
  "cancelled",
  "dead",
  "completed",
  "active",
] as const;

const setup = fc.array(
  fc.record({
    queue: fc.constantFrom(...queues),
    state: fc.constantFrom(...reachable),
    priority: fc.integer({ min: 0, max: 2 }),
  }),
  { minLength: 1, maxLength: 25 },
);
const filters = fc.record(
  {
    queue: fc.constantFrom(...queues),
    states: fc.subarray<JobState>([...reachable], { minLength: 1 }),
    priority: fc.integer({ min: 0, max: 2 }),
  },
  { requiredKeys: [] },
);
/** What happens between two steps. */
const meanwhile = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("touch" as const),
      pick: fc.nat(),
      action: fc.constantFrom(...actions),
    }),
    fc.record({ kind: fc.constant("add" as const) }),
    fc.record({ kind: fc.constant("step" as const), count: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant("again" as const) }),
  ),
  { maxLength: 30 },
);

/** Puts a job into a state by what clients and operators do. */
function put(rig: EngineRig, queue: string, state: (typeof reachable)[number], priority: number) {
  const spec = { queue, priority, options: { maxRetries: 1 } };
  const seq = rig.add(state === "scheduled" ? { ...spec, delayMs: 1_000_000 } : spec);
  const claim = () => {
    for (;;) {
      const [job] = rig.claimMany(1, [queue], 1_000_000);
      if (job === undefined || job.seq === seq) return job;
    }
  };
  if (state === "held") rig.manage("hold", seq);
  if (state === "cancelled") rig.manage("cancel", seq);
  if (state === "active") claim();
  const job = state === "dead" || state === "completed" ? claim() : undefined;
  if (job !== undefined && state === "dead") rig.fail(job);
  if (job !== undefined && state === "completed") rig.ack(job);
  return seq;
}

/** The filter in the plainest words. */
function matches(job: Job, { queue, states, priority }: JobFilter): boolean {
  if (queue !== undefined && job.queue !== queue) return false;
  if (states !== undefined && !states.includes(job.state)) return false;
  return priority === undefined || job.priority === priority;
}

/** May the action be done to a job in this state? By the table that the model of the engine uses. */
function applies(action: ManageAction, state: JobState): boolean {
  if (action === "delete") return true;
  if (action === "move") return state !== "active";
  if (action === "changePriority") return ["pending", "scheduled", "retrying"].includes(state);
  return sources[action]?.includes(state) === true;
}

const histories = fc.record({
  jobs: setup,
  action: fc.constantFrom(...actions),
  filter: filters,
  isNamed: fc.boolean(),
  events: meanwhile,
});

test("[BK1] [BK2] in steps, whatever happens between them, an action does what it would have done at once to all that did not change", () => {
  fc.assert(
    fc.property(histories, ({ jobs, action, filter, isNamed, events }) => {
      const rig = new EngineRig();
      for (const { queue, state, priority } of jobs) put(rig, queue, state, priority);
      const all = () => [...rig.state.contents().jobs()].sort((a, b) => a.seq - b.seq);
      const chosen = all().filter((job) => matches(job, filter));
      const before = new Map(chosen.map((job) => [job.seq, job]));
      const touched = new Set<number>();
      const more = {
        ...(action === "move" ? { queue: "z" } : {}),
        ...(action === "changePriority" ? { priority: 5 } : {}),
      };
      const which = isNamed ? { seqs: chosen.map(({ seq }) => seq) } : { filter };
      start(rig, { action, ...which, ...more });
      let last: Parameters<EngineRig["apply"]>[0] | undefined;

      const next = (count: number) => {
        const { number, afterSeq, state } = bulk(rig);
        if (state !== "running") return;
        const found = isNamed
          ? namedAfter(rig.state, bulk(rig))
          : all()
              .filter((job) => matches(job, filter))
              .map(({ seq }) => seq);
        const left = found.filter((seq) => seq > afterSeq && seq < number);
        const seqs = left.slice(0, count);
        last = {
          kind: "stepBulk",
          id: "b",
          number,
          afterSeq,
          seqs,
          isLast: seqs.length === left.length,
        };
        rig.apply(last);
      };
      for (const event of events) {
        if (event.kind === "step") next(event.count);
        else if (event.kind === "again" && last !== undefined) rig.apply(last);
        else if (event.kind === "add") rig.add({ queue: "q" });
        else if (event.kind === "touch") {
          const job = all()[event.pick % all().length];
          if (job === undefined) continue;
          touched.add(job.seq);
          rig.manage(event.action, job.seq, { queue: "r", priority: 1 });
        }
      }
      while (bulk(rig).state === "running") next(4);

      const { number, affected, processed } = bulk(rig);
      expect(processed).toBeGreaterThanOrEqual(affected);
      const single = new EngineRig();
      for (const { queue, state, priority } of jobs) put(single, queue, state, priority);
      for (const job of all().filter(({ seq }) => seq > number)) {
        if (!touched.has(job.seq)) expect(job.state).toBe("pending");
      }
      for (const [seq, job] of before) {
        if (touched.has(seq)) continue;
        const done = applies(action, job.state);
        const result = done ? single.manage(action, seq, more) : undefined;
        if (done) expect(result?.kind).toBe("done");
        const now = rig.state.getJob(seq);
        const wanted = single.state.getJob(seq);
        expect([now?.state, now?.queue, now?.priority]).toEqual([
          wanted?.state,
          wanted?.queue,
          wanted?.priority,
        ]);
      }
    }),
    { numRuns: 150 },
  );
});
