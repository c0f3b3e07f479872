/**
 * What a node tells of itself to a Prometheus server. Everything is read when it is asked for, from what the node keeps
 * anyway; counters begin with the process. Jobs, queues and events are of all shards, as this node has them, so on every node of
 * a cluster they are nearly the same; ask one of them for those, and all for the rest.
 *
 * Queues are many: those beyond a bound are left out, the ones with the fewest unfinished jobs first, and counted.
 */
import { Registry } from "prom-client";
import type { DurationHistogram } from "../../base/duration-histogram.ts";
import { typeOfCode } from "../../engine/event-types.ts";
import { jobStates } from "../../engine/job.ts";
import type { QueueRecord } from "../../engine/state.ts";
import type { CallStats } from "../../net/http/call-stats.ts";
import type { PeerStats } from "../../net/peer/transport.ts";
import type { Node } from "../../service/node.ts";
import { textIndexView } from "../../service/system-handlers.ts";
import type { Blobs } from "./blobs.ts";
import { Page } from "./metrics-page.ts";
import { tellPeers } from "./peer-metrics.ts";
import type { ShardCore } from "./shard.ts";

/** Queues that have series of their own. */
export const queuesShownMax = 1000;

export interface Measured {
  readonly cores: readonly ShardCore[];
  readonly nodes: readonly Node[];
  readonly calls: readonly CallStats[];
  /** Calls that are being served. */
  readonly inFlight: number;
  readonly streams: number;
  readonly blobs: Pick<Blobs, "store" | "keeper" | "disk">;
  /** The other nodes of the cluster. */
  readonly peers: readonly PeerStats[];
  /** How late timers of this node's event loop come. */
  readonly loopDelays: DurationHistogram;
}

export function metricsText(measured: Measured): Promise<string> {
  const registry = new Registry();
  const page = new Page(registry);
  tellJobs(page, measured.nodes);
  tellEvents(page, measured.nodes);
  tellDeliveries(page, measured.nodes);
  tellWorkers(page, measured);
  tellConsensus(page, measured.cores);
  tellPeers(page, measured);
  tellTimings(page, measured);
  tellCalls(page, measured);
  tellRoom(page, measured.blobs);
  tellProcess(page, measured);
  return registry.metrics();
}

function tellJobs(page: Page, nodes: readonly Node[]): void {
  const queues = nodes.flatMap(({ replica }) => [...replica.engine.state.queues()]);
  const shown = busiest(queues);
  page.one("corvo_queues_total", "Queues that exist.", queues.length);
  page.one(
    "corvo_queues_omitted",
    "Queues without series of their own here.",
    queues.length - shown.length,
  );
  page.gauge(
    "corvo_jobs",
    "Jobs by state.",
    jobStates.map((state) => [
      { state },
      queues.reduce((sum, { counts }) => sum + counts[state], 0),
    ]),
  );
  page.gauge(
    "corvo_queue_jobs",
    "Jobs by queue and state.",
    shown.flatMap(({ name, counts }) =>
      jobStates.map((state) => [{ queue: name, state }, counts[state]] as const),
    ),
  );
  page.gauge(
    "corvo_queue_bytes",
    "Bytes of payloads and results by queue, blobs included.",
    shown.map(({ name, bytes }) => [{ queue: name }, bytes ?? 0]),
  );
  page.gauge(
    "corvo_queue_paused",
    "1 for a queue that is paused.",
    shown.map(({ name, paused }) => [{ queue: name }, paused ? 1 : 0]),
  );
}

function tellRoom(page: Page, { store, keeper, disk }: Measured["blobs"]): void {
  page.one("corvo_blobs", "Blobs on the disk of this node.", store.count);
  page.one("corvo_blob_bytes", "Bytes of those.", store.totalBytes);
  page.one(
    "corvo_blobs_missing",
    "Blobs that jobs use and that this node has not fetched yet.",
    keeper.missing,
  );
  page.one("corvo_disk_used_bytes", "Bytes of jobs and blobs on this node.", disk.usedBytes);
  if (disk.budgetBytes !== undefined) {
    page.one("corvo_disk_budget_bytes", "Bound on those (--disk-budget).", disk.budgetBytes);
  }
  page.one(
    "corvo_disk_refusing",
    "1 while large payloads are refused for want of room.",
    disk.fullReason === undefined ? 0 : 1,
  );
}

