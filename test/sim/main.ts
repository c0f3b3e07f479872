/**
 * `npm run sim -- --seed N --steps M [--nodes K] [--seeds COUNT]`: runs seeds, and shrinks and replays what fails. With
 * `--first` it ends with the first that fails.
 */
import { parseArgs } from "node:util";
import { describe, shrink } from "./shrink.ts";
import { Simulation } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    steps: { type: "string", default: "2000" },
    nodes: { type: "string" },
    seeds: { type: "string", default: "1" },
    first: { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const steps = Number(values.steps);
const count = Number(values.seeds);
const fixedNodes = values.nodes === undefined ? undefined : Number(values.nodes);
if (![first, steps, count, fixedNodes ?? 3].every((n) => Number.isSafeInteger(n) && n > 0)) {
  console.error("usage: npm run sim -- [--seed N] [--steps M] [--nodes K] [--seeds COUNT]");
  process.exit(2);
}

const startedMs = performance.now();
const totals: Record<string, number> = {};
let ran = 0;
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const options = { seed, steps, nodes: fixedNodes ?? 3 + (seed % 3) };
  const result = new Simulation(options).run();
  ran++;
  for (const [name, n] of Object.entries(result.counts)) totals[name] = (totals[name] ?? 0) + n;
  totals["events"] = (totals["events"] ?? 0) + result.events;
  totals["entries"] = (totals["entries"] ?? 0) + result.entries;
  totals["virtual seconds"] =
    (totals["virtual seconds"] ?? 0) + Math.round(result.virtualMs / 1000);
  if (result.problem === undefined) continue;
  failed++;
  console.log(describe(result));
  const again = new Simulation(options).run();
  const isSame = again.problem === result.problem && again.fingerprint === result.fingerprint;
  console.log(isSame ? "  replays exactly" : `  DOES NOT REPLAY: ${describe(again)}`);
  if (values.first) break;
  if (isSame) console.log(`  smallest: ${describe(shrink(result))}`);
}
const seconds = Math.round((performance.now() - startedMs) / 1000);
console.log(`${ran - failed} of ${ran} seeds of ${steps} steps ran clean in ${seconds} s`);
console.log(
  Object.entries(totals)
    .map(([name, n]) => `${name} ${n}`)
    .join(", "),
);
process.exitCode = failed === 0 ? 0 : 1;
