import { Engine } from "../../src/engine/engine.ts";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";

/** As the engine makes it. */
const newJob = ((): Job => {
  const state = new MemoryState();
  const jobs = [{ queue: "a", payload: '{"n":1}' }];
  new Engine(state).apply({ nowMs: 1, seed: 1, changes: [{ kind: "enqueue", jobs }] });
  const [job] = state.jobs.values();
  if (job === undefined) throw new Error("no job was added");
  return job;
})();

/** A pending job of queue "a" that was just enqueued, changed by `patch`. */
export function buildJob(patch: Partial<Job> & { readonly seq: number }): Job {
  const { seq } = patch;
  return { ...newJob, createdAtMs: 1_700_000_000_000 + seq, order: seq, ...patch };
}

/** The first attempt of a job, which failed. */
export function buildAttempt(patch: Partial<Attempt> & { readonly seq: number }): Attempt {
  return {
    ordinal: 0,
    attempt: 1,
    outcome: "failed",
    error: "boom",
    errorClass: undefined,
    backtrace: undefined,
    output: "out",
    workerId: "w",
    startedAtMs: 1,
    endedAtMs: 2,
    ...patch,
  };
}
