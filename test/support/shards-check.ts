/**
 * Histories of jobs in three shards between which messages travel at their own pace, and what must hold when all of them have come: so
 * whatever happens to a job between a message and its answer, no engine ends, and all agree.
 */
import { expect } from "bun:test";
import fc from "fast-check";
import { formatGroupId, parseGroupId, parseJobId } from "../../src/base/ids.ts";
import { isFinished, type Job } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { batchStep, type HistoryStep, HistoryWorld, historyStep } from "./shards-history.ts";
import { keptMs, type LifeStep, lifeStep, live } from "./shards-life.ts";
import type { ShardsRig } from "./shards-rig.ts";

export const shards = 3;
const shard = fc.nat(shards - 1);

/** What the post does in between: brings some messages, or some again, or an engine starts anew. */
export const travel = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      from: shard,
      to: shard,
      most: fc.integer({ min: 1, max: 3 }),
      again: fc.nat(3),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("forget" as const), from: shard, to: shard }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), from: shard }) },
);
export type Travel = typeof travel extends fc.Arbitrary<infer T> ? T : never;

export function carry(rig: ShardsRig, move: Travel): void {
  if (move.kind === "restart") rig.restart(move.from);
  else if (move.kind === "forget") rig.forget(move.from, move.to);
  else if (move.from !== move.to) rig.take(move.from, move.to, move);
}

const moveKinds = fc.oneof(
  { weight: 3, arbitrary: historyStep },
  { weight: 3, arbitrary: lifeStep },
  { weight: 4, arbitrary: travel },
  { weight: 1, arbitrary: batchStep },
);
type Move = HistoryStep | LifeStep | Travel;

/** A history, and with how many steps of aftermath in each batch it runs. */
export function shardsHistory(bounds: { minLength: number; maxLength: number }) {
  return fc.record({
    moves: fc.array(moveKinds, { ...bounds, size: "max" }),
    stepsMax: fc.constantFrom(1, 4, 1000),
    /** Is everything given out that is ready, after each step? */
    isGreedy: fc.boolean(),
  });
}
type History = ReturnType<typeof shardsHistory> extends fc.Arbitrary<infer T> ? T : never;

function worldOf({ stepsMax }: History): HistoryWorld {
  const world = new HistoryWorld(shards, stepsMax);
  const kept = { doneMs: keptMs, doneMax: 1e6, deadMs: keptMs, deadMax: 1e6 };
  for (let of = 0; of < shards; of++) world.rig.apply(of, { kind: "configure", retention: kept });
  return world;
}

function go(world: HistoryWorld, move: Move, isGreedy: boolean): void {
  switch (move.kind) {
    case "take":
    case "forget":
    case "restart":
      carry(world.rig, move);
      return;
    case "enqueue":
    case "open":
    case "call":
    case "finish":
    case "manage":
    case "batch":
      world.act(move);
      break;
    default:
      live(world, move);
  }
  if (isGreedy) world.claimAll();
}

function settle(world: HistoryWorld): void {
  world.rig.settle();
  world.claimAll();
  world.rig.settle();
  const [some, others] = world.rig.hashes();
  expect(some).toEqual(others);
}

