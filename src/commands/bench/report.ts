/**
 * What the bench prints: per scenario its conditions, its figures beside the bar of the design, and what they cost.
 * A figure is never printed without its conditions, nor a rate without the verdict on its jobs.
 */
import { printFields } from "../_shared/grid.ts";
import { count, type Output } from "../_shared/output.ts";
import type { Disk, Host } from "./conditions.ts";
import type { Scenario } from "./scenario.ts";
import type { FigureSummary, Summary } from "./summary.ts";

/** Cores that others may use before a figure says more about them than about the server. */
const otherCoresMax = 0.1;

/** The document of `--json`; its members are described in `docs/guides/benchmarks.md`. */
export function jsonReport(
  host: Host,
  disk: Disk | undefined,
  summaries: readonly Summary[],
): string {
  const hostFields = {
    corvo_version: host.version,
    commit: host.commit,
    bun: host.bun,
    os: host.os,
    cpu: host.cpu,
    cores: host.cores,
    load_average: host.load,
  };
  const diskFields =
    disk === undefined
      ? null
      : {
          folder: disk.folder,
          fsync_us_p50: disk.fsyncMicrosP50,
          fsync_us_p99: disk.fsyncMicrosP99,
          in_memory: disk.isMemory,
        };
  return JSON.stringify({ host: hostFields, disk: diskFields, scenarios: summaries });
}

export function printScenarios(
  output: Output,
  scenarios: Readonly<Record<string, Scenario>>,
): void {
  if (output.json) {
    const rows = Object.entries(scenarios).map(([name, { summary, settings }]) => ({
      name,
      summary,
      settings,
    }));
    output.line(JSON.stringify(rows));
    return;
  }
  printFields(
    output,
    Object.entries(scenarios).map(([name, { summary }]): [string, string] => [name, summary]),
  );
}

export function printHost(output: Output, host: Host, disk: Disk | undefined): void {
  const { style } = output;
  output.line(
    `corvo ${host.version} (${host.commit}), bun ${host.bun}, ${host.os}; ${count(host.cores, "core")}, ${host.cpu}; load ${host.load.toFixed(2)}`,
  );
  output.line("client and server share this machine");
  if (disk === undefined) return;
  output.line(
    `fsync of 8 KiB in ${disk.folder}: p50 ${disk.fsyncMicrosP50} us, p99 ${disk.fsyncMicrosP99} us`,
  );
  if (disk.isMemory) {
    output.line(
      style.yellow(
        "that folder is in memory: its fsync costs nothing; give --dir a folder on a disk",
      ),
    );
  }
}

export function printSummary(output: Output, summary: Summary): void {
  const { style } = output;
  output.line("");
  output.line(style.bold(summary.scenario));
  const conditions = Object.entries(summary.conditions);
  output.line(
    style.dim(`  ${conditions.map(([name, value]) => `${name} ${formatPlain(value)}`).join(", ")}`),
  );
  const rows = summary.figures.map(figureCells);
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of rows) {
    const cells = row.map((cell, i) =>
      i === 1 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
    );
    output.line(`  ${cells.join("  ")}`.trimEnd());
  }
  if (summary.cpu !== null) {
    output.line(style.dim(`  ${cpuLine(summary.cpu)}`));
    if ((summary.cpu.other_cores ?? 0) > otherCoresMax) {
      output.line(
        style.yellow("  other processes were busy meanwhile; repeat this on a quiet machine"),
      );
    }
  }
  for (const note of summary.notes) output.line(`  note: ${note}`);
  if (summary.verified !== null) printVerified(output, summary.verified);
}

function printVerified(output: Output, verified: NonNullable<Summary["verified"]>): void {
  const { style } = output;
  if (verified.ok) {
    const { accepted, completed, waiting, dead } = verified;
    output.line(
      style.green(
        `  verified: ${formatPlain(accepted)} accepted = ${formatPlain(completed)} completed + ${formatPlain(waiting)} waiting + ${formatPlain(dead)} dead`,
      ),
    );
    return;
  }
  output.line(style.red("  NOT verified: these figures are void"));
  for (const problem of verified.problems) output.line(style.red(`    ${problem}`));
}

function figureCells(figure: FigureSummary): string[] {
  const bar =
    figure.bar === null
      ? ""
      : `bar ${formatNumber(figure.bar)}, stretch ${formatNumber(figure.stretch ?? 0)}: ${figure.meets === "no" ? "below the bar" : `meets ${figure.meets}`}`;
  const range =
    figure.values.length > 1 ? `${formatNumber(figure.min)} to ${formatNumber(figure.max)}` : "";
  return [figure.name, `${formatNumber(figure.median)} ${figure.unit}`, range, bar];
}

function cpuLine(cpu: NonNullable<Summary["cpu"]>): string {
  const { server_us_per_job: micros, server_cores: cores, server_main_cores: main } = cpu;
  const server =
    micros === null || cores === null || main === null
      ? "server: not measured"
      : `server ${formatNumber(micros)} us a job (${cores.toFixed(2)} cores, ${main.toFixed(2)} in its event loop)`;
  const client = `client ${formatNumber(cpu.client_us_per_job)} us a job (${cpu.client_cores.toFixed(2)} cores)`;
  const others = cpu.other_cores === null ? "" : `, others ${cpu.other_cores.toFixed(2)} cores`;
  return `CPU: ${server}, ${client}${others}`;
}

function formatPlain(value: number | string): string {
  return typeof value === "number" ? value.toLocaleString("en-US") : value;
}

/** Three digits that mean something, or whole numbers from 1,000. */
function formatNumber(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}
