/**
 * A rolling upgrade under load, from the program of an older commit to the one of this tree: `--from COMMIT` (default: the
 * last one of feature level 1), `--seed N`. Builds the older one in a git work tree; so it is a command of its own.
 */
import { parseArgs } from "node:util";
import { buildOldProgram } from "../test/support/cluster/old-program.ts";
import { upgradeRun } from "../test/support/cluster/upgrade-run.ts";

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "7bf4d68" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const seed = Number(values.seed);
if (!Number.isInteger(seed)) {
  console.error("usage: npm run upgrade-test -- [--from COMMIT] [--seed N]");
  process.exit(2);
}

console.log(`building ${values.from}`);
await using old = await buildOldProgram(values.from);
console.log(`from ${old.version}, seed ${seed}`);
const report = await upgradeRun({
  old: old.path,
  seed,
  onStep: (sentence) => console.log(sentence),
});
const { problems } = report;
console.log(
  [
    `calls                ${report.calls}, ${report.answered} answered`,
    `jobs sent            ${report.jobs}`,
    `acks acknowledged    ${report.acks}, ${report.streamAcks} over streams`,
    `broken promises      ${problems.length}`,
    ...problems.slice(0, 50).map((problem) => `  ${problem}`),
  ].join("\n"),
);
process.exitCode = problems.length === 0 ? 0 : 1;
