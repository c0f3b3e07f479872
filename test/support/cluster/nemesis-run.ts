/**
 * A cluster of real processes under load and one fault after the other, drawn from a seed. After each fault it is mended
 * and must take a write; at the end every promise that was made to a client is held against what all nodes show.
 */

import { must } from "../../../src/base/assert.ts";
import { Journal } from "../crash/journal.ts";
import { createChance } from "../crash/load.ts";
import { type Shown, type ShownQueue, verify, verifyQueues } from "../crash/verify.ts";
import { BlobLoad, blobQueue, blobWords } from "./blob-load.ts";
import { Cluster, until } from "./cluster.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { differences, listJobs } from "./compare.ts";
import { EventWatcher } from "./event-watcher.ts";
import type { Fault } from "./fault.ts";
import { faults } from "./faults.ts";
import { History } from "./history.ts";

interface NemesisOptions {
  readonly nodes: number;
  readonly forMs: number;
  readonly seed: number;
  /** The nodes show each other certificates. */
  readonly tls?: boolean;
  /** The faults to draw from: those whose name has one of these in it; default all. */
  readonly only?: readonly string[];
  readonly onFault?: (sentence: string) => void;
}

/** One fault that was done and mended. */
export interface FaultDone {
  readonly name: string;
  readonly kind: Fault["kind"];
  /** From the harm to the first acknowledgement of an enqueue that was sent after it. */
  readonly nextWriteMs: number;
  /** The longest time in which no enqueue was acknowledged, until some time after the mending. */
  readonly gapMs: number;
}

export interface NemesisReport extends Omit<LoadReport<void>, "result"> {
  readonly faults: readonly FaultDone[];
  /** Of jobs whose payload is a blob. */
  readonly blobs: { readonly jobs: number; readonly acks: number };
}

const harmMsMax = 3500;
const calmMsMax = 1500;
const recoverMsMax = 20_000;

export async function nemesisRun(options: NemesisOptions): Promise<NemesisReport> {
  const names = namesOf(options.only);
  await using cluster = await Cluster.of(options.nodes, {
    faulty: true,
    tls: options.tls === true,
    breakable: names.some((name) => faults.get(name)?.needs !== undefined),
    // Short, so that who was away for a while needs the whole state now and then.
    words: ["--log-tail", "300", ...blobWords],
  });
  for (const sentence of cluster.workshop?.missing ?? []) options.onFault?.(sentence);
  const possible = names.filter((name) => isPossible(cluster, name));
  if (possible.length === 0) throw new Error("no fault is left to draw from");
  const done: FaultDone[] = [];
  const blobs = new BlobLoad({
    nodes: () => cluster.nodes,
    chance: createChance(options.seed + 2),
  });
  const running = blobs.run();
  const { result: _, ...report } = await underLoad(cluster, options.seed, async (load) => {
    try {
      await harm(cluster, options, { load, done, names: possible });
    } finally {
      blobs.stop();
      await running;
    }
    await blobs.judge();
  });
  return { ...report, problems: [...report.problems, ...blobs.problems], faults: done, blobs };
}

function namesOf(only: readonly string[] | undefined): string[] {
  const all = [...faults.keys()];
  for (const part of only ?? []) {
    if (all.some((name) => name.includes(part))) continue;
    throw new Error(
      `no fault has ${JSON.stringify(part)} in its name; there are: ${all.join(", ")}`,
    );
  }
  return all.filter((name) => only?.some((part) => name.includes(part)) !== false);
}

function isPossible({ workshop }: Cluster, name: string): boolean {
  const needs = faults.get(name)?.needs;
  if (needs === "shim") return workshop?.shim !== undefined;
  return needs !== "smallDisk" || workshop?.canMount === true;
}

/** One fault after the other until the time is over. */
async function harm(
  cluster: Cluster,
  options: NemesisOptions,
  { load, done, names }: { load: ClusterLoad; done: FaultDone[]; names: readonly string[] },
): Promise<void> {
  const chance = createChance(options.seed);
  const endMs = performance.now() + options.forMs;
  while (performance.now() < endMs) {
    const name = names[Math.floor(chance() * names.length)] ?? "";
    const fault = must(faults.get(name), "names are those of faults");
    load.watch();
    try {
      const mend = await fault.harm({ cluster, chance, strikes: () => load.strike() });
      await Bun.sleep(200 + chance() * harmMsMax);
      await mend();
      await nextWrite(cluster);
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
    }
    await Bun.sleep(200 + chance() * calmMsMax);
    const seen = await load.seen();
    done.push({ name, kind: fault.kind, ...seen });
    const [next, gap] = [seen.nextWriteMs, seen.gapMs].map(Math.round);
    options.onFault?.(`${name}: next write after ${next} ms, ${gap} ms without one at most`);
  }
  await cluster.settled(options.nodes, 30_000);
}

