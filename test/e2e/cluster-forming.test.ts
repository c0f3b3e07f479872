/** Clusters that form by themselves: the same line on every node, and join tokens, on the compiled program. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, freePort, until } from "../support/cluster/cluster.ts";
import { change, enqueue } from "../support/cluster/cluster-steps.ts";

/** Nodes that are all started by the same line, itself among the addresses; nothing runs yet. */
async function sameLine(cluster: Cluster, count: number, words: readonly string[] = []) {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const line = [
    ...["--expect", "3", ...words],
    ...ports.flatMap((port) => ["--join", `127.0.0.1:${port}`]),
  ];
  const nodes = [];
  for (const httpPort of ports) nodes.push(await cluster.add({ join: [], words: line, httpPort }));
  return nodes;
}

test("three nodes with the same line wait for each other, form one cluster, and come back by that line", async () => {
  await using cluster = await Cluster.create({ words: ["--cluster-secret", "ours"] });
  const [one, two, three] = await sameLine(cluster, 3);
  if (one === undefined || two === undefined || three === undefined) throw new Error("no nodes");

  one.spawn();
  two.spawn();
  const waiting = await until("two have met", async () => {
    const answer = await one.request("POST", "/api/v1/enqueue", { queue: "q", payload: 1 });
    return answer.text.includes("have 2") && answer;
  });
  const health = await one.request("GET", "/healthz");
  const ready = await one.request("GET", "/readyz");
  const status = await cluster.place.run(["status", "--server", two.url]);
  expect([waiting.status, waiting.body["code"], waiting.body["error"]]).toEqual([
    503,
    "UNAVAILABLE",
    `waiting for 3 nodes, have 2: this one and ${two.url}`,
  ]);
  expect([health.status, ready.status]).toEqual([200, 503]);
  expect({ code: status.code, stderr: status.stderr }).toMatchObject({ code: 6 });
  expect(status.stderr).toContain("waiting for 3 nodes, have 2");

  three.spawn();
  await Promise.all(cluster.nodes.map((node) => node.server?.listening));
  await cluster.settled(3);
  await until("it takes work", async () => (await enqueue(two, 1)).status === "pending");
  const said = cluster.nodes.map((node) => node.said);
  expect(said.filter((log) => log.includes("founding the cluster"))).toHaveLength(1);
  expect(said.filter((log) => log.includes("joined cluster"))).toHaveLength(2);

  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.settled(3);
  await cluster.level();
}, 40_000);

test("a fourth node with the line of the others joins them, and a node that waits can be stopped", async () => {
  await using cluster = await Cluster.create();
  const nodes = await sameLine(cluster, 4);
  const late = nodes.pop();
  if (late === undefined) throw new Error("no nodes");
  cluster.nodes.pop();
  for (const node of nodes) node.spawn();
  await Promise.all(nodes.map((node) => node.server?.listening));
  await cluster.settled(3);

  cluster.nodes.push(late);
  await late.start();
  await cluster.settled(4);

  const lonely = await cluster.add({
    join: [],
    words: ["--expect", "3", "--join", "127.0.0.1:1", "--join", "127.0.0.1:2"],
  });
  lonely.spawn();
  await until("it waits", async () => lonely.said.includes("waiting for 3 nodes, have 1"));
  expect(await lonely.stop()).toBe(130);
  expect(lonely.said).toContain("stopped before the server was ready");
}, 40_000);

