/**
 * Several runs of one scenario as one set of figures: medians, ranges, and one verdict. Its shape is that of `--json`,
 * which programs read: members are added, not renamed.
 */
import type { CpuUse, Verdict } from "./bench-run.ts";
import { median } from "./samples.ts";
import type { Figure, Settings } from "./scenario.ts";

/** One run of a scenario. */
export interface Run {
  readonly figures: readonly Figure[];
  readonly cpu: CpuUse | undefined;
  readonly verdict: Verdict | undefined;
  readonly notes: readonly string[];
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly settings: Settings;
  /** Undefined for a scenario without one. */
  readonly server: { readonly nodes: number | string; readonly durability: string } | undefined;
  readonly runs: readonly Run[];
}

export interface FigureSummary {
  readonly name: string;
  readonly unit: string;
  readonly better: Figure["better"];
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
  readonly bar: number | null;
  readonly stretch: number | null;
  readonly meets: "stretch" | "bar" | "no" | null;
}

export interface Summary {
  readonly scenario: string;
  readonly conditions: Readonly<Record<string, number | string>>;
  readonly figures: readonly FigureSummary[];
  readonly cpu: {
    readonly server_us_per_job: number | null;
    readonly client_us_per_job: number;
    readonly server_cores: number | null;
    /** Its event loop alone; near 1, that is what bounds the rate. */
    readonly server_main_cores: number | null;
    readonly client_cores: number;
    /** Used by other processes of the machine meanwhile: what a quiet machine would not have. */
    readonly other_cores: number | null;
  } | null;
  readonly verified: {
    readonly ok: boolean;
    readonly accepted: number;
    readonly completed: number;
    readonly waiting: number;
    readonly dead: number;
    readonly problems: readonly string[];
  } | null;
  readonly notes: readonly string[];
}

const settingNames: Readonly<Record<keyof Settings, string>> = {
  durationMs: "duration_ms",
  warmupMs: "warmup_ms",
  connections: "connections",
  batch: "batch",
  frames: "frames_in_flight",
  concurrency: "concurrency",
  payloadBytes: "payload_bytes",
  jobs: "jobs",
  parked: "parked_jobs",
  backlog: "backlog_jobs",
  samples: "samples",
  keys: "limit_keys",
  groups: "groups",
};

export function summarize(result: ScenarioResult): Summary {
  const settings = Object.entries(result.settings).map(([name, value]) => [
    settingNames[name as keyof Settings],
    value,
  ]);
  return {
    scenario: result.scenario,
    conditions: {
      ...Object.fromEntries(settings),
      repeats: result.runs.length,
      ...result.server,
    },
    figures: figuresOf(result.runs),
    cpu: cpuOf(result.runs),
    verified: verifiedOf(result.runs),
    notes: [...new Set(result.runs.flatMap((run) => run.notes))],
  };
}

function figuresOf(runs: readonly Run[]): FigureSummary[] {
  return (runs[0]?.figures ?? []).map((figure, i) => {
    const values = runs.map((run) => run.figures[i]?.value ?? Number.NaN);
    const middle = median(values);
    return {
      name: figure.name,
      unit: figure.unit,
      better: figure.better,
      median: middle,
      min: Math.min(...values),
      max: Math.max(...values),
      values,
      bar: figure.bar?.bar ?? null,
      stretch: figure.bar?.stretch ?? null,
      meets: meets(figure, middle),
    };
  });
}

function meets({ bar, better }: Figure, value: number): FigureSummary["meets"] {
  if (bar === undefined) return null;
  const reaches = (goal: number) => (better === "lower" ? value <= goal : value >= goal);
  return reaches(bar.stretch) ? "stretch" : reaches(bar.bar) ? "bar" : "no";
}

function cpuOf(runs: readonly Run[]): Summary["cpu"] {
  const used = runs.flatMap(({ cpu }) => (cpu === undefined || cpu.jobs === 0 ? [] : [cpu]));
  if (used.length === 0) return null;
  const over = (micros: (cpu: CpuUse) => number, base: (cpu: CpuUse) => number) =>
    median(used.map((cpu) => micros(cpu) / base(cpu)));
  const server = used.every((cpu) => cpu.server !== undefined);
  const serverMicros = (cpu: CpuUse) => cpu.server?.all ?? 0;
  const jobs = (cpu: CpuUse) => cpu.jobs;
  const elapsed = (cpu: CpuUse) => cpu.elapsedMs * 1000;
  return {
    server_us_per_job: server ? over(serverMicros, jobs) : null,
    client_us_per_job: over((cpu) => cpu.clientMicros, jobs),
    server_cores: server ? over(serverMicros, elapsed) : null,
    server_main_cores: server ? over((cpu) => cpu.server?.main ?? 0, elapsed) : null,
    client_cores: over((cpu) => cpu.clientMicros, elapsed),
    other_cores: server
      ? over(
          (cpu) => Math.max(0, cpu.machineMicros - serverMicros(cpu) - cpu.clientMicros),
          elapsed,
        )
      : null,
  };
}

function verifiedOf(runs: readonly Run[]): Summary["verified"] {
  const verdicts = runs.flatMap(({ verdict }) => (verdict === undefined ? [] : [verdict]));
  if (verdicts.length === 0) return null;
  const sum = (of: (verdict: Verdict) => number) =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  const problems = verdicts.flatMap((verdict) => verdict.problems);
  return {
    ok: problems.length === 0,
    accepted: sum((verdict) => verdict.accepted),
    completed: sum((verdict) => verdict.completed),
    waiting: sum((verdict) => verdict.waiting),
    dead: sum((verdict) => verdict.dead),
    problems,
  };
}
