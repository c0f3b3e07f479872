/**
 * `npm run sim -- --seed N --steps M [--nodes K]` runs one seed; `npm run sim -- --from N --seeds COUNT [--jobs J]` runs
 * many, several at a time, until one fails. `--faults KIND,KIND` leaves the choice of faults to nobody. What fails is run again, to see that it is the same, and made smaller.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { addTo, Campaign, optionsOf, runHere } from "./campaign.ts";
import { faultKinds } from "./nemesis.ts";
import { describe, shrink } from "./shrink.ts";
import type { SimulationResult } from "./simulation.ts";

const { values } = parseArgs({
  allowNegative: true,
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    steps: { type: "string", default: "2000" },
    nodes: { type: "string" },
    faults: { type: "string" },
    jobs: { type: "string", default: String(availableParallelism()) },
    shrink: { type: "boolean", default: true },
  },
});
const numbers = {
  from: Number(values.seed ?? values.from),
  seeds: Number(values.seeds),
  steps: Number(values.steps),
  nodes: values.nodes === undefined ? undefined : Number(values.nodes),
  jobs: Number(values.jobs),
};
if (!Object.values(numbers).every((n) => n === undefined || (Number.isSafeInteger(n) && n > 0))) {
  fail("a number is missing or not a positive integer");
}
const faults = values.faults
  ?.split(",")
  .map((name) => faultKinds.find((kind) => kind === name) ?? fail(`there is no fault "${name}"`));
const options = { ...numbers, faults };
/** A pipe is told less often than someone who looks on. */
const progressMs = process.stderr.isTTY ? 1000 : 60_000;

const startedMs = performance.now();
process.exitCode = options.seeds === 1 ? runOne() : await runMany();

function runOne(): number {
  const result = runHere(optionsOf(options.from, options));
  const totals = {};
  addTo(totals, result);
  if (result.problem !== undefined) explain(result);
  conclude(1, result.problem === undefined ? 0 : 1, totals);
  return result.problem === undefined ? 0 : 1;
}

async function runMany(): Promise<number> {
  const campaign = new Campaign(options);
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
    campaign.stop();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const progress = setInterval(() => tell(campaign), progressMs);
  await campaign.run();
  clearInterval(progress);
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const { failure } = campaign;
  if (failure?.result !== undefined) explain(failure.result);
  else if (failure !== undefined) console.log(failure.says);
  conclude(campaign.done, campaign.failures, campaign.totals);
  if (isInterrupted) console.log(`interrupted; go on with --from ${campaign.next}`);
  if (failure !== undefined) return 1;
  return isInterrupted ? 130 : 0;
}

function tell(campaign: Campaign): void {
  const perSecond = campaign.done / ((performance.now() - startedMs) / 1000);
  const failed = campaign.failure === undefined ? "" : `, seed ${campaign.failure.seed} failed`;
  const line = `${campaign.done} of ${options.seeds} seeds, ${perSecond.toFixed(1)}/s${failed}`;
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
}

function explain(result: SimulationResult): void {
  console.log(describe(result));
  if (!values.shrink) return;
  const again = runHere(result.options);
  const isSame = again.problem === result.problem && again.fingerprint === result.fingerprint;
  console.log(isSame ? "  replays exactly" : `  DOES NOT REPLAY: ${describe(again)}`);
  if (isSame) console.log(`  smallest: ${describe(shrink(result))}`);
}

function conclude(ran: number, failed: number, totals: Readonly<Record<string, number>>): void {
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(
    `${ran - failed} of ${ran} seeds of ${options.steps} steps ran clean in ${seconds} s`,
  );
  console.log(
    Object.entries(totals)
      .map(([name, n]) => `${name} ${n}`)
      .join(", "),
  );
}

function fail(reason: string): never {
  console.error(
    `${reason}\nusage: npm run sim -- [--seed N | --from N --seeds COUNT] [--steps M] [--nodes K] [--faults KIND,KIND] [--jobs J] [--no-shrink]\nfaults: ${faultKinds.join(" ")}`,
  );
  process.exit(2);
}