/** However messages travel, all agree in the end, and nothing that follows runs twice. */
export function expectAgreement(history: History): void {
  const world = worldOf(history);
  for (const move of history.moves) go(world, move, history.isGreedy);
  settle(world);
  expectSettled(world);
  // A step, a handler and a callback of one group have a name that nothing else has.
  const twice = [...world.jobs().keys()].filter((name) => /\.[^#]*#[1-9]/.test(name));
  expect(twice.filter((name) => !name.startsWith("dead-"))).toEqual([]);
}

/** Restored from copies of these moments, the shards agree again, and nothing waits for what was lost. */
export function expectReunion(history: History, moments: readonly number[]): void {
  const world = worldOf(history);
  const copies: MemoryState[] = [];
  history.moves.forEach((move, at) => {
    go(world, move, history.isGreedy);
    moments.forEach((moment, of) => {
      if (moment >= at) copies[of] = new MemoryState(world.rig.at(of).state);
    });
  });
  world.restore(copies);
  settle(world);
  expectSettled(world, true);
  expectNobodyLost(world);
}

/** Only what is still waited for is watched, and nothing is on its way. */
export function expectSettled(world: HistoryWorld, isRecovered = false): void {
  const { rig } = world;
  const open = new Set<string>();
  const owners = new Set<string>();
  for (const { state } of rig.shards) {
    expect([...state.records("mail").entries()]).toEqual([]);
    expect([...state.records("joining").entries()]).toEqual([]);
    for (const [, blocked] of state.records("blocked").entries()) {
      for (const one of blocked.open) if (typeof one === "string") open.add(one);
    }
    for (const [, tie] of state.records("tie").entries()) {
      for (const one of tie) if (typeof one === "string") owners.add(one);
    }
  }
  for (const { state } of rig.shards) {
    for (const [, { id }] of state.records("watchers").entries()) expect(open).toContain(id);
    for (const [, { id }] of state.records("followers").entries()) expect(owners).toContain(id);
  }
  for (const id of open) {
    const job = rig.job(id);
    // One that ended without success is waited for still by those who wait for a retry of it.
    expect([id, job === undefined || job.state === "completed"]).toEqual([id, false]);
  }
  for (const shard of rig.shards.keys()) expectHeardOf(rig, shard);
  expectCounted(world, isRecovered);
}

/** The other shards know for what jobs of this one wait, since when, and with what they are cancelled. */
function expectHeardOf(rig: ShardsRig, shard: number): void {
  const { state } = rig.at(shard);
  for (const [key, { open, since }] of state.records("blocked").entries()) {
    for (const id of open) {
      if (typeof id === "number") continue;
      const { shard: of, seq } = parseJobId(id) ?? { shard, seq: 0 };
      const at = rig.at(of).state.records("watchers").get(String(seq))?.at[shard];
      expect([key, id, (at ?? 0) >= since]).toEqual([key, id, true]);
    }
  }
  for (const [key, owners] of state.records("tie").entries()) {
    for (const id of owners) {
      if (typeof id === "number") continue;
      const batch = parseGroupId("batch", id);
      const { shard: of, seq } = batch ?? parseJobId(id) ?? { shard, seq: 0 };
      const other = rig.at(of).state;
      const ended = other.records("batch").get(String(seq))?.finishedAtMs ?? 1;
      const isOver = batch === undefined ? !isFollowed(rig.job(id), id) : ended > 0;
      const shards = other.records("followers").get(String(seq))?.shards ?? [];
      expect([key, id, isOver || shards.includes(shard)]).toEqual([key, id, true]);
    }
  }
}

/** Is this the job, not over, and not one that was gone when it was asked for and has been restored since? */
function isFollowed(job: Job | undefined, id: string): boolean {
  const isIt = job !== undefined && job.createdAtMs === parseJobId(id)?.createdAtMs;
  return isIt && !isFinished(job.state) && !job.payload.includes("-r");
}

/** Each batch counts the jobs that are in it, as they are; after a recovery those batches that are not over. */
function expectCounted(world: HistoryWorld, isRecovered: boolean): void {
  const jobs = [...world.jobs().values()].map(({ job }) => job);
  for (const { state } of world.rig.shards) {
    for (const [, batch] of state.records("batch").entries()) {
      if (isRecovered && batch.finishedAtMs > 0) continue;
      const unfinished = jobs.filter(({ options, state: is }) => {
        const seq = Number.parseInt(options.batchId?.slice(20) ?? "", 16);
        const of = Number.parseInt(options.batchId?.slice(17, 20) ?? "", 16);
        const isOf = state.records("batch").get(String(seq)) === batch && of === batch.shard;
        return isOf && !isFinished(is);
      });
      expect([batch.name, batch.pending]).toEqual([batch.name, unfinished.length]);
      expect(batch.total).toBe(batch.pending + batch.completed + batch.dead + batch.cancelled);
    }
  }
}

/** Every chain that runs has a job that does, and no batch that is sealed and empty goes on. */
function expectNobodyLost(world: HistoryWorld): void {
  const jobs = [...world.jobs().values()].map(({ job }) => job);
  world.rig.shards.forEach(({ state }, of) => {
    for (const [key, chain] of state.records("chain").entries()) {
      if (chain.state !== "running") continue;
      const id = formatGroupId("chn", {
        seq: Number(key),
        createdAtMs: chain.createdAtMs,
        shard: of,
      });
      const isRun = (job: (typeof jobs)[number]) =>
        job.options.chainId === id && job.options.chainStep === chain.at && !isFinished(job.state);
      expect([id, chain.at, jobs.some(isRun)]).toEqual([id, chain.at, true]);
    }
    for (const [, batch] of state.records("batch").entries()) {
      const isLeft = batch.state !== "open" && batch.pending === 0 && batch.finishedAtMs === 0;
      expect([batch.name, isLeft]).toEqual([batch.name, false]);
    }
    expect([...state.records("reunion").entries()]).toEqual([]);
  });
}
