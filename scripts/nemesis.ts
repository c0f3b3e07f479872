/**
 * Runs a cluster of real processes under load, does one harm after the other to them and to the network between them, and
 * holds what all nodes show at the end against what clients were told. `--minutes N` (default 5), `--nodes N` (default 3),
 * `--seed N` to draw the same faults again, `--only NAME` (repeatable) for some of them.
 */
import { parseArgs } from "node:util";
import { nemesisRun } from "../test/support/cluster/nemesis-run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    nodes: { type: "string", default: "3" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: "string", multiple: true },
  },
});
const [minutes, nodes, seed] = [values.minutes, values.nodes, values.seed].map(Number);
if (
  !(Number(minutes) > 0) ||
  !Number.isInteger(nodes) ||
  Number(nodes) < 1 ||
  !Number.isInteger(seed)
) {
  console.error(
    "usage: npm run nemesis -- [--minutes N] [--nodes 3|5] [--seed N] [--only FAULT]...",
  );
  process.exit(2);
}

console.log(`seed ${seed}, ${nodes} nodes, ${minutes} minutes`);
const report = await nemesisRun({
  nodes: Number(nodes),
  forMs: Number(minutes) * 60_000,
  seed: Number(seed),
  ...(values.only === undefined ? {} : { only: values.only }),
  onFault: (sentence) => console.log(sentence),
});
const row = ([name, gapsMs]: readonly [string, readonly number[]]) => {
  const sorted = [...gapsMs].sort((one, other) => one - other);
  const at = (part: number) => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0);
  const columns = [sorted.length, at(0.5), at(0.9), at(1)].map((n) => String(n).padStart(7));
  return `${columns.join(" ")}  ${name}`;
};
console.log(
  [
    `calls                ${report.calls}, ${report.answered} answered`,
    `jobs sent            ${report.jobs}`,
    `acks acknowledged    ${report.acks}, ${report.streamAcks} over streams`,
    `events checked       ${report.events}`,
    "faults, and the longest time without an acknowledged enqueue, in ms: median, 90 %, most",
    ...[...report.gapsMs].map(row),
    `broken promises      ${report.problems.length}`,
    ...report.problems.slice(0, 50).map((problem) => `  ${problem}`),
  ].join("\n"),
);
process.exitCode = report.problems.length === 0 ? 0 : 1;
