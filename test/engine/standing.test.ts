/** The number of jobs that go first, as it is told, against the order in which jobs are really given. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { EngineRig } from "../support/engine-rig.ts";

const job = fc.record({
  priority: fc.constantFrom(1, 2, 2, 2),
  group: fc.constantFrom(undefined, "a", "b", "c"),
  key: fc.constantFrom(undefined, undefined, "k", "l"),
});
const weights = fc.record({
  a: fc.constantFrom(1, 2, 4),
  b: fc.constantFrom(1, 2, 4),
  c: fc.constantFrom(1, 3, 7),
});

/** Adds the jobs, gives some of them out, and compares what is told of the rest with what comes. */
function differences(
  jobs: readonly { priority: number; group: string | undefined; key: string | undefined }[],
  weightOf: Readonly<Record<string, number>>,
  given: number,
): number[] {
  const rig = new EngineRig();
  for (const [name, weight] of Object.entries(weightOf)) {
    const target = { scope: "group", queue: "q", name } as const;
    rig.apply({ kind: "setLimit", target, values: { weight } });
  }
  for (const { priority, group, key } of jobs) {
    const lane = {
      ...(key !== undefined && { key }),
      ...(group !== undefined && { group }),
    };
    const isPlain = group === undefined && key === undefined;
    rig.add({ priority, ...(isPlain ? {} : { options: { lane } }) });
  }
  rig.claimMany(given);
  const { why } = rig.engine;
  const told = new Map(
    [...rig.state.jobs.values()]
      .filter(({ state }) => state === "pending")
      .map((one) => [one.seq, why.standing(one, rig.nowMs).ahead]),
  );
  return rig.claimMany(jobs.length + 1).map(({ seq }, place) => (told.get(seq) ?? -1) - place);
}

test("[EX1] without groups as many jobs go first as was said", () => {
  const plain = job.map((one) => ({ ...one, group: undefined }));
  fc.assert(
    fc.property(fc.array(plain, { minLength: 1, maxLength: 40 }), fc.nat(10), (jobs, given) => {
      expect(differences(jobs, {}, given).filter((off) => off !== 0)).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("[EX1] with groups it is off by at most one turn of each, and never for the next", () => {
  fc.assert(
    fc.property(
      fc.array(job, { minLength: 1, maxLength: 60 }),
      weights,
      fc.nat(15),
      (jobs, weightOf, given) => {
        const off = differences(jobs, weightOf, given);
        expect(off[0] ?? 0).toBe(0);
        expect(Math.max(0, ...off.map(Math.abs))).toBeLessThanOrEqual(4);
      },
    ),
    { numRuns: 200 },
  );
});