interface LoadReport<T> {
  readonly problems: readonly string[];
  readonly calls: number;
  readonly answered: number;
  readonly jobs: number;
  readonly acks: number;
  /** Of these, over streams. */
  readonly streamAcks: number;
  readonly events: number;
  /** What the nodes that are left have logged. */
  readonly logs: ReadonlyMap<string, string>;
  /** Undefined when the harm could not be done to its end, which is a problem too. */
  readonly result: T | undefined;
}

/** Keeps clients busy while something is done to the cluster, which must leave it whole; then checks every promise. */
export async function underLoad<T>(
  cluster: Cluster,
  seed: number,
  act: (load: ClusterLoad) => Promise<T>,
): Promise<LoadReport<T>> {
  const journal = new Journal();
  const history = new History();
  const nodes = () => cluster.nodes;
  const load = new ClusterLoad({ journal, history, nodes, chance: createChance(seed + 1) });
  const watcher = new EventWatcher(cluster);
  const watching = watcher.run();
  const running = load.run();
  const problems: string[] = [];
  let result: T | undefined;
  try {
    result = await act(load);
    load.stop();
    await running;
    problems.push(...(await judge(cluster, journal, load)));
    await watcher.finish(cluster);
  } catch (error) {
    load.stop();
    await running;
    problems.push(`gave up: ${error}`, ...(await views(cluster)));
  }
  watcher.stop();
  await watching;
  problems.push(
    ...watcher.problems,
    ...load.problems,
    ...history.contradictions(),
    ...crashes(cluster),
  );
  const calls = [...journal.tracks.values()].flatMap((track) => track.calls);
  return {
    problems,
    calls: load.calls,
    answered: load.answered,
    jobs: journal.tracks.size,
    acks: calls.filter(({ kind, verdict }) => kind === "ack" && verdict === "ok").length,
    streamAcks: load.streamAcks,
    events: history.count,
    logs: new Map(cluster.nodes.map(({ name, said }) => [name, said])),
    result,
  };
}

/** Until any node takes a write. */
export async function nextWrite(cluster: Cluster): Promise<void> {
  await until(
    "a write is taken",
    async () => {
      for (const node of cluster.running) {
        const path = "/api/v1/queues/probe/resume";
        const answer = await node.request("POST", path, {}, 2000).catch(() => undefined);
        if (answer?.status === 200) return true;
      }
      return false;
    },
    recoverMsMax,
  );
}

/** Everything that was promised, against what the leader shows, and that against what each node shows of its own. */
async function judge(cluster: Cluster, journal: Journal, load: ClusterLoad): Promise<string[]> {
  await load.finish();
  await cluster.level(30_000);
  const leader = await cluster.leader();
  const queues = await leader.json<ShownQueue[]>("GET", "/api/v1/queues");
  const counted = queues.filter(({ name }) => name !== blobQueue);
  const shown: Shown[] = [];
  for (const { name } of counted) {
    shown.push(...((await listJobs(leader, name, false)) as unknown as Shown[]));
  }
  const results = new Map<string, unknown>();
  for (let at = 0; at < shown.length; at += 1000) {
    const page = await leader.json<{ jobs: (Shown & { result?: unknown })[] }>(
      "POST",
      "/api/v1/jobs/bulk-get",
      { job_ids: shown.slice(at, at + 1000).map(({ id }) => id) },
    );
    for (const job of page.jobs) results.set(job.payload.m, job.result);
  }
  return [
    ...verify(journal, shown, results),
    ...verifyQueues(journal, counted, shown),
    ...(await differences(cluster.nodes)),
  ];
}

/** A node that ends itself over a broken guarantee says so. What is excused follows from what was done to it. */
function crashes(cluster: Cluster): string[] {
  return cluster.nodes.flatMap((node) =>
    node.said
      .split("\n")
      .filter((line) => line.includes('"level":"error"'))
      .filter((line) => !node.excuses.some((excuse) => excuse.test(line)))
      .map((line) => `${node.name}: ${line}`),
  );
}

async function views(cluster: Cluster): Promise<string[]> {
  return Promise.all(
    cluster.nodes.map((node) =>
      node
        .status()
        .then((view) => `${node.name}: ${JSON.stringify({ ...view, nodes: view.nodes.length })}`)
        .catch((error: unknown) => `${node.name}: ${error}`),
    ),
  );
}
