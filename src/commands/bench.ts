/**
 * `corvo bench`: what this machine, this disk and this version do, with proof that nothing was lost on the way.
 * The scenarios and the load generator are in `bench/`; none of them imports server code.
 */
import { exitCodes } from "../base/errors.ts";
import { nearest } from "../base/suggest.ts";
import { serversOf } from "../sdk/servers.ts";
import type { ValuesOf } from "./_shared/args.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { UsageError } from "./_shared/exit.ts";
import { createProgress, type Progress } from "./_shared/progress.ts";
import { BadValue, type Reader, readCount, readDuration } from "./_shared/readers.ts";
import { burdens } from "./bench/burdens.ts";
import { payloadBytesMin } from "./bench/job-shape.ts";
import { jsonReport, printHost, printScenarios, printSummary } from "./bench/report.ts";
import { runScenarios } from "./bench/run-scenarios.ts";
import type { Settings } from "./bench/scenario.ts";
import { scenarios } from "./bench/scenarios.ts";
import { summarize } from "./bench/summary.ts";

const size = (description: string) =>
  ({ type: "string", valueHint: "N", read: readCount, description }) as const;

const readSpan: Reader<number> = (text) => {
  const spanMs = readDuration(text);
  if (spanMs > 0) return spanMs;
  throw new BadValue("nothing can be measured in no time");
};

const args = {
  scenarios: {
    type: "positional",
    required: false,
    rest: true,
    description: "Names of scenarios.",
  },
  list: { type: "boolean", description: "List the scenarios." },
  dir: {
    type: "string",
    valueHint: "DIR",
    description: "Where servers of the bench keep their data. Default: the temporary folder.",
  },
  duration: {
    type: "string",
    valueHint: "DURATION",
    read: readSpan,
    description: "Measured time of a run, for scenarios that run for a time.",
  },
  warmup: {
    type: "string",
    valueHint: "DURATION",
    read: readDuration,
    description: "Time before it that is not measured.",
  },
  repeat: { ...size("Runs of each scenario."), default: "1" },
  connections: size("Connections of the load generator."),
  batch: size("Jobs in one frame."),
  frames: size("Frames of one connection without an answer."),
  concurrency: size("Jobs that a worker holds at once (drain)."),
  payload: size("Bytes of a payload. Default 100."),
  jobs: size("Jobs of a run, for scenarios with a fixed number."),
  parked: size("Jobs that wait in other queues meanwhile (drain)."),
  backlog: size("Size of the large backlog (backlog)."),
  samples: size("Measured jobs (pickup, seq), or starts (startup)."),
  keys: size("Limit keys of the jobs (lifecycle, drain); the limits never bind. Default none."),
  groups: size("Groups of the jobs, which take turns (lifecycle, drain). Default none."),
  beside: {
    type: "string",
    valueHint: "BURDEN[=N]",
    repeatable: true,
    description: `What the server carries besides: ${Object.keys(burdens).join(", ")}.`,
  },
  "batched-acks": {
    type: "boolean",
    description: "Let drain send acks together: the scenario drain-batched.",
  },
} as const;

