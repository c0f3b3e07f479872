/**
 * Whatever happens to jobs that belong together, it makes no difference in the end which shards they are in, and how the messages between
 * those travel.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatGroupId } from "../../src/base/ids.ts";
import { isFinished } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { HistoryWorld, historyStep } from "../support/shards-history.ts";
import type { ShardsRig } from "../support/shards-rig.ts";

const shards = 3;
const shard = fc.nat(shards - 1);

/** What the post does in between: brings some messages, or some again, or an engine starts anew. */
const travel = fc.oneof(
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
type Travel = typeof travel extends fc.Arbitrary<infer T> ? T : never;

function carry(rig: ShardsRig, move: Travel): void {
  if (move.kind === "restart") rig.restart(move.from);
  else if (move.kind === "forget") rig.forget(move.from, move.to);
  else if (move.from !== move.to) rig.take(move.from, move.to, move);
}

/** Only what is still waited for is watched, and nothing is on its way. */
function expectSettled(world: HistoryWorld, isRecovered = false): void {
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
  expectCounted(world, isRecovered);
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

test("[F50] [F51] [F52] [F53] [F54] [F55] in three shards the same becomes of jobs as in one", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(historyStep, fc.array(travel, { maxLength: 6 })), {
        minLength: 10,
        maxLength: 40,
        size: "max",
      }),
      (history) => {
        const one = new HistoryWorld(1);
        const three = new HistoryWorld(shards);
        for (const [step, travels] of history) {
          const isDone = one.act(step);
          // What is refused is refused before it comes to the shards.
          three.act(step, !isDone);
          for (const move of travels) carry(three.rig, move);
          for (const world of [one, three]) {
            world.rig.settle();
            world.claimAll();
            world.rig.settle();
          }
          expect(three.view()).toEqual(one.view());
          expectSettled(three);
        }
      },
    ),
    { numRuns: 100, endOnFailure: true },
  );
}, 60_000);

test("[F55] when messages travel at their own pace all agree in the end, and nothing that follows runs twice", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 2, arbitrary: historyStep }, { weight: 5, arbitrary: travel }), {
        minLength: 30,
        maxLength: 160,
        size: "max",
      }),
      (moves) => {
        const world = new HistoryWorld(shards);
        for (const move of moves) {
          if (move.kind === "take" || move.kind === "forget" || move.kind === "restart") {
            carry(world.rig, move);
            continue;
          }
          world.act(move);
          world.claimAll();
        }
        world.rig.settle();
        world.claimAll();
        world.rig.settle();
        expectSettled(world);
        // A step, a handler and a callback of one group have a name that nothing else has.
        const twice = [...world.jobs().keys()].filter((name) => /\.[^#]*#[1-9]/.test(name));
        expect(twice.filter((name) => !name.startsWith("dead-"))).toEqual([]);
      },
    ),
    { numRuns: 150, endOnFailure: true },
  );
}, 60_000);

test("[F57] shards that are restored from copies of different moments agree again, and nothing waits for what was lost", () => {
  const moves = fc.array(fc.oneof(historyStep, travel), {
    minLength: 10,
    maxLength: 60,
    size: "max",
  });
  fc.assert(
    fc.property(moves, fc.array(fc.nat(60), { minLength: 3, maxLength: 3 }), (history, moments) => {
      const world = new HistoryWorld(shards);
      const copies: MemoryState[] = [];
      history.forEach((move, at) => {
        if (move.kind === "take" || move.kind === "forget" || move.kind === "restart") {
          carry(world.rig, move);
        } else {
          world.act(move);
          world.claimAll();
        }
        moments.forEach((moment, of) => {
          if (moment >= at) copies[of] = new MemoryState(world.rig.at(of).state);
        });
      });

      world.restore(copies);
      world.rig.settle();
      world.claimAll();
      world.rig.settle();

      expectSettled(world, true);
      expectNobodyLost(world);
    }),
    { numRuns: 100, endOnFailure: true, seed: 57 },
  );
}, 60_000);

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
