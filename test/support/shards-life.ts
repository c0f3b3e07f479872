/**
 * What else may happen to jobs that belong together while messages about them are on their way: by hand, by their workers, by time, to
 * their queues. Mostly to those that were added last, since a question that is answered already can go wrong no more. What comes of it
 * may depend on where the jobs are, so it is for what must hold in any case.
 */
import fc from "fast-check";
import { parseJobId } from "../../src/base/ids.ts";
import type { Change, ManageAction, NewJob } from "../../src/engine/change.ts";
import type { Job } from "../../src/engine/job.ts";
import type { Lane } from "../../src/engine/limits/lane.ts";
import { deadQueue, type HistoryWorld, pickOf, queue, queueNames } from "./shards-history.ts";
import { idsOf } from "./shards-rig.ts";

const pick = fc.nat(1000);

const actions: Readonly<Record<ManageAction, true>> = {
  retry: true,
  requeue: true,
  cancel: true,
  delete: true,
  move: true,
  hold: true,
  approve: true,
  reject: true,
  changePriority: true,
};

const action = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("retry" as const, "cancel" as const) },
  { weight: 4, arbitrary: fc.constantFrom(...(Object.keys(actions) as ManageAction[])) },
);

const byHand = fc.record({
  kind: fc.constant("byHand" as const),
  pick,
  /** One of the last that were added, or any. */
  isRecent: fc.boolean(),
  actions: fc.array(action, { minLength: 1, maxLength: 3 }),
  jobs: fc.integer({ min: 1, max: 3 }),
});

const waiting = fc.record({
  kind: fc.constant("waiting" as const),
  queue,
  count: fc.integer({ min: 1, max: 3 }),
  names: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.oneof(fc.nat(3), pick) },
    ),
    { maxLength: 3 },
  ),
  batchAmongNames: fc.boolean(),
  policy: fc.constantFrom("fail" as const, "wait" as const, "ignore" as const),
  batch: fc.option(fc.nat(2), { nil: undefined, freq: 4 }),
  parent: fc.option(fc.nat(3), { nil: undefined, freq: 2 }),
  times: fc.constantFrom<Partial<NewJob>>({}, {}, { delayMs: 500 }, { expireMs: 500 }),
  deadlineMs: fc.constantFrom(undefined, undefined, 600),
  key: fc.constantFrom(undefined, undefined, "k"),
  scope: fc.constantFrom("waiting" as const, "done" as const, "period" as const),
  lane: fc.constantFrom<Lane | undefined>(
    ...[
      undefined,
      undefined,
      undefined,
      { fifo: "f" },
      { group: "g", key: "k" },
      { requires: ["x"] },
    ],
    { fifo: "f", key: "k", cost: 2, resources: [["r", 1]] },
  ),
  hasCallback: fc.boolean(),
  onConflict: fc.constantFrom("existing" as const, "replace" as const, "keep_last", "cancel"),
  /** What an operator does to it in the same entry of the log. */
  next: fc.array(action, { maxLength: 3 }),
});

const work = fc.record({
  kind: fc.constant("work" as const),
  pick,
  how: fc.constantFrom("release" as const, "snooze", "heartbeat", "fail", "keep"),
  delayMs: fc.constantFrom(0, 500),
});

const claim = fc.record({
  kind: fc.constant("claim" as const),
  queue,
  count: fc.integer({ min: 1, max: 3 }),
});

const delivery = fc.record({
  kind: fc.constant("delivery" as const),
  from: fc.nat(2),
  to: fc.nat(2),
  most: fc.integer({ min: 1, max: 3 }),
});

export const lifeStep = fc.oneof(
  { weight: 6, arbitrary: byHand },
  { weight: 4, arbitrary: waiting },
  { weight: 3, arbitrary: work },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("together" as const),
      steps: fc.array(fc.oneof(byHand, waiting, work, delivery, claim), {
        minLength: 2,
        maxLength: 5,
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      // Waits, leases, what is kept of finished jobs, and open batches end.
      ms: fc.constantFrom(1, 600, 70_000, 2_000_000),
      limit: fc.constantFrom(1, 1000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("queue" as const),
      queue,
      what: fc.constantFrom(
        ...(["clear", "delete", "pause", "resume", "drain", "undrain"] as const),
        ...(["limit", "limitKeys", "pauseKey", "passOnDead", "bound"] as const),
      ),
      most: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("restore" as const), pick, isDead: fc.boolean() }),
  },
  { weight: 3, arbitrary: claim },
);
export type LifeStep = typeof lifeStep extends fc.Arbitrary<infer T> ? T : never;
type Step<Kind> = Extract<LifeStep, { readonly kind: Kind }>;