test("a founder that comes back before the others joined takes no work until enough vote, and then may shrink", async () => {
  await using cluster = await Cluster.of(1);
  const [founder] = cluster.nodes;
  if (founder === undefined) throw new Error("there is no node");
  await founder.stop();
  const identity = join(founder.dataDir, "node.json");
  const before = JSON.parse(readFileSync(identity, "utf8"));
  writeFileSync(identity, JSON.stringify({ ...before, expect: 3 }));

  await founder.start();
  const add = () => founder.request("POST", "/api/v1/enqueue", { queue: "q", payload: 1 });
  const early = await add();
  const stream = await founder.request("GET", "/readyz");
  for (let i = 0; i < 2; i++) await (await cluster.add({ join: [founder] })).start();
  await cluster.settled(3);
  await until("it takes work", async () => (await add()).status === 201);
  const after = JSON.parse(readFileSync(identity, "utf8"));
  for (const node of cluster.nodes.splice(1)) {
    cluster.nodes.push(node);
    await change(cluster, "/api/v1/cluster/transfer-leader", { node: String(founder.id) });
    await change(cluster, "/api/v1/cluster/remove", { node: String(node.id) });
    await node.stop();
  }
  await founder.stop();
  await founder.start();

  expect([early.status, early.body["error"], stream.status]).toEqual([
    503,
    "waiting for 3 nodes that vote, have 1",
    503,
  ]);
  expect(after).toEqual(before);
  expect((await add()).status).toBe(201);
}, 40_000);

test("a node joins with a token and nothing else, and only the cluster of the token", async () => {
  await using cluster = await Cluster.create();
  const first = await cluster.add({ words: ["--cluster-secret", "a very long secret"] });
  const other = await cluster.add({ join: [], words: ["--cluster-secret", "a very long secret"] });
  await Promise.all([first.start(), other.start()]);
  const token = (secret: string | undefined, ...words: string[]) =>
    cluster.place.run(["cluster", "token", "--server", first.url, ...words], {
      env: secret === undefined ? {} : { CORVO_CLUSTER_SECRET: secret },
    });

  const none = await token(undefined);
  const wrong = await token("another");
  const right = await token("a very long secret");
  const word = right.stdout.trim();
  const joiner = await cluster.add({ join: [first], env: { CORVO_JOIN_TOKEN: word } });
  const stray = await cluster.place.run([...joiner.words, "--join", other.url], {
    env: { CORVO_JOIN_TOKEN: `${word.slice(0, -1)}x` },
  });
  const [ownJoin, firstUrl] = ["--join", first.url];
  const astray = await cluster.place.run(
    joiner.words.flatMap((text) => (text === firstUrl ? [other.url] : [text])),
    { env: { CORVO_JOIN_TOKEN: word } },
  );
  await joiner.start();
  cluster.nodes.splice(cluster.nodes.indexOf(other), 1);
  await cluster.settled(2);

  expect([none.code, wrong.code, right.code, stray.code, astray.code]).toEqual([4, 4, 0, 2, 5]);
  expect(none.stderr).toContain("this cluster has a secret, and it was not given");
  expect(wrong.stderr).toContain("this is not the secret of the cluster");
  expect(word).toMatch(/^corvo1\.[\w-]+\.[0-9a-f]{8}$/);
  expect(right.stderr).toContain(`corvo server ${ownJoin} ${firstUrl}`);
  expect(stray.stderr).toContain("damaged or cut off");
  expect(astray.stderr).toContain(
    `the join token is of cluster ${(await first.status()).cluster_id}`,
  );
  expect((await other.status()).nodes).toHaveLength(1);

  await joiner.stop();
  await joiner.start();
  await cluster.settled(2);
  await other.stop();
}, 40_000);

test("without a secret the token only names the cluster, and says so", async () => {
  await using cluster = await Cluster.of(1);
  const { url } = cluster.nodes[0] ?? { url: "" };

  const run = await cluster.place.run(["cluster", "token", "--server", url, "--json"]);
  const talk = await cluster.place.run(["cluster", "token", "--server", url, "-q"]);
  const joiner = await cluster.add({ words: ["--token", talk.stdout.trim()] });
  await joiner.start();
  await cluster.settled(2);

  expect(JSON.parse(run.stdout)).toMatchObject({ has_secret: false });
  expect(talk.stderr).toContain("this cluster has no secret");
}, 30_000);
