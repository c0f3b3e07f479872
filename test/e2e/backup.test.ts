/** Backups of the compiled program: while it works, when it is killed, and the drill of docs/operations/backup.md. */
import { expect, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Place, Server, shardWords } from "../support/binary.ts";
import { Cluster, type ClusterNode, freePort, until } from "../support/cluster/cluster.ts";

interface Jobs {
  readonly jobs: ({ readonly id: string } & Record<string, unknown>)[];
  readonly cursor?: string;
}

/** Every job of a server in full, by id. */
async function allJobs(url: string): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  const post = async <T>(path: string, body: object): Promise<T> => {
    const answer = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  for (let cursor: string | undefined; ; ) {
    const page: Jobs = await post("/api/v1/jobs/search", { limit: 500, cursor: cursor ?? null });
    const job_ids = page.jobs.map(({ id }) => id);
    const { jobs } = await post<Jobs>("/api/v1/jobs/bulk-get", { job_ids });
    for (const job of jobs) found.set(job.id, job);
    cursor = page.cursor;
    if (cursor === undefined) return found;
  }
}

async function startIn(place: Place, dataDir: string, port: number): Promise<Server> {
  const bind = ["--bind", `127.0.0.1:${port}`, "--peer-bind", "127.0.0.1:0"];
  const server = new Server(place.start(["server", "--json", "--data-dir", dataDir, ...bind]));
  await server.listening;
  return server;
}

test("[BU1] [BU3] everything that three nodes acknowledged is in a backup of any of them, and comes back as a new cluster", async () => {
  await using cluster = await Cluster.of(3);
  const { place } = cluster;
  const leader = await cluster.leader();
  const [follower] = await cluster.followers();
  if (follower === undefined) throw new Error("there is no follower");
  const before: string[] = [];
  let isOver = false;
  const add = async (n: number) => {
    const body = { queue: `q${n % 3}`, payload: { n }, tags: { n: String(n) } };
    const { job_id } = await leader.json<{ job_id: string }>("POST", "/api/v1/enqueue", body);
    return job_id;
  };
  for (let n = 0; n < 40; n++) before.push(await add(n));
  for (let n = 0; n < 5; n++) {
    const job = await leader.json<{ job_id: string; lease_token: string }>(
      "POST",
      "/api/v1/fetch",
      {
        queues: ["q0"],
        lease_ms: 60_000,
      },
    );
    const body = { lease_token: job.lease_token, result: { n } };
    if (n < 4) await leader.json("POST", `/api/v1/ack/${job.job_id}`, body);
  }
  await leader.json("POST", "/api/v1/queues/q1/pause");
  const known = await allJobs(leader.url);
  const writing = (async () => {
    for (let n = 1000; !isOver; n++) await add(n);
  })();

  const saved = await place.run(["backup", "all.backup", "--server", follower.url, "--json"]);
  isOver = true;
  await writing;
  const checked = await place.run(["backup", "verify", "all.backup", "--json"]);
  const oldStatus = await leader.status();
  for (const node of cluster.nodes) await node.kill();
  const restored = await place.run(["restore", "all.backup", "--data-dir", "new", "--json"]);
  await using server = await startIn(place, "new", await freePort());

  expect(saved).toMatchObject({ code: 0 });
  expect(JSON.parse(checked.stdout).sha256).toBe(JSON.parse(saved.stdout).sha256);
  expect(restored.code).toBe(0);
  const status = await server.json<{ cluster_id: string; node_id: string; nodes: object[] }>(
    "GET",
    "/api/v1/cluster/status",
  );
  expect(status.nodes).toHaveLength(1);
  expect(status.cluster_id).not.toBe(oldStatus.cluster_id);
  expect(oldStatus.nodes.map(({ id }) => id)).not.toContain(status.node_id);
  const back = await allJobs(server.url);
  for (const id of before) expect(back.get(id)).toEqual(known.get(id));
  expect(await server.json("GET", "/api/v1/queues/q1")).toMatchObject({ paused: true });
  const added = await server.json<{ job_id: string }>("POST", "/api/v1/enqueue", { queue: "q0" });
  expect(back.has(added.job_id)).toBe(false);

  const again = await place.run(["restore", "all.backup", "--data-dir", "new"]);
  expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining("is not empty") });
}, 60_000);

