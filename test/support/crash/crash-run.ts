/**
 * Cycles of load, `kill -9` at a drawn moment, restart, and comparison with the journal; at the end every job is worked
 * off. Returns what was done and every promise that was broken.
 */
import type { Place, Server } from "../binary.ts";
import { Journal } from "./journal.ts";
import { createChance, Load } from "./load.ts";
import { type Shown, type ShownQueue, verify, verifyQueues } from "./verify.ts";

interface CrashOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly onCycle?: (cycle: number, sentence: string) => void;
}

export interface CrashReport {
  readonly problems: readonly string[];
  readonly jobs: number;
  readonly acknowledged: number;
  readonly acks: number;
  readonly unknown: number;
  readonly restartMsMax: number;
}

const loadMsMin = 150;
const loadMsMax = 1500;

export async function crashRun(place: Place, options: CrashOptions): Promise<CrashReport> {
  const chance = createChance(options.seed);
  const journal = new Journal();
  const problems: string[] = [];
  let restartMsMax = 0;
  let server = await place.serve();
  for (let cycle = 0; cycle < options.cycles && problems.length === 0; cycle++) {
    // Queues of the cycle before stay under load, so their jobs live through two crashes.
    const queues = [cycle, Math.max(0, cycle - 1)].flatMap((c) => [`c${c}-a`, `c${c}-b`]);
    const load = new Load(server.url, journal, [...new Set(queues)], options.seed + cycle);
    const running = load.run();
    await Bun.sleep(loadMsMin + chance() * (loadMsMax - loadMsMin));
    await server.stop("SIGKILL");
    load.stop();
    await running;

    const startedMs = performance.now();
    server = await place.serve();
    restartMsMax = Math.max(restartMsMax, performance.now() - startedMs);
    problems.push(...(await compare(server, journal, new Set(queues))));
    options.onCycle?.(cycle, describe(journal));
  }
  if (problems.length === 0) problems.push(...(await workOff(server, journal)));
  await server.stop();
  const calls = [...journal.tracks.values()].flatMap((track) => track.calls);
  return {
    problems,
    jobs: journal.tracks.size,
    acknowledged: [...journal.tracks.values()].filter(({ id }) => id !== undefined).length,
    acks: calls.filter(({ kind, verdict }) => kind === "ack" && verdict === "ok").length,
    unknown: calls.filter(({ verdict }) => verdict === "unknown").length,
    restartMsMax,
  };
}

/** Without queues: everything. */
async function compare(
  server: Server,
  journal: Journal,
  queues: ReadonlySet<string> | undefined,
): Promise<string[]> {
  const part = new Journal();
  part.paused = journal.paused;
  for (const [marker, track] of journal.tracks) {
    if (queues?.has(track.queue) !== false) part.tracks.set(marker, track);
  }
  // The switches and counters are read when nothing but time moves them; jobs that get due in between move one.
  const { shown, counted } = await stableView(server, queues);
  const completed = shown.filter(({ state }) => state === "completed");
  const results = await resultsOf(server, completed);
  return [...verify(part, shown, results), ...verifyQueues(part, counted, shown)];
}

/** Lists and counters of one and the same log index. */
async function stableView(
  server: Server,
  queues: ReadonlySet<string> | undefined,
): Promise<{ shown: Shown[]; counted: ShownQueue[] }> {
  for (;;) {
    const before = await appliedIndex(server);
    const counted = (await server.json<ShownQueue[]>("GET", "/api/v1/queues")).filter(
      ({ name }) => queues?.has(name) !== false,
    );
    const shown: Shown[] = [];
    for (const { name } of counted) shown.push(...(await listQueue(server, name)));
    if ((await appliedIndex(server)) === before) return { shown, counted };
  }
}

async function appliedIndex(server: Server): Promise<number> {
  return (await server.json<{ applied_index: number }>("GET", "/api/v1/status")).applied_index;
}

async function listQueue(server: Server, queue: string): Promise<Shown[]> {
  const jobs: Shown[] = [];
  let cursor: string | undefined;
  do {
    const page = await server.json<{ jobs: Shown[]; cursor?: string }>(
      "POST",
      "/api/v1/jobs/search",
      { queue, limit: 1000, ...(cursor === undefined ? {} : { cursor }) },
    );
    jobs.push(...page.jobs);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return jobs;
}

async function resultsOf(server: Server, jobs: readonly Shown[]): Promise<Map<string, unknown>> {
  const results = new Map<string, unknown>();
  for (let at = 0; at < jobs.length; at += 1000) {
    const page = await server.json<{ jobs: (Shown & { result?: unknown })[] }>(
      "POST",
      "/api/v1/jobs/bulk-get",
      { job_ids: jobs.slice(at, at + 1000).map(({ id }) => id) },
    );
    for (const job of page.jobs) results.set(job.payload.m, job.result);
  }
  return results;
}

/** Runs what is left until nothing is: a job that was acknowledged and not ended by anyone must still come. */
async function workOff(server: Server, journal: Journal): Promise<string[]> {
  const queues = await server.json<ShownQueue[]>("GET", "/api/v1/queues");
  const names = queues.map(({ name }) => name);
  for (const name of names) await server.json("POST", `/api/v1/queues/${name}/resume`);
  const deadlineMs = performance.now() + 60_000;
  const isLeft = async () =>
    (await server.json<ShownQueue[]>("GET", "/api/v1/queues")).some((queue) =>
      ["pending", "scheduled", "active", "retrying"].some((state) => queue[state] !== 0),
    );
  while (await isLeft()) {
    if (performance.now() > deadlineMs) return ["jobs are left that no worker is given"];
    for (let at = 0; at < names.length; at += 100) {
      await drainOnce(server, journal, names.slice(at, at + 100));
    }
  }
  journal.paused.clear();
  return compare(server, journal, undefined);
}

async function drainOnce(
  server: Server,
  journal: Journal,
  queues: readonly string[],
): Promise<void> {
  const { jobs } = await server.json<{
    jobs: { job_id: string; payload: { m: string }; lease_token: string }[];
  }>("POST", "/api/v1/fetch/batch", { queues, count: 512, wait_ms: 100, lease_ms: 60_000 });
  if (jobs.length === 0) return;
  const calls = jobs.map((job) =>
    journal.call(journal.track(job.payload.m), "ack", job.lease_token),
  );
  await server.json("POST", "/api/v1/ack/batch", {
    acks: jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token, result: lease_token })),
  });
  for (const call of calls) call.verdict = "ok";
}

function describe(journal: Journal): string {
  const tracks = [...journal.tracks.values()];
  const acked = tracks.filter((track) =>
    track.calls.some(({ kind, verdict }) => kind === "ack" && verdict === "ok"),
  );
  return `${tracks.length} jobs sent, ${acked.length} acked`;
}
