/** Large payloads in a cluster: what was acknowledged survives the loss of the leader, and what nobody needs goes. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Cluster, type ClusterNode, until } from "../support/cluster/cluster.ts";

const mebibyte = 1024 * 1024;

/** Bytes that no other seed has. */
function content(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >> 2);
  let word = (seed * 2_654_435_761) >>> 0;
  for (let i = 0; i < words.length; i++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = word;
  }
  return bytes;
}

const hashOf = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

/** Files with the name of a blob, and what is being written. */
function blobFiles(node: ClusterNode): string[] {
  const path = join(node.dataDir, "blobs");
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

async function enqueue(
  node: ClusterNode,
  body: Uint8Array<ArrayBuffer>,
): Promise<string | undefined> {
  const answer = await fetch(`${node.url}/api/v1/queues/scans/jobs`, {
    method: "POST",
    headers: { "content-type": "image/png" },
    body,
  });
  const text = await answer.text();
  return answer.status === 201 ? (JSON.parse(text) as { job_id: string }).job_id : undefined;
}

async function payloadOf(node: ClusterNode, id: string): Promise<Uint8Array | undefined> {
  const answer = await fetch(`${node.url}/api/v1/jobs/${id}/payload`);
  const bytes = await answer.bytes();
  return answer.status === 200 && answer.headers.get("content-type") === "image/png"
    ? bytes
    : undefined;
}

/** A call that is made until a node answers it well. */
function untilAnswered<T>(
  cluster: Cluster,
  what: string,
  ask: (node: ClusterNode) => Promise<T | undefined>,
): Promise<T> {
  let at = 0;
  return until(what, async () => {
    const nodes = cluster.running;
    const node = nodes[at++ % nodes.length];
    return node === undefined ? undefined : await ask(node).catch(() => undefined);
  });
}

test("[V3] [V10] a large payload that was acknowledged survives kill -9 of the leader, and every node gives it", async () => {
  await using cluster = await Cluster.of(3, { words: ["--blob-grace", "2s"] });
  const leader = await cluster.leader();
  const [edge] = await cluster.followers();
  if (edge === undefined) throw new Error("there is no follower");
  const body = content(1, 5 * mebibyte);

  const id = await enqueue(edge, body);
  if (id === undefined) throw new Error("it was refused");
  const having = cluster.nodes.filter((node) => blobFiles(node).includes(hashOf(body)));
  await leader.kill();
  const shown = await untilAnswered(cluster, "the payload", (node) => payloadOf(node, id));
  await leader.start();
  const fromAll = await Promise.all(
    cluster.nodes.map((node) => until("it is given", () => payloadOf(node, id))),
  );

  expect(having.length).toBeGreaterThanOrEqual(2);
  for (const bytes of [shown, ...fromAll]) expect(hashOf(bytes)).toBe(hashOf(body));
  await until("every node has it", async () =>
    cluster.nodes.every((node) => blobFiles(node).includes(hashOf(body))),
  );

  // With the job goes its blob, on every node.
  await untilAnswered(cluster, "the job is deleted", async (node) => {
    const answer = await node.request("DELETE", `/api/v1/jobs/${id}`);
    return answer.status === 200 || answer.status === 404 ? true : undefined;
  });
  await until("no blob is left", async () =>
    cluster.nodes.every((node) => blobFiles(node).length === 0),
  );
}, 60_000);

test("[V3] [V8] kill -9 of the leader during uploads loses nothing that was acknowledged and leaves no orphan", async () => {
  await using cluster = await Cluster.of(3, { words: ["--blob-grace", "2s"] });
  const acknowledged = new Map<string, string>();
  let isOver = false;
  let seed = 10;
  const upload = async () => {
    while (!isOver) {
      const body = content(seed++, mebibyte + seed * 4096);
      const node = cluster.running[seed % Math.max(1, cluster.running.length)];
      const id = await (node === undefined
        ? undefined
        : enqueue(node, body).catch(() => undefined));
      if (id !== undefined) acknowledged.set(id, hashOf(body));
    }
  };

  const uploads = [upload(), upload(), upload()];
  for (let round = 0; round < 2; round++) {
    const before = acknowledged.size;
    await until("some are in", async () => acknowledged.size >= before + 4);
    const leader = await cluster.leader();
    await leader.kill();
    await until("others lead", async () => acknowledged.size >= before + 7);
    await leader.start();
  }
  isOver = true;
  await Promise.all(uploads);
  await cluster.settled(3);

  for (const [id, hash] of acknowledged) {
    const bytes = await untilAnswered(cluster, `the payload of ${id}`, (node) =>
      payloadOf(node, id),
    );
    expect(hashOf(bytes)).toBe(hash);
  }
  // What was uploaded and got no job goes after its time; what jobs use is everywhere and stays.
  const shown = await untilAnswered(cluster, "all jobs", async (node) => {
    const answer = await node.json<{ jobs: { id: string; payload_blob: string }[] }>(
      "POST",
      "/api/v1/jobs/search",
      { queue: "scans", limit: 1000 },
    );
    return answer.jobs;
  });
  const used = [...new Set(shown.map((job) => job.payload_blob))].sort();
  expect(shown.length).toBeGreaterThanOrEqual(acknowledged.size);
  await until("every node has exactly what jobs use", async () =>
    cluster.nodes.every((node) => blobFiles(node).sort().join() === used.join()),
  );

  await untilAnswered(cluster, "the queue is deleted", async (node) => {
    const answer = await node.request("DELETE", "/api/v1/queues/scans");
    return answer.status === 200 || answer.status === 404 ? true : undefined;
  });
  await until("no blob is left", async () =>
    cluster.nodes.every((node) => blobFiles(node).length === 0),
  );
}, 120_000);

test("[V3] a node that joins votes when it has the blobs of all jobs, and not before", async () => {
  await using cluster = await Cluster.of(1, { words: ["--max-payload-size", "1KiB"] });
  const leader = await cluster.leader();
  const wanted = 400;
  const bodies = Array.from({ length: wanted }, (_, i) => content(100 + i, 20_000));
  for (let at = 0; at < wanted; at += 20) {
    const ids = await Promise.all(bodies.slice(at, at + 20).map((body) => enqueue(leader, body)));
    expect(ids).not.toContain(undefined);
  }

  const node = await cluster.add();
  await node.start();
  const had = await until("it votes", async () => {
    const { nodes } = await leader.status();
    const isVoter = nodes.some(({ id, voter }) => id === String(node.id) && voter);
    return isVoter ? blobFiles(node) : undefined;
  });

  expect(had.length).toBe(wanted);
}, 60_000);

test("a node that hangs does not keep a job from the blob that another node took", async () => {
  await using cluster = await Cluster.of(3);
  const leader = await cluster.leader();
  const [hung, edge] = (await cluster.followers()).sort((one, other) => one.id - other.id);
  if (hung === undefined || edge === undefined) throw new Error("there are no two followers");
  const body = content(7, mebibyte);
  const upload = await fetch(`${edge.url}/api/v1/blobs`, { method: "POST", body });
  hung.pause();
  await until("that is noticed", async () => {
    const { nodes } = await leader.status();
    return nodes.some(({ id, state }) => id === String(hung.id) && state === "unreachable");
  });

  const job = { queue: "scans", payload_blob: hashOf(body), content_type: "image/png" };
  const startedMs = performance.now();
  const answer = await leader.request("POST", "/api/v1/enqueue", job, 30_000);
  const tookMs = performance.now() - startedMs;
  hung.resume();

  expect(upload.status).toBe(201);
  expect([answer.status, answer.text]).toEqual([201, expect.any(String)]);
  expect(tookMs).toBeLessThan(2000);
}, 60_000);