interface Batches {
  readonly batches: {
    readonly state: string;
    readonly pending: number;
    readonly created_at: string;
  }[];
  readonly total: number;
}

test("[BU1] shards that tell each other are at one moment in a backup: what follows a batch over all of them follows once", async () => {
  const queues = Array.from({ length: 6 }, (_, i) => `q${i}`);
  await using cluster = await Cluster.of(
    3,
    shardWords().length > 0 ? {} : { words: ["--shards", "3"] },
  );
  const { place } = cluster;
  const leader = await cluster.leader();
  const [follower] = await cluster.followers();
  let isOver = false;
  const add = async () => {
    const jobs = queues.map((queue) => ({ queue }));
    const batch = { on_complete: { queue: "done" } };
    while (!isOver) await leader.json("POST", "/api/v1/enqueue/batch", { jobs, batch });
  };
  const work = async (call: ClusterNode["json"]) => {
    const body = { queues, count: 100, wait_ms: 20, lease_ms: 5000 };
    const { jobs } = await call<{ jobs: { job_id: string; lease_token: string }[] }>(
      "POST",
      "/api/v1/fetch/batch",
      body,
    );
    const acks = jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token }));
    if (acks.length > 0) await call("POST", "/api/v1/ack/batch", { acks });
  };
  const eat = async () => {
    while (!isOver) await work((...call) => leader.json(...call));
  };
  const busy = [add(), eat()];
  await until("a batch is over", async () => {
    const { batches } = await leader.json<Batches>("GET", "/api/v1/batches");
    return batches.filter(({ state }) => state === "completed").length > 3;
  });
  const saved = await place.run(["backup", "b", "--server", follower?.url ?? "", "--json"]);
  isOver = true;
  await Promise.all(busy);
  for (const node of cluster.nodes) await node.kill();
  const restored = await place.run(["restore", "b", "--data-dir", "new", "--json"]);
  await using server = await startIn(place, "new", await freePort());

  expect([saved.code, restored.code]).toEqual([0, 0]);
  expect(JSON.parse(saved.stdout).sections).toBeGreaterThan(3);
  const ended = await until("all batches are over", async () => {
    await work((...call) => server.json(...call));
    const list = await server.json<Batches>("GET", "/api/v1/batches?limit=1000");
    // A call that was under way when the backup was made has left a batch that is open until its time is over.
    const rest = list.batches.filter(({ state }) => state !== "completed");
    return rest.every(({ state, pending }) => state === "open" && pending === 0) ? list : undefined;
  });
  const completed = ended.batches.filter(({ state }) => state === "completed").length;
  expect(completed).toBeGreaterThan(3);
  expect(ended.total - completed).toBeLessThan(2);
  // What follows is told to its shard, which takes a moment.
  const followed = await until("each is followed", async () => {
    const { enqueued } = await server.json<{ enqueued: number }>("GET", "/api/v1/queues/done");
    return enqueued >= completed ? enqueued : undefined;
  });
  expect(followed).toBe(completed);
}, 60_000);

test("[BU4] a server that is killed in the middle of a backup leaves nothing, and neither does a file that was cut", async () => {
  await using place = await Place.create();
  const port = await freePort();
  const server = await startIn(place, "data", port);
  const payload = "x".repeat(100_000);
  const jobs = Array.from({ length: 100 }, () => ({ queue: "q", payload }));
  for (let i = 0; i < 4; i++) await server.json("POST", "/api/v1/enqueue/batch", { jobs });

  // A reader that takes one piece and no more keeps the copy where it is.
  const answer = await fetch(`${server.url}/api/v1/backup`);
  await answer.body?.getReader().read();
  const folder = join(place.path, "data/snapshots");
  await until("a copy is made", async () => {
    const found = existsSync(join(folder, "backup")) ? readdirSync(join(folder, "backup")) : [];
    return found.length > 0;
  });
  await server.stop("SIGKILL");
  expect(readdirSync(folder)).toEqual(["backup"]);
  await using second = await startIn(place, "data", port);
  expect(readdirSync(folder)).toEqual([]);

  const env = { CORVO_SERVER: second.url };
  expect((await place.run(["backup", "b", "--quiet"], { env })).code).toBe(0);
  const path = join(place.path, "b");
  truncateSync(path, statSync(path).size - 10);
  const cut = await place.run(["backup", "verify", "b"]);
  const refused = await place.run(["restore", "b", "--data-dir", "new"]);
  expect([cut.code, refused.code]).toEqual([2, 2]);
  expect(cut.stderr).toContain("cut off");
  expect(readdirSync(join(place.path, "new"))).toEqual([]);
}, 30_000);