/** Finished jobs and groups are kept for so long. */
export const keptMs = 60_000;

interface Planned {
  readonly shard: number;
  readonly change: Change;
}

/** What comes together is one entry of the log in each shard. */
export function live(world: HistoryWorld, step: LifeStep): void {
  if (step.kind === "time") world.rig.nowMs += step.ms;
  const plan =
    step.kind === "together"
      ? step.steps.flatMap((one) => changesOf(world, one))
      : changesOf(world, step);
  if (step.kind !== "together") for (const one of plan) apply(world, one.shard, [one]);
  else for (const [of, all] of Map.groupBy(plan, ({ shard }) => shard)) apply(world, of, all);
}

function apply(world: HistoryWorld, shard: number, plan: readonly Planned[]): void {
  const changes = plan.map(({ change }) => change);
  world.rig.applyAll(shard, changes).forEach((outcome, i) => {
    if (changes[i]?.kind !== "enqueue") return;
    world.jobIds.push(idsOf(shard, outcome).find((id) => id.startsWith("job_")));
  });
}

type Single = Exclude<LifeStep, { readonly kind: "together" }> | Delivery;
type Delivery = typeof delivery extends fc.Arbitrary<infer T> ? T : never;

function changesOf(world: HistoryWorld, step: Single): Planned[] {
  const { rig } = world;
  switch (step.kind) {
    case "byHand":
      return byHandOf(world, step);
    case "waiting":
      return enqueueOf(world, step);
    case "work":
      return workOf(world, step);
    case "time":
      return [...rig.shards.keys()].map((shard) => {
        return { shard, change: { kind: "advanceTime", limit: step.limit } };
      });
    case "queue":
      return [{ shard: rig.shardOf(step.queue), change: changeOfQueue(step) }];
    case "restore":
      return restoreOf(world, step);
    case "claim": {
      const asked = { queues: [step.queue], count: step.count, leaseMs: 60_000, labels: ["x"] };
      return [{ shard: rig.shardOf(step.queue), change: { kind: "claim", ...asked } }];
    }
    case "delivery": {
      const { from, to, most } = step;
      const change = from === to ? undefined : rig.deliveryOf(from, to, { most });
      return change === undefined ? [] : [{ shard: to, change }];
    }
  }
}

/** One of those that were added last. */
function recentOf<T>(list: readonly T[], at: number): T | undefined {
  return list.at(-1 - (at % 4));
}

function byHandOf(world: HistoryWorld, step: Step<"byHand">): Planned[] {
  const any = [...world.jobs().values()].map(({ id }) => id);
  const first = step.isRecent ? recentOf(world.jobIds, step.pick) : pickOf(any, step.pick);
  const { shard, seq } = parseJobId(first ?? "") ?? { shard: -1, seq: 0 };
  if (shard === -1) return [];
  const seqs = Array.from({ length: step.jobs }, (_, i) => seq - i).filter((one) => one > 0);
  return step.actions.map((one) => manage(world, { shard, seqs, action: one, pick: step.pick }));
}

function manage(
  { rig }: HistoryWorld,
  of: { shard: number; seqs: readonly number[]; action: ManageAction; pick: number },
): Planned {
  const { shard, seqs, action: one } = of;
  // A job does not leave its shard.
  const to =
    pickOf(
      queueNames.filter((name) => rig.shardOf(name) === shard),
      of.pick,
    ) ?? "";
  const more = { queue: to, priority: of.pick % 10 };
  return { shard, change: { kind: "manage", action: one, seqs, ...more } };
}

