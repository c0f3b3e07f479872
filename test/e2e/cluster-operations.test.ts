/** What an operator asks of the nodes of a cluster, on the compiled program: snapshots, draining, recovery. */
import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { Place } from "../support/binary.ts";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { enqueue, fill, firstIndex } from "../support/cluster/cluster-steps.ts";
import { nextWrite, underLoad } from "../support/cluster/nemesis-run.ts";

test("a snapshot is made when it is asked for, on any node, and the log of that node gets shorter", async () => {
  await using cluster = await Cluster.of(2);
  const leader = await cluster.leader();
  const [follower] = await cluster.followers();
  if (follower === undefined) throw new Error("there is no follower");
  await fill(leader, 1300);
  await cluster.level();
  const run = (...words: string[]) =>
    cluster.place.run(["cluster", "snapshot", ...words, "--server", leader.url]);

  const ofLeader = await run();
  const ofFollower = await run(String(follower.id), "--json");

  expect(ofLeader.code).toBe(0);
  expect(ofLeader.stdout).toMatch(
    new RegExp(`^node ${leader.id}: snapshot at entry 1,\\d+, \\S+ kB, in \\S+; the log begins`),
  );
  const shown = JSON.parse(ofFollower.stdout);
  expect(shown.node_id).toBe(String(follower.id));
  expect(shown.log_first).toBe(shown.index - 1000 + 1);
  for (const node of cluster.nodes) {
    await until("the entries are gone from the disk", async () => firstIndex(node) > 100);
  }
  await cluster.level();
}, 30_000);

test("a leader that drains hands leadership over, gives out no work, and waits for what it gave out", async () => {
  await using cluster = await Cluster.of(3);
  const leader = await cluster.leader();
  const [other] = await cluster.followers();
  if (other === undefined) throw new Error("there is no follower");
  await enqueue(leader, 1);
  await enqueue(leader, 2);
  const fetchJob = (node: typeof leader) =>
    node.request("POST", "/api/v1/fetch", { queues: ["q"], wait_ms: 100 });
  const { body: job } = await fetchJob(leader);
  const drain = (...words: string[]) =>
    cluster.place.run(["server", "drain", "--server", leader.url, ...words]);

  const early = await drain("--timeout", "100ms");
  const refused = await fetchJob(leader);
  const ready = await leader.request("GET", "/readyz");
  const health = await leader.request("GET", "/healthz");
  const elsewhere = await fetchJob(other);
  const seen = await until("the others are told", async () => {
    const { nodes, summary } = await (await cluster.leader()).status();
    const state = nodes.find(({ id }) => id === String(leader.id))?.state;
    return state === "draining" && summary;
  });
  const waiting = drain("--timeout", "20s");
  await leader.json("POST", `/api/v1/ack/${job["job_id"]}`, { lease_token: job["lease_token"] });
  const late = await waiting;

  expect(early.code).toBe(1);
  expect(early.stderr).toContain("1 lease that went out through it is not over");
  expect([refused.status, refused.body["error"]]).toEqual([
    503,
    "this node is draining and gives out no work",
  ]);
  expect([ready.status, ready.body["status"], health.status]).toEqual([503, "draining", 200]);
  expect(elsewhere.status).toBe(200);
  expect(seen).toContain(`Node ${leader.id} is draining`);
  expect({ code: late.code, stdout: late.stdout }).toEqual({
    code: 0,
    stdout: `node ${leader.id} is drained and can be stopped\n`,
  });
  expect(await leader.status()).toMatchObject({ state: "Follower" });
}, 30_000);

test("a worker that knows only a draining server finishes its jobs, and gets more when it goes on", async () => {
  await using place = await Place.create();
  const server = await place.serve();
  const state = async (id: string) =>
    (await server.json<{ state: string }>("GET", `/api/v1/jobs/${id}`)).state;
  const add = async () =>
    (await server.json<{ job_id: string }>("POST", "/api/v1/enqueue", { queue: "q", payload: 1 }))
      .job_id;
  const line = "while [ ! -f go ]; do sleep 0.05; done";
  const worker = place.start(["worker", "q", "--concurrency", "1", "--", "sh", "-c", line]);
  const running = await add();
  await until("the job runs", async () => (await state(running)) === "active");
  const waiting = await add();

  const draining = place.run(["server", "drain", "--timeout", "20s"]);
  await until("it drains", async () => (await server.call("GET", "/readyz")).status === 503);
  await Bun.write(`${place.path}/go`, "");
  const drained = await draining;
  const done = await state(running);
  const left = await state(waiting);
  const undone = await place.run(["server", "drain", "--undo"]);
  await until("the next job is done", async () => (await state(waiting)) === "completed");
  worker.kill("SIGTERM");

  expect([drained.code, done, left, undone.code]).toEqual([0, "completed", "pending", 0]);
  expect(undone.stdout).toContain("gives out work again");
}, 30_000);

