/**
 * Runs scenarios one after the other and collects what they found. Each run has a fresh server and a fresh folder, so
 * that none works on the leftovers of the one before.
 */
import { tmpdir } from "node:os";
import { connect } from "../_shared/client.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { Bench } from "./bench-run.ts";
import { burdens } from "./burdens.ts";
import { type Disk, describeHost, type Host, probeDisk } from "./conditions.ts";
import { OwnServer } from "./own-server.ts";
import type { Scenario, Settings } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";
import type { Run, ScenarioResult } from "./summary.ts";

export interface Plan {
  readonly names: readonly string[];
  readonly isTour: boolean;
  readonly overrides: Settings;
  readonly repeat: number;
  /** What each server carries besides, and how much of it. */
  readonly burdens: ReadonlyMap<string, number>;
  /** Undefined: every run starts its own. */
  readonly server: string | undefined;
  readonly folder: string | undefined;
  readonly context: Context;
  readonly progress: (share: number | undefined, text: string) => void;
  readonly onHost: (host: Host, disk: Disk | undefined) => void;
  readonly onResult: (result: ScenarioResult) => void;
}

export interface Results {
  readonly host: Host;
  readonly disk: Disk | undefined;
  readonly results: readonly ScenarioResult[];
}

export async function runScenarios(plan: Plan): Promise<Results> {
  const chosen = chooseScenarios(plan);
  const folder = plan.folder ?? tmpdir();
  const host = describeHost();
  const disk = plan.server === undefined ? probeDisk(folder, plan.context.system.clock) : undefined;
  plan.onHost(host, disk);
  const results: ScenarioResult[] = [];
  for (const [name, scenario] of chosen) {
    const result = await runScenario(plan, name, { scenario, folder });
    results.push(result);
    plan.onResult(result);
  }
  return { host, disk, results };
}

function chooseScenarios(plan: Plan): [string, Scenario][] {
  const all = Object.entries(scenarios).filter(([name]) => plan.names.includes(name));
  if (plan.server === undefined) return all;
  const refused = all.filter(([, scenario]) => scenario.needsOwnServer === true);
  if (!plan.isTour && refused.length > 0) {
    throw new UsageError(
      `${refused.map(([name]) => name).join(", ")} cannot run with --server: the server is killed in it`,
      "Leave --server out, and the bench starts its own.",
    );
  }
  return all.filter(([, scenario]) => scenario.needsOwnServer !== true);
}

interface Chosen {
  readonly scenario: Scenario;
  readonly folder: string;
}

async function runScenario(plan: Plan, name: string, chosen: Chosen): Promise<ScenarioResult> {
  const { scenario } = chosen;
  const defaults = scenario.settings;
  const asked = { ...defaults, ...(plan.isTour ? scenario.tour : {}), ...plan.overrides };
  // Only the settings that the scenario uses are conditions of its figures.
  const settings: Settings = Object.fromEntries(
    Object.entries(asked).filter(([key]) => key in defaults),
  );
  let server: ScenarioResult["server"];
  const runs: Run[] = [];
  for (let turn = 1; turn <= plan.repeat; turn++) {
    const label = plan.repeat === 1 ? name : `${name} ${turn}/${plan.repeat}`;
    const own =
      plan.server === undefined && scenario.needsNoServer !== true
        ? await OwnServer.start(chosen.folder, plan.context.system.timers)
        : undefined;
    try {
      const bench = createBench(plan, settings, { scenario, own, label });
      if (scenario.needsNoServer !== true) {
        server = await describeServer(bench);
        await putBurdens(bench, plan.burdens, label);
      }
      const run = await runOnce(bench, scenario);
      runs.push(server === undefined || server.nodes === 1 ? run : withoutBars(run));
    } finally {
      await own?.close();
    }
  }
  return { scenario: name, settings, server, runs };
}

function createBench(
  { context, server, progress }: Plan,
  settings: Settings,
  run: { scenario: Scenario; own: OwnServer | undefined; label: string },
): Bench {
  const { apiKey } = context.globals;
  return new Bench({
    system: context.system,
    server: run.own?.url ?? server ?? "",
    apiKey,
    connect: (address) => connect({ ...context, globals: { ...context.globals, server: address } }),
    own: run.own,
    settings,
    defaults: run.scenario.settings,
    runId: context.system.random.uint32().toString(36),
    progress: (share, text) => progress(share, `${run.label}: ${text}`),
  });
}

async function putBurdens(bench: Bench, asked: Plan["burdens"], label: string): Promise<void> {
  const { system, progress } = bench.deps;
  for (const [name, count] of asked) {
    const text = `${label}: ${count.toLocaleString("en-US")} ${burdens[name]?.summary}`;
    await burdens[name]?.put({
      client: bench.client,
      count,
      nowMs: system.clock.nowMs(),
      progress: (share) => progress(share, text),
    });
    bench.note(`beside ${count.toLocaleString("en-US")} ${burdens[name]?.summary}`);
  }
  if (asked.size > 0) await indexed(bench, label);
}

const indexedMsMax = 60_000;
const indexedPollMs = 250;

/** Waits until the index of texts, which follows the jobs, has come to those of the burdens; not for ever where more come. */
async function indexed(bench: Bench, label: string): Promise<void> {
  const { client, deps } = bench;
  const startMs = bench.nowMs();
  for (;;) {
    const behind = (await client.status({})).text_index?.behind ?? 0;
    if (behind === 0) return;
    const waitedMs = bench.nowMs() - startMs;
    if (waitedMs >= indexedMsMax) {
      bench.note(`${behind.toLocaleString("en-US")} of them are not in the index of texts yet`);
      return;
    }
    deps.progress(waitedMs / indexedMsMax, `${label}: the index of texts takes them in`);
    await Bun.sleep(indexedPollMs);
  }
}

async function describeServer(bench: Bench): Promise<ScenarioResult["server"]> {
  const { durability, mode } = await bench.client.status({});
  return { nodes: mode === "single" ? 1 : mode, durability };
}

/** The bars are those of one node; a cluster has others. */
function withoutBars(run: Run): Run {
  return { ...run, figures: run.figures.map(({ bar: _, ...figure }) => figure) };
}

async function runOnce(bench: Bench, scenario: Scenario): Promise<Run> {
  const figures = await scenario.run(bench);
  const verdict = scenario.needsNoServer === true ? undefined : await bench.verify();
  if (bench.deps.own === undefined) await bench.removeQueues();
  return { figures, cpu: bench.cpu, verdict, notes: bench.notes };
}
