/**
 * Runs clusters of real processes under load, does one harm after the other to them, to their machines and to the network
 * between them, and holds what all nodes show at the end against what clients were told. `--minutes N` a run (default 5),
 * `--runs K` one after the other (default 1), `--nodes N` (default 3), `--seed N` of the first run, to draw the same faults
 * again, `--only TEXT` (repeatable) for the faults with this in their name, `--tls` for certificates between the nodes.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Run, spreadLines, table } from "../test/support/cluster/nemesis-report.ts";
import { type NemesisReport, nemesisRun } from "../test/support/cluster/nemesis-run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    runs: { type: "string", default: "1" },
    nodes: { type: "string", default: "3" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: "string", multiple: true },
    tls: { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);
const [runs, nodes, seed] = [values.runs, values.nodes, values.seed].map(Number) as [
  number,
  number,
  number,
];
if (!(minutes > 0) || ![runs, nodes, seed].every(Number.isInteger) || runs < 1 || nodes < 1) {
  console.error(
    "usage: npm run nemesis -- [--minutes N] [--runs N] [--nodes 3|5] [--seed N] [--only TEXT]... [--tls]",
  );
  process.exit(2);
}

const done: Run[] = [];
for (let n = 0; n < runs; n++) {
  const conditions = `${nodes} nodes${values.tls ? " with TLS" : ""}, ${minutes} min, seed ${seed + n}`;
  console.log(conditions);
  const report = await nemesisRun({
    nodes,
    forMs: minutes * 60_000,
    seed: seed + n,
    tls: values.tls,
    ...(values.only === undefined ? {} : { only: values.only }),
    onFault: (sentence) => console.log(sentence),
  });
  done.push({ conditions, report });
  console.log(describe(report).join("\n"));
}
if (runs > 1) {
  console.log(["", ...spreadLines(done.flatMap(({ report }) => report.faults))].join("\n"));
}
console.log(["", ...table(done)].join("\n"));
process.exitCode = done.every(({ report }) => report.problems.length === 0) ? 0 : 1;

function describe(report: NemesisReport): string[] {
  const { problems } = report;
  return [
    `calls                ${report.calls}, ${report.answered} answered`,
    `jobs sent            ${report.jobs}`,
    `acks acknowledged    ${report.acks}, ${report.streamAcks} over streams`,
    `jobs with blobs      ${report.blobs.jobs}, ${report.blobs.acks} acks`,
    `events checked       ${report.events}`,
    ...spreadLines(report.faults),
    `broken promises      ${problems.length}`,
    ...problems.slice(0, 50).map((problem) => `  ${problem}`),
    ...(problems.length === 0 ? [] : [`all of them, and the logs of the nodes: ${keep(report)}`]),
  ];
}

function keep({ problems, logs }: NemesisReport): string {
  const directory = mkdtempSync(join(tmpdir(), "corvo-nemesis-"));
  writeFileSync(join(directory, "problems.txt"), problems.join("\n"));
  for (const [name, text] of logs) writeFileSync(join(directory, `${name}.log`), text);
  return directory;
}