test("[BU4] a restore that is killed leaves a directory on which no server starts, and the same restore begins anew", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const jobs = Array.from({ length: 500 }, (_, n) => ({ queue: "q", payload: { n } }));
  await server.json("POST", "/api/v1/enqueue/batch", { jobs });
  expect((await place.run(["backup", "b", "--quiet"])).code).toBe(0);
  const bytes = readFileSync(join(place.path, "b"));

  // Fed by hand, it waits for the rest of the file for ever.
  const running = place.start(["restore", "-", "--data-dir", "new"], { stdin: "" });
  running.stdin?.write(bytes.subarray(0, bytes.length - 60));
  await running.stdin?.flush();
  await until("it has begun", async () => existsSync(join(place.path, "new/restoring")));
  running.kill("SIGKILL");
  await running.exited;
  const started = await place.run(["server", "--data-dir", "new", "--bind", "127.0.0.1:0"]);
  const again = await place.run(["restore", "b", "--data-dir", "new"]);

  expect(started.code).not.toBe(0);
  expect(started.stderr).toContain("was not finished");
  expect(again.code).toBe(0);
  await using restored = await startIn(place, "new", await freePort());
  expect((await allJobs(restored.url)).size).toBe(500);
}, 30_000);

test("[BU6] a queue goes from one server to another by the command line", async () => {
  await using place = await Place.create();
  await using one = await place.serve();
  const jobs = Array.from({ length: 1200 }, (_, n) => ({ queue: "mail", payload: { n } }));
  await one.json("POST", "/api/v1/enqueue/batch", { jobs });
  await using two = await startIn(place, "other", await freePort());
  const run = (...words: string[]) => place.run(words, { env: { CORVO_SERVER: two.url } });

  const saved = await place.run(["backup", "mail.backup", "--queue", "mail", "--quiet"], {
    env: { CORVO_SERVER: one.url },
  });
  const restored = await run("restore", "mail.backup", "--json");
  const again = await run("restore", "mail.backup", "--json");
  writeFileSync(join(place.path, "other.json"), '{"hello":1}');
  const other = await run("restore", "other.json");

  expect(other.code).toBe(2);
  expect(other.stderr).toContain("it has neither jobs nor queues");
  expect(saved.code).toBe(0);
  const isSplit = shardWords().length > 0;
  if (isSplit) return;
  expect(JSON.parse(restored.stdout)).toMatchObject({ jobs: 1200, queues: 1, refused: 0 });
  expect(again.code).toBe(7);
  expect(JSON.parse(again.stdout)).toMatchObject({ jobs: 0, refused: 1200, kept: ["queue mail"] });
  expect(await allJobs(two.url)).toEqual(await allJobs(one.url));
}, 30_000);

test("the drill of the page on backups does what it says", async () => {
  const page = readFileSync(new URL("../../docs/operations/backup.md", import.meta.url), "utf8");
  const block = /## A drill[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const lines = block.trim().split("\n");
  expect(lines.length).toBeGreaterThan(5);
  await using place = await Place.create();
  await using server = await place.serve();
  await server.json("POST", "/api/v1/enqueue", { queue: "mail", payload: 1 });
  const port = await freePort();
  const said: string[] = [];
  let drill: Server | undefined;

  for (const line of lines.map((text) => text.replaceAll("8090", String(port)))) {
    if (line.startsWith("corvo server")) {
      const words = [...line.split(" ").slice(1), "--json", "--peer-bind", "127.0.0.1:0"];
      drill = new Server(place.start(words));
      await drill.listening;
      continue;
    }
    const { code, stdout, stderr } = await place.shell(line);
    expect([line, code, stderr]).toEqual([line, 0, expect.any(String)]);
    said.push(stdout);
  }
  await drill?.stop();

  expect(said.at(-2)).toContain("mail");
}, 30_000);