export default command({
  details:
    "Each run starts a server of its own in a new folder, and removes both. Only acknowledged work counts. At the end the counters of the server are compared with what was acknowledged: a job that was lost or handed out twice voids the run. With --server it measures that one instead, in queues of its own; CORVO_SERVER is not looked at, so that nobody loads a server by accident. Without names, a short tour of all scenarios. Exit code 1: a run was not verified.",
  examples: [
    { line: "corvo bench", says: "A short tour of all scenarios" },
    { line: "corvo bench lifecycle --repeat 5", says: "Median and range of five runs" },
    { line: "corvo bench burst --batch 10 --payload 10000 --json", says: "Other sizes" },
    {
      line: "corvo bench lifecycle --beside foreign --beside queues=10000",
      says: "With a million jobs and ten thousand queues of others on the server",
    },
    { line: "corvo bench --list", says: "The scenarios" },
  ],
  args,
  async run(values, context) {
    const { output } = context;
    if (values.list === true) {
      printScenarios(output, scenarios);
      return undefined;
    }
    const names = namesOf(values.scenarios, values["batched-acks"] === true);
    if (values.beside.length > 0 && namesServer(context.argv)) {
      throw new UsageError(
        "--beside cannot be used with --server",
        "What it puts there would stay. Leave --server out, and the bench starts its own.",
      );
    }
    const server = namesServer(context.argv) ? context.globals.server : undefined;
    if (server !== undefined) {
      if (serversOf(server).length > 1) {
        throw new UsageError("bench measures one server", "Name one address with --server.");
      }
      context.whenInterrupted(() => "interrupted; queues named bench-* are left on the server");
    }
    const progress = phasedProgress(context);
    const { host, disk, results } = await runScenarios({
      names,
      isTour: values.scenarios.length === 0,
      overrides: overridesOf(values),
      repeat: values.repeat,
      burdens: burdensOf(values.beside),
      server,
      folder: values.dir,
      context,
      progress: progress.update,
      onHost: (host, disk) => {
        if (!output.json) printHost(output, host, disk);
      },
      onResult: (result) => {
        progress.done();
        if (!output.json) printSummary(output, summarize(result));
      },
    });
    const summaries = results.map(summarize);
    if (output.json) output.line(jsonReport(host, disk, summaries));
    const isVerified = summaries.every(({ verified }) => verified?.ok !== false);
    return isVerified ? exitCodes.ok : exitCodes.failed;
  },
});

const otherNames: Readonly<Record<string, string>> = { latency: "pickup" };

/** A run has phases, each from 0 to 1 with a text of its own. */
function phasedProgress(context: Context): Progress {
  let phase: Progress | undefined;
  let phaseText = "";
  const done = () => {
    phase?.done();
    phase = undefined;
  };
  return {
    update(share, text) {
      if (phase === undefined || text !== phaseText) {
        done();
        phase = createProgress(context);
        phaseText = text;
      }
      phase.update(share, text);
    },
    done,
  };
}

/** Burdens and their sizes, from `NAME` or `NAME=N`. */
function burdensOf(given: readonly string[]): ReadonlyMap<string, number> {
  const asked = new Map<string, number>();
  for (const text of given) {
    const [name = "", size] = text.split("=");
    const burden = burdens[name];
    if (burden === undefined) {
      const near = nearest(name, Object.keys(burdens));
      throw new UsageError(
        `unknown burden ${JSON.stringify(name)}`,
        `${near === undefined ? "" : `Did you mean ${near}? `}There are ${Object.keys(burdens).join(", ")}.`,
      );
    }
    asked.set(name, size === undefined ? burden.count : readCount(size));
  }
  return asked;
}

/** Is there a `--server` on the line itself? */
function namesServer(argv: readonly string[]): boolean {
  return argv.some((word) => word === "--server" || word.startsWith("--server="));
}

function namesOf(given: readonly string[], batchedAcks: boolean): readonly string[] {
  const all = Object.keys(scenarios);
  const wanted = given.map((name) => otherNames[name] ?? name);
  for (const name of wanted) {
    if (all.includes(name)) continue;
    const near = nearest(name, all);
    throw new UsageError(
      `unknown scenario ${JSON.stringify(name)}`,
      `${near === undefined ? "" : `Did you mean ${near}? `}\`corvo bench --list\` lists them.`,
    );
  }
  const names = wanted.length === 0 ? all : wanted;
  if (!batchedAcks) return names;
  return [...new Set(names.map((name) => (name === "drain" ? "drain-batched" : name)))];
}

function overridesOf(values: ValuesOf<typeof args>): Settings {
  if (values.payload !== undefined && values.payload < payloadBytesMin) {
    throw new UsageError(
      `--payload ${values.payload} is less than ${payloadBytesMin}, which the number of the job takes`,
    );
  }
  const given = {
    durationMs: values.duration,
    warmupMs: values.warmup,
    connections: values.connections,
    batch: values.batch,
    frames: values.frames,
    concurrency: values.concurrency,
    payloadBytes: values.payload,
    jobs: values.jobs,
    parked: values.parked,
    backlog: values.backlog,
    samples: values.samples,
    keys: values.keys,
    groups: values.groups,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