test("draining and restarting each node in turn under load breaks no promise", async () => {
  await using cluster = await Cluster.of(3);
  const run = await underLoad(cluster, 11, async (load) => {
    const codes: number[] = [];
    for (const node of [...cluster.nodes]) {
      const { answered } = load;
      await until("clients are busy", async () => load.answered > answered + 100);
      const words = ["server", "drain", "--server", node.url, "--timeout", "20s"];
      codes.push((await cluster.place.run(words)).code);
      await node.stop();
      await node.start();
      await cluster.settled(3);
      await nextWrite(cluster);
    }
    return codes;
  });

  expect(run.problems).toEqual([]);
  expect(run.result).toEqual([0, 0, 0]);
  expect(run.acks).toBeGreaterThan(50);
}, 60_000);

test("a node that is left alone for good is made the only one, and old nodes come back empty or not at all", async () => {
  await using cluster = await Cluster.of(3);
  const leader = await cluster.leader();
  const [kept, lost] = await cluster.followers();
  if (kept === undefined || lost === undefined) throw new Error("there are no two followers");
  await fill(leader, 20);
  await cluster.level();
  const { cluster_id: clusterId } = await leader.status();
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  const recover = (...words: string[]) =>
    cluster.place.run(["recover", "--data-dir", kept.name, ...words]);

  const shown = await recover();
  const asJson = await recover("--json");
  const unasked = await recover("--unsafe");
  const wrong = await recover("--unsafe", "--yes-i-lose-data", "another");
  await kept.start();
  const running = await recover("--unsafe", "--yes-i-lose-data", clusterId);
  const stuck = await kept.request("POST", "/api/v1/enqueue", { queue: "q", payload: 1 });
  await kept.kill();
  const done = await recover("--unsafe", "--yes-i-lose-data", clusterId);

  expect(shown.stdout).toContain(`to be removed  node ${leader.id}`);
  expect(JSON.parse(asJson.stdout)).toMatchObject({
    cluster_id: clusterId,
    node_id: String(kept.id),
    last_term: expect.any(Number),
    last_index: expect.any(Number),
    to_be_removed: expect.arrayContaining([String(leader.id)]),
  });
  expect(unasked.code).toBe(2);
  expect(unasked.stderr).toContain(`--yes-i-lose-data ${clusterId}`);
  expect([wrong.code, running.code, stuck.status]).toEqual([5, 5, 503]);
  expect(running.stderr).toContain("is in use by process");
  expect({ code: done.code, stderr: done.stderr }).toMatchObject({ code: 0 });
  expect(done.stdout).toContain("is the only node of its cluster now, recovery epoch 1");

  await kept.start();
  const status = await kept.status();
  expect(status).toMatchObject({ state: "Leader", cluster_id: clusterId });
  expect(status.nodes.map(({ id }) => id)).toEqual([String(kept.id)]);
  expect((await enqueue(kept, 100)).status).toBe("pending");
  const { total } = await kept.json<{ total: number }>("POST", "/api/v1/jobs/search", {
    queue: "q",
    limit: 1,
  });
  expect(total).toBe(21);

  // One of the old nodes comes back as it was, the other one without anything.
  await lost.start();
  await until("it is refused", async () =>
    lost.said.includes(`is of cluster ${clusterId} as it was before a recovery (epoch 0`),
  );
  expect((await kept.status()).nodes).toHaveLength(1);
  await lost.kill();
  cluster.nodes.splice(cluster.nodes.indexOf(lost), 1);
  cluster.nodes.splice(cluster.nodes.indexOf(leader), 1);
  rmSync(leader.dataDir, { recursive: true });
  const again = await cluster.add({ join: [kept], name: leader.name });
  await again.start();
  await cluster.settled(2);
  await cluster.level();
  expect(again.id).toBeGreaterThan(3);
  await again.stop();
  await again.start();
  await cluster.settled(2);
}, 40_000);