function busiest(queues: readonly QueueRecord[]): readonly QueueRecord[] {
  if (queues.length <= queuesShownMax) return queues;
  const unfinished = ({ counts }: QueueRecord) =>
    counts.pending + counts.active + counts.scheduled + counts.retrying + counts.held;
  return [...queues]
    .sort((one, other) => unfinished(other) - unfinished(one) || (one.name < other.name ? -1 : 1))
    .slice(0, queuesShownMax);
}

function tellEvents(page: Page, nodes: readonly Node[]): void {
  const added = new Map<string, number>();
  for (const { replica } of nodes) {
    replica.engine.state.events.added.forEach((count, code) => {
      const type = typeOfCode(code);
      if (type !== undefined) added.set(type, (added.get(type) ?? 0) + count);
    });
  }
  page.counter(
    "corvo_events_total",
    "Life-cycle events that this node applied, by type: enqueued, started, completed, failed and so on.",
    [...added].map(([type, count]) => [{ type }, count]),
  );
}

function tellDeliveries(page: Page, nodes: readonly Node[]): void {
  const all = nodes.map(({ replica }) => replica.engine.deliveries());
  const sum = (name: "waiting" | "delivered" | "failed" | "missed") =>
    all.reduce((total, one) => total + one[name], 0);
  page.one("corvo_deliveries_waiting", "Messages to webhooks and results to send.", sum("waiting"));
  const nowMs = nodes[0]?.deps.clock.nowMs() ?? 0;
  const oldestMs = Math.min(nowMs, ...all.map((one) => one.oldestMs ?? nowMs));
  page.one(
    "corvo_deliveries_oldest_seconds",
    "How long the first of them has been waiting.",
    (nowMs - oldestMs) / 1000,
  );
  page.gauge(
    "corvo_deliveries",
    "Messages that ended: delivered, failed (given up), missed (no room).",
    (["delivered", "failed", "missed"] as const).map((result) => [{ result }, sum(result)]),
  );
  const sent = nodes.map(({ courier }) => courier.sent);
  page.counter(
    "corvo_delivery_tries_total",
    "Calls that this node made to webhooks and for results.",
    (["delivered", "failed"] as const).map((result) => [
      { result },
      sent.reduce((total, one) => total + one[result], 0),
    ]),
  );
  page.one(
    "corvo_webhooks_disabled",
    "Webhooks that were disabled by themselves, in any shard.",
    new Set(nodes.flatMap(disabledOf)).size,
  );
}

function disabledOf({ replica }: Node): readonly string[] {
  const all = [...replica.engine.state.records("webhook").entries()];
  return all.filter(([, { disabledBecause }]) => disabledBecause !== undefined).map(([id]) => id);
}

function tellWorkers(page: Page, { nodes, streams }: Measured): void {
  page.one("corvo_lifecycle_streams_open", "Streams of workers and producers.", streams);
  const sum = (count: (node: Node) => number) =>
    nodes.reduce((total, node) => total + count(node), 0);
  page.one(
    "corvo_waiting_workers",
    "Claims that wait for jobs, of the shards that this node leads.",
    sum(({ claims }) => claims.waiterCount),
  );
  page.one(
    "corvo_workers_registered",
    "Workers that were heard of, by the shards that this node leads.",
    sum(({ workers }) => [...workers.all()].length),
  );
  page.gauge(
    "corvo_idle_workers_with_ready_jobs",
    "Workers that wait at a queue which has ready jobs, for more than five seconds; corvo explain QUEUE says why.",
    nodes
      .flatMap(({ idleWatch }) => idleWatch.idle)
      .map(({ queue, workers }) => [{ queue }, workers]),
  );
}

const raftStates: Readonly<Record<string, number>> = { follower: 0, candidate: 1, leader: 2 };

