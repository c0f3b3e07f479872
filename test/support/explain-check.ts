/** What the engine says of why jobs do not run, against what the next claim would do. */
import { expect } from "bun:test";
import type { Engine } from "../../src/engine/engine.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";

/** Each job has either an obstacle or a place in line, and nobody is ahead of exactly the one that is next. */
export function expectExplained(state: MemoryState, engine: Engine, nowMs: number): void {
  const next: number[] = [];
  const unexplained: string[] = [];
  for (const job of state.jobs.values()) {
    const obstacles = engine.why.job(job, nowMs);
    if (obstacles.some(({ kind }) => kind !== "expired")) continue;
    if (job.order === 0) unexplained.push(`${job.state} ${job.seq}`);
    else if (engine.why.standing(job, nowMs).ahead === 0) next.push(job.seq);
  }
  const given = [...state.queues()].flatMap(({ name }) => engine.nextClaimable(name) ?? []);
  const byNumber = (one: number, other: number) => one - other;
  expect([next.sort(byNumber), unexplained]).toEqual([given.sort(byNumber), []]);
}
