/** What a campaign of runs shows, in lines for people and in rows for the page of faults. */
import type { FaultDone, NemesisReport } from "./nemesis-run.ts";

export interface Run {
  readonly conditions: string;
  readonly report: NemesisReport;
}

const parts = [0, 0.5, 0.9, 0.99, 1] as const;

/** Smallest, median, 90 %, 99 % and largest: the value that so many do not exceed. */
function spread(values: readonly number[]): number[] {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
  return parts.map((part) => Math.round(at(part)));
}

/** By fault: how often, and how long it took until the next write was acknowledged. */
export function spreadLines(faults: readonly FaultDone[]): string[] {
  const columns = (cells: readonly (string | number)[]) =>
    cells.map((cell) => String(cell).padStart(7)).join(" ");
  const groups = [...Map.groupBy(faults, ({ name }) => name)];
  return [
    "ms from the harm to the next acknowledged enqueue; most: the longest time without one, until some time after the mending",
    `${columns(["times", "min", "median", "90 %", "99 %", "max", "most"])}  fault`,
    ...groups.map(([name, done]) => {
      const next = spread(done.map(({ nextWriteMs }) => nextWriteMs));
      const most = Math.round(Math.max(...done.map(({ gapMs }) => gapMs)));
      return `${columns([done.length, ...next, most])}  ${name}`;
    }),
  ];
}

const number = new Intl.NumberFormat("en-US");

/** One row for each run, and one for all of them if there are several. */
export function table(runs: readonly Run[]): string[] {
  const rows = runs.map(({ conditions, report }) => row(conditions, [report]));
  if (runs.length > 1) {
    rows.push(
      row(
        `all ${runs.length}`,
        runs.map(({ report }) => report),
      ),
    );
  }
  return [
    "| run | faults | calls | jobs | acks | broken promises | longest without a write |",
    "|---|---|---|---|---|---|---|",
    ...rows,
  ];
}

function row(name: string, reports: readonly NemesisReport[]): string {
  const sum = (of: (report: NemesisReport) => number) =>
    number.format(reports.reduce((total, report) => total + of(report), 0));
  const faults = reports.flatMap((report) => report.faults);
  const kinds = [...Map.groupBy(faults, ({ kind }) => kind)]
    .sort(([, one], [, other]) => other.length - one.length)
    .map(([kind, done]) => `${kind} ${number.format(done.length)}`);
  const worst = faults.reduce<FaultDone | undefined>(
    (found, fault) => (found === undefined || fault.gapMs > found.gapMs ? fault : found),
    undefined,
  );
  const cells = [
    name,
    `${number.format(faults.length)}: ${kinds.join(", ")}`,
    sum(({ calls }) => calls),
    sum(({ jobs }) => jobs),
    sum(({ acks }) => acks),
    sum(({ problems }) => problems.length),
    worst === undefined ? "–" : `${(worst.gapMs / 1000).toFixed(2)} s (${worst.name})`,
  ];
  return `| ${cells.join(" | ")} |`;
}