function tellConsensus(page: Page, cores: readonly ShardCore[]): void {
  const each = (value: (core: ShardCore) => number) =>
    cores.map((core) => [{ shard: String(core.shard) }, value(core)] as const);
  page.gauge(
    "corvo_cluster_is_leader",
    "1 where this node leads.",
    each(({ replica }) => (replica.isLeader ? 1 : 0)),
  );
  page.gauge(
    "corvo_raft_state",
    "0 follower, 1 candidate, 2 leader.",
    each(({ group }) => raftStates[group.state.role] ?? 0),
  );
  page.gauge(
    "corvo_raft_term",
    "Term of consensus.",
    each(({ group }) => group.state.term),
  );
  page.gauge(
    "corvo_raft_commit_index",
    "Last log entry that a majority holds, as far as this node knows.",
    each(({ group }) => group.state.log.committed),
  );
  page.gauge(
    "corvo_raft_applied_index",
    "Last log entry that this node applied.",
    each(({ replica }) => replica.appliedIndex),
  );
  page.gauge(
    "corvo_state_stored_index",
    "Last log entry that the state database has.",
    each(({ replica }) => replica.checkpointedIndex),
  );
  page.gauge(
    "corvo_raft_apply_pending",
    "Changes that wait for the log or are on their way through it.",
    each(({ replica }) => replica.pendingChanges),
  );
  page.gauge(
    "corvo_read_only",
    "1 while writes are refused, as with a full disk.",
    each(({ replica }) => (replica.readOnlyReason === undefined ? 0 : 1)),
  );
}

/** What every job waits for, even when nothing else is wrong: the disk, the engine, and a turn of the event loop. */
function tellTimings(page: Page, { cores, loopDelays }: Measured): void {
  const each = (value: (core: ShardCore) => DurationHistogram) =>
    cores.map((core) => [{ shard: String(core.shard) }, value(core)] as const);
  page.histogram(
    "corvo_log_write_seconds",
    "From handing entries to the log until they are on disk, the wait for the write before them included.",
    each(({ timings }) => timings.logWrites),
  );
  page.histogram(
    "corvo_apply_seconds",
    "For making the changes of one log entry.",
    each(({ timings }) => timings.applies),
  );
  page.histogram(
    "corvo_event_loop_delay_seconds",
    "How late a timer of the event loop comes, looked at ten times a second.",
    [[{}, loopDelays]],
  );
}

function tellCalls(page: Page, { calls, inFlight }: Measured): void {
  const used = calls.filter(({ answers }) => answers.size > 0);
  page.one("corvo_http_requests_in_flight", "Requests that are being served.", inFlight);
  page.counter(
    "corvo_http_requests_total",
    "Requests that were answered.",
    used.flatMap(({ method, route, answers }) =>
      [...answers].map(
        ([status, count]) => [{ method, route, status: String(status) }, count] as const,
      ),
    ),
  );
  page.histogram(
    "corvo_http_request_duration_seconds",
    "Seconds from request to answer, waits of long polls included.",
    used.map(({ method, route, durations }) => [{ method, route }, durations]),
  );
}

function tellTexts(page: Page, nodes: Measured["nodes"]): void {
  const texts = nodes.flatMap((node) => textIndexView(node).text_index ?? []);
  if (texts.length === 0) return;
  const bytes = texts.reduce((sum, one) => sum + one.bytes, 0);
  const behind = texts.reduce((sum, one) => sum + one.behind, 0);
  page.one("corvo_text_index_bytes", "Size of the index of texts.", bytes);
  page.one("corvo_text_index_behind_jobs", "Numbers of jobs that it has not come to yet.", behind);
}

function tellProcess(page: Page, { nodes }: Measured): void {
  const [first] = nodes;
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  page.one("corvo_process_resident_memory_bytes", "Resident memory.", memory.rss);
  page.one("corvo_process_heap_inuse_bytes", "Heap in use.", memory.heapUsed);
  page.counter("corvo_process_cpu_seconds_total", "Time on processors.", [
    [{}, (cpu.user + cpu.system) / 1e6],
  ]);
  if (first === undefined) return;
  page.one("corvo_process_uptime_seconds", "Since the start.", first.uptimeMs / 1000);
  const sizes = first.deps.sizes();
  page.one("corvo_log_bytes", "Size of the log.", sizes.logBytes);
  const stateBytes = nodes.reduce((sum, { deps }) => sum + deps.sizes().stateBytes, 0);
  page.one("corvo_state_bytes", "Size of the state databases.", stateBytes);
  tellTexts(page, nodes);
  page.gauge("corvo_info", "Version of this node.", [
    [{ version: first.options.serverVersion, node: first.options.nodeId }, 1],
  ]);
}
