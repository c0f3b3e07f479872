import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import type { Batch } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { canonical, hashState } from "../../src/engine/state-hash.ts";
import { batchStep, startMs } from "../support/histories.ts";
import { batchAt } from "../support/history-batch.ts";
import { keyedStep } from "../support/keyed-histories.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.oneof(batchStep, keyedStep).map((batch) => ({ kind: "batch" as const, batch })),
  },
  { weight: 5, arbitrary: fc.constant({ kind: "checkpoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "fail" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "purge" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("restore" as const),
      seq: fc.integer({ min: 1, max: 30 }),
      state: fc.constantFrom("pending" as const, "completed" as const, "dead" as const),
      attempts: fc.nat(2),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "crash" as const }) },
);

/** A job from a backup under a number that may be free again. */
function restoring(
  drawn: { seq: number; state: "pending" | "completed" | "dead"; attempts: number },
  nowMs: number,
): Batch {
  const { seq, state } = drawn;
  const attempts = Array.from({ length: drawn.attempts }, (_, at) => ({
    ...{ attempt: at + 1, outcome: "failed" as const, error: `no ${at}` },
    ...{ startedAtMs: startMs, endedAtMs: startMs },
  }));
  const job = { seq, createdAtMs: startMs, queue: "a", payload: "1", state, priority: 1, attempts };
  return { nowMs, seed: 0, changes: [{ kind: "restoreJobs", jobs: [job] }] };
}

const runs = Number(process.env["CORVO_TEST_RUNS"] ?? 120);

test.each([0, 3, Number.POSITIVE_INFINITY])(
  "a database with %p cached jobs answers like plain memory, through checkpoints and crashes",
  (cachedJobsMax) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
        using dir = tempDir();
        const rig = new StateRig(join(dir.path, "state.db"), cachedJobsMax);
        const memory = new MemoryState();
        const reference = new Engine(memory);
        const batches: Batch[] = [];
        const answers: string[] = [];
        let nowMs = startMs;
        // From here on bytes are counted.
        const raise = { kind: "raiseFeatureLevel", level: newestFeatureLevel } as const;
        const first: Batch = { nowMs, seed: 0, changes: [raise] };
        batches.push(first);
        answers.push(canonical(reference.apply(first)));
        rig.engine.apply(first);

        for (const one of steps) {
          switch (one.kind) {
            case "batch": {
              const batch = batchAt(one.batch, nowMs, memory);
              nowMs = batch.nowMs;
              const answer = canonical(reference.apply(batch));
              batches.push(batch);
              answers.push(answer);
              expect(canonical(rig.engine.apply(batch))).toBe(answer);
              expect(rig.engine.nextDeadlineMs()).toBe(reference.nextDeadlineMs());
              break;
            }
            case "restore": {
              const batch = restoring(one, nowMs);
              const answer = canonical(reference.apply(batch));
              batches.push(batch);
              answers.push(answer);
              expect(canonical(rig.engine.apply(batch))).toBe(answer);
              break;
            }
            case "checkpoint":
              rig.step(batches.length);
              break;
            case "fail":
              rig.fail();
              break;
            case "purge":
              rig.purge();
              break;
            case "crash":
              rig.crash();
              for (let index = rig.state.storedIndex; index < batches.length; index++) {
                const batch = batches[index] as Batch;
                expect(canonical(rig.engine.apply(batch))).toBe(answers[index] ?? "");
              }
              expect(hashState(rig.state.contents())).toBe(hashState(memory.contents()));
              break;
          }
        }

        expect(hashState(rig.state.contents())).toBe(hashState(memory.contents()));
        rig.checkpoint(batches.length);
        while (rig.purge());
        rig.crash();
        expect(hashState(rig.state.contents())).toBe(hashState(memory.contents()));
        rig.close();
      }),
      { numRuns: runs },
    );
  },
  30_000 + runs * 100,
);
