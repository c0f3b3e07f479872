/**
 * Kills the server with SIGKILL while clients enqueue, claim, ack, fail, cancel, retry and pause over HTTP and streams,
 * restarts it, and compares what it shows with what the clients were told. `--cycles N` (default 100), `--seed N` to
 * draw the same calls again.
 */
import { parseArgs } from "node:util";
import { Place } from "../test/support/binary.ts";
import { crashRun } from "../test/support/crash/crash-run.ts";

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "100" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const cycles = Number(values.cycles);
const seed = Number(values.seed);
if (!Number.isInteger(cycles) || cycles < 1 || !Number.isInteger(seed)) {
  console.error("usage: npm run crash -- [--cycles N] [--seed N]");
  process.exit(2);
}

await using place = await Place.create();
console.log(`seed ${seed}, ${cycles} cycles; data in ${place.path}/data`);
const report = await crashRun(place, {
  cycles,
  seed,
  onCycle: (cycle, sentence) => console.log(`cycle ${cycle + 1}: ${sentence}`),
});
console.log(
  [
    `jobs sent            ${report.jobs}`,
    `  acknowledged       ${report.acknowledged}`,
    `acks acknowledged    ${report.acks}`,
    `calls cut off        ${report.unknown}`,
    `slowest restart      ${Math.round(report.restartMsMax)} ms`,
    `broken promises      ${report.problems.length}`,
    ...report.problems.slice(0, 50).map((problem) => `  ${problem}`),
  ].join("\n"),
);
process.exitCode = report.problems.length === 0 ? 0 : 1;