function enqueueOf(world: HistoryWorld, step: Step<"waiting">): Planned[] {
  const { jobIds, batchIds, rig } = world;
  const at = jobIds.length;
  const batch = step.batch === undefined ? undefined : recentOf(batchIds, step.batch);
  const parent = step.parent === undefined ? undefined : recentOf(jobIds, step.parent);
  // Many wait for the same one for a while.
  const hot = jobIds[at - (at % 8)];
  const nameOf = (n: number) => (n < 4 ? recentOf(jobIds, n) : pickOf(jobIds, n));
  const names = step.names.map((n) => (n === 0 ? hot : nameOf(n)));
  if (step.batchAmongNames) names.push(recentOf(batchIds, step.batch ?? 0));
  const known = [...new Set(names.filter((id) => id !== undefined))];
  const { policy, deadlineMs, key } = step;
  const jobs = Array.from({ length: step.count }, (_, i): NewJob => {
    const dependsOn = i === 0 ? known : [...known, "$0"];
    return {
      queue: step.queue,
      payload: JSON.stringify({ name: `${at}-${i}` }),
      ...step.times,
      ...(deadlineMs !== undefined && { deadlineMs }),
      options: {
        ...(dependsOn.length > 0 && { dependsOn, onDependencyFailure: policy }),
        ...(parent !== undefined && { parentId: parent, cascadeCancel: true }),
        ...(batch !== undefined && { batchId: batch }),
        ...(key !== undefined && { uniqueKey: key, uniqueScope: step.scope }),
        onConflict: step.onConflict,
        ...(step.lane !== undefined && { lane: step.lane }),
        ...(step.hasCallback && { callback: { url: "http://a.test/" } }),
        maxRetries: 2,
        backoff: "none",
      },
    };
  });
  const shard = rig.shardOf(step.queue);
  const { nextNumber } = rig.at(shard).state.meta;
  const seqs = jobs.map((_, i) => nextNumber + i);
  return [
    { shard, change: { kind: "enqueue", jobs, shard, across: true } },
    ...step.next.map((one) => manage(world, { shard, seqs, action: one, pick: at })),
  ];
}

function workOf(world: HistoryWorld, { pick: which, how, delayMs }: Step<"work">): Planned[] {
  const active = [...world.jobs().values()].filter(({ job }) => job.state === "active");
  const found = pickOf(active, which);
  if (found === undefined) return [];
  return [{ shard: found.shard, change: changeOfWork(found.job, how, delayMs) }];
}

function changeOfWork({ seq, token }: Job, how: Step<"work">["how"], delayMs: number): Change {
  const item = { seq, token };
  switch (how) {
    case "release":
    case "snooze":
      return { kind: how, items: [{ ...item, delayMs }] };
    case "heartbeat":
      return { kind: how, items: [{ ...item, leaseMs: 1 + delayMs }] };
    case "fail":
      return { kind: how, items: [{ ...item, error: "boom", delayMs }] };
    case "keep":
      return { kind: "fail", items: [{ ...item, error: "later", keepAttempt: true }] };
  }
}

function changeOfQueue({ queue: name, what, most }: Step<"queue">): Change {
  switch (what) {
    case "clear":
      return { kind: "clearQueue", queue: name, limit: 3 };
    case "delete":
      return { kind: "deleteQueue", queue: name };
    case "pause":
    case "resume":
      return { kind: "pauseQueue", queue: name, paused: what === "pause" };
    case "drain":
    case "undrain":
      return { kind: "drainQueue", queue: name, draining: what === "drain" };
    case "limit":
    case "limitKeys": {
      const scope = what === "limit" ? "queue" : "eachKey";
      const values = most === 3 ? {} : { concurrency: most };
      return { kind: "setLimit", target: { scope, queue: name, name: "" }, values };
    }
    case "pauseKey": {
      const target = { scope: "key", queue: name, name: "k" } as const;
      return { kind: "pauseLimit", target, pauseMs: most === 1 ? 0 : 1000 };
    }
    case "passOnDead":
      return most === 3
        ? { kind: "setQueueDefaults", queue: name }
        : { kind: "setQueueDefaults", queue: name, across: true, defaults: { deadQueue } };
    case "bound":
      return { kind: "setQueueBytes", queue: name, ...(most === 1 && { maxBytes: 100 }) };
  }
}

/** A job that is gone comes back from a backup, under its id. */
function restoreOf(world: HistoryWorld, { pick: which, isDead }: Step<"restore">): Planned[] {
  const { rig, jobIds } = world;
  const at = which % Math.max(1, jobIds.length);
  const { shard, seq, createdAtMs } = parseJobId(jobIds[at] ?? "") ?? {
    shard: -1,
    seq: 0,
    createdAtMs: 0,
  };
  if (shard === -1) return [];
  const name =
    pickOf(
      queueNames.filter((one) => rig.shardOf(one) === shard),
      which,
    ) ?? "";
  const job = {
    ...{ seq, createdAtMs, queue: name, priority: 2, payload: JSON.stringify({ name: `${at}-r` }) },
    state: isDead ? ("dead" as const) : ("pending" as const),
    ...(which % 2 === 0 && { options: { uniqueKey: "k", uniqueScope: "period" as const } }),
  };
  return [{ shard, change: { kind: "restoreJobs", jobs: [job] } }];
}
