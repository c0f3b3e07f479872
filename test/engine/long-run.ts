/**
 * The random histories of the engine for as long as one likes, with more and longer ones than the tests have time for. Run:
 *
 *   npm run histories -- --of limits --runs 20000 --steps 200 --seed 1
 *
 * `--of` limits, keys, all, shards or copies (of shards, of different moments). A history that fails is made as short as it goes and printed, with the seed that repeats it.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { engineLimits } from "../../src/engine/limits.ts";
import { batchStep } from "../support/histories.ts";
import { keyedStep } from "../support/keyed-histories.ts";
import { expectLimitsOfTheModel } from "../support/limit-check.ts";
import { limitStep } from "../support/limit-histories.ts";
import { expectAnswersOfTheModel } from "../support/model-check.ts";
import { expectAgreement, expectReunion, shardsHistory } from "../support/shards-check.ts";

const { values: args } = parseArgs({
  options: {
    of: { type: "string", default: "limits" },
    runs: { type: "string", default: "20000" },
    steps: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
  },
});
const runs = Number(args.runs);
const firstSeed = Number(args.seed);
/** So many histories are drawn from one seed, and told of when they are done. */
const chunkRuns = 500;

function historyOf<Step>(step: fc.Arbitrary<Step>): fc.Arbitrary<Step[]> {
  return fc.array(step, { minLength: 10, maxLength: Number(args.steps), size: "max" });
}

const { aftermathStepsMax } = engineLimits;
const acrossShards = shardsHistory({ minLength: 10, maxLength: Number(args.steps) });
const moments = fc.array(fc.nat(Number(args.steps)), { minLength: 3, maxLength: 3 });
const properties: Readonly<Record<string, fc.IProperty<unknown>>> = {
  limits: fc.property(historyOf(limitStep), expectLimitsOfTheModel),
  keys: fc.property(historyOf(keyedStep), (steps) =>
    expectAnswersOfTheModel(steps, aftermathStepsMax),
  ),
  all: fc.property(historyOf(batchStep), fc.constantFrom(1, aftermathStepsMax), (steps, stepsMax) =>
    expectAnswersOfTheModel(steps, stepsMax),
  ),
  shards: fc.property(acrossShards, expectAgreement),
  copies: fc.property(acrossShards, moments, expectReunion),
};
const property = properties[args.of];
if (property === undefined) {
  throw new Error(`--of ${args.of} is none of ${Object.keys(properties).join(", ")}`);
}

for (let done = 0; done < runs; done += chunkRuns) {
  const seed = firstSeed + done / chunkRuns;
  const result = fc.check(property, { seed, numRuns: Math.min(chunkRuns, runs - done) });
  if (result.failed) {
    console.error(fc.defaultReportMessage(result));
    console.error(result.errorInstance);
    console.error(
      `repeat it with --of ${args.of} --steps ${args.steps} --runs ${chunkRuns} --seed ${seed}`,
    );
    process.exit(1);
  }
  console.log(
    `${args.of}: ${done + result.numRuns} of ${runs} histories in order, seeds ${firstSeed} to ${seed}`,
  );
}
