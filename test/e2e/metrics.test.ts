/** What a Prometheus server is told, read as one reads it: names, labels with escapes, numbers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { enqueue } from "../support/cluster/cluster-steps.ts";
import { type LiveServer, liveServer } from "../support/live-server.ts";
import { seriesOf } from "../support/metrics.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

const scrape = (url = server.url) => seriesOf(`${url}/metrics`);

test("jobs, events, calls and consensus are counted as they are", async () => {
  const queue = "metrics/of@this";
  for (let i = 0; i < 3; i++) await server.post("/enqueue", { queue, payload: i });
  const job = await server.post<{ job_id: string; lease_token: string }>("/fetch", {
    queues: [queue],
    worker_id: "w",
    wait_ms: 0,
  });
  await server.post(`/ack/${job.job_id}`, { lease_token: job.lease_token });
  await server.call("GET", "/api/v1/jobs/unknown");

  const series = await scrape();
  const value = (name: string) => series.get(name);
  expect(value(`corvo_queue_jobs{queue="${queue}",state="pending"}`)).toBe(2);
  expect(value('corvo_jobs{state="completed"}')).toBe(1);
  expect(value('corvo_events_total{type="enqueued"}')).toBe(3);
  expect(value('corvo_events_total{type="completed"}')).toBe(1);
  expect(value("corvo_workers_registered")).toBe(1);
  const call = 'method="POST",route="/api/v1/enqueue"';
  expect(value(`corvo_http_requests_total{${call},status="201"}`)).toBe(3);
  expect(value(`corvo_http_request_duration_seconds_count{${call}}`)).toBe(3);
  expect(value(`corvo_http_request_duration_seconds_bucket{${call},le="+Inf"}`)).toBe(3);
  const missed = 'method="GET",route="/api/v1/jobs/{job_id}",status="404"';
  expect(value(`corvo_http_requests_total{${missed}}`)).toBe(1);
  expect(value('corvo_cluster_is_leader{shard="0"}')).toBe(1);
  const applied = value('corvo_raft_applied_index{shard="0"}') ?? 0;
  expect(applied).toBeGreaterThan(4);
  expect(value("corvo_process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
  expect(value("corvo_process_uptime_seconds")).toBeGreaterThan(0);
});

test("buckets of a histogram grow, and both paths tell the same names", async () => {
  await server.get("/status");
  const [one, other] = [await scrape(), await seriesOf(`${server.url}/api/v1/metrics`)];
  const call = 'method="GET",route="/api/v1/status"';
  const buckets = [...one].filter(([name]) =>
    name.startsWith(`corvo_http_request_duration_seconds_bucket{${call}`),
  );
  expect(buckets.length).toBeGreaterThan(5);
  for (let i = 1; i < buckets.length; i++) {
    expect(buckets[i]?.[1]).toBeGreaterThanOrEqual(buckets[i - 1]?.[1] ?? 0);
  }
  for (const name of one.keys()) expect(other.has(name)).toBe(true);
});

test("the times of disk, engine and event loop are told, and every write is among them", async () => {
  const name = (which: string) => `corvo_${which}_seconds_count{shard="0"}`;
  const before = await scrape();
  for (let i = 0; i < 5; i++) await server.post("/enqueue", { queue: "timed", payload: i });
  const after = await scrape();
  for (const which of ["log_write", "apply"]) {
    const added = (after.get(name(which)) ?? 0) - (before.get(name(which)) ?? 0);
    expect(added).toBeGreaterThanOrEqual(5);
  }
  expect(after.get('corvo_log_write_seconds_sum{shard="0"}')).toBeGreaterThan(0);
  await until("the loop was looked at", async () => {
    const found = await scrape();
    return (found.get("corvo_event_loop_delay_seconds_count") ?? 0) > 0 ? found : undefined;
  });
});

test("of very many queues the busiest are told, and how many are not", async () => {
  const jobs = Array.from({ length: 1100 }, (_, i) => ({ queue: `many-${i}`, payload: 1 }));
  await server.post("/enqueue/batch", { jobs: [...jobs, { queue: "many-1099", payload: 2 }] });
  const series = await scrape();
  const shown = [...series.keys()].filter((name) => name.startsWith("corvo_queue_paused{"));
  expect(shown).toHaveLength(1000);
  expect(series.get("corvo_queues_omitted")).toBe((series.get("corvo_queues_total") ?? 0) - 1000);
  expect(series.get('corvo_queue_jobs{queue="many-1099",state="pending"}')).toBe(2);
});

test("messages to webhooks are counted: those that wait, those that ended, and the calls", async () => {
  const wait = { id: "waits", url: "http://127.0.0.1/", events: ["enqueued"] };
  await server.post("/webhooks", wait);
  await server.post("/webhooks/waits/pause");
  await server.post("/webhooks", { ...wait, id: "fails", retry_limit: 1 });
  await server.post("/enqueue", { queue: "told", payload: 1 });

  const series = await until("it was given up", async () => {
    const found = await scrape();
    return found.get('corvo_deliveries{result="failed"}') === 1 ? found : undefined;
  });
  expect(series.get("corvo_deliveries_waiting")).toBe(1);
  expect(series.get("corvo_deliveries_oldest_seconds")).toBeGreaterThan(0);
  expect(series.get('corvo_delivery_tries_total{result="failed"}')).toBe(1);
  expect(series.get('corvo_delivery_tries_total{result="delivered"}')).toBe(0);
  expect(series.get("corvo_webhooks_disabled")).toBe(0);
});

test("the size of the state counts what SQLite has in its write-ahead log, too", async () => {
  const payload = "0123456789".repeat(300);
  const jobs = Array.from({ length: 200 }, () => ({ queue: "heavy", payload }));
  await server.post("/enqueue/batch", { jobs });
  // A listing waits until all is stored.
  await server.post("/jobs/search", { queue: "heavy", limit: 1 });
  expect((await scrape()).get("corvo_state_bytes")).toBeGreaterThan(200 * payload.length);
});

test("a leader tells how it reaches the others and how far their logs are, and a follower what it sees", async () => {
  await using cluster = await Cluster.of(3);
  const leader = await cluster.leader();
  const [one, two] = await cluster.followers();
  if (one === undefined || two === undefined) throw new Error("there are no two followers");
  const of = ({ id }: { id: number }) => ({
    link: `{peer="${id}"}`,
    log: `{shard="0",peer="${id}"}`,
  });
  const [left, right] = [of(one), of(two)];

  await enqueue(leader, 1);
  const whole = await until("both have all of the log", async () => {
    const found = await scrape(leader.url);
    const lag = (peer: { log: string }) => found.get(`corvo_peer_lag_entries${peer.log}`);
    return lag(left) === 0 && lag(right) === 0 ? found : undefined;
  });
  for (const { link, log } of [left, right]) {
    expect(whole.get(`corvo_peer_connected${link}`)).toBe(1);
    expect(whole.get(`corvo_peer_replication_state${log}`)).toBe(1);
    expect(whole.get(`corvo_peer_round_trip_seconds${link}`)).toBeLessThan(5);
    expect(Math.abs(whole.get(`corvo_peer_clock_skew_seconds${link}`) ?? 9)).toBeLessThan(5);
    expect(whole.get(`corvo_peer_sent_bytes_total${link}`)).toBeGreaterThan(0);
    expect(whole.get(`corvo_peer_received_bytes_total${link}`)).toBeGreaterThan(0);
  }

  await one.kill();
  await enqueue(leader, 2);
  const less = await until("the loss shows", async () => {
    const found = await scrape(leader.url);
    // What is known of its clock goes with its own connection.
    const hasClock = found.has(`corvo_peer_clock_skew_seconds${left.link}`);
    return found.get(`corvo_peer_connected${left.link}`) === 0 && !hasClock ? found : undefined;
  });
  expect(less.get(`corvo_peer_lag_entries${left.log}`)).toBeGreaterThan(0);
  expect(less.get(`corvo_peer_connected${right.link}`)).toBe(1);

  const seen = [...(await scrape(two.url)).keys()];
  expect(seen.filter((name) => name.startsWith("corvo_peer_connected"))).toHaveLength(2);
  expect(seen.filter((name) => name.startsWith("corvo_peer_lag_entries"))).toEqual([]);
}, 30_000);
