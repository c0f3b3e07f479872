/**
 * Clients whose payloads and results are blobs: producers and workers at nodes drawn at random, some of the contents the same
 * again and again, and an operator who deletes jobs. What was acknowledged and not deleted must be on every node at the end,
 * byte for byte, and what no job uses must go.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type ClusterNode, until } from "./cluster.ts";
import { listJobs } from "./compare.ts";

export const blobQueue = "blobs";

/** For servers whose blobs are to be small and many, and to go soon. */
export const blobWords = ["--max-payload-size", "16KiB", "--blob-grace", "5s"];

interface BlobJob {
  readonly id: string;
  /** SHA-256 of its payload. */
  readonly payload: string;
  /** Of the result whose ack was answered. */
  result: string | undefined;
  /** Somebody asked to delete it, which may have happened. */
  mayBeGone: boolean;
}

interface BlobLoadEnv {
  readonly nodes: () => readonly ClusterNode[];
  readonly chance: () => number;
}

type Body = Uint8Array<ArrayBuffer> | Readonly<Record<string, unknown>>;

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

interface ClaimedBlob {
  readonly job_id: string;
  readonly lease_token: string;
  readonly payload_blob?: string;
}

const bytesMin = 17 * 1024;
const bytesMax = 60 * 1024;
/** Contents that come again, while the jobs that had them are deleted. */
const sharedContents = 6;
const leaseMs = 3000;
const callMs = 4000;
const pauseMs = 100;
const levelMsMax = 30_000;

export class BlobLoad {
  readonly #env: BlobLoadEnv;
  readonly #jobs = new Map<string, BlobJob>();
  /** Every content that was ever sent, by its hash. */
  readonly #sent = new Set<string>();
  readonly #problems = new Set<string>();
  #contents = sharedContents;
  #isOver = false;
  acks = 0;

  constructor(env: BlobLoadEnv) {
    this.#env = env;
  }

  get jobs(): number {
    return this.#jobs.size;
  }

  async run(): Promise<void> {
    const repeat = async (step: () => Promise<unknown>) => {
      while (!this.#isOver) {
        await step();
        // Paced, so that a long run fits on a small disk; nothing waits for this.
        await Bun.sleep(pauseMs);
      }
    };
    const steps = [
      () => this.#produce(),
      () => this.#work(),
      () => this.#look(),
      () => this.#delete(),
    ];
    await Promise.all(steps.map(repeat));
  }

  stop(): void {
    this.#isOver = true;
  }

  /** What is not as it was promised, as far as it was seen. */
  get problems(): readonly string[] {
    return [...this.#problems];
  }

  /** Works off all jobs, then looks at what every node has. The cluster must be well. */
  async judge(): Promise<void> {
    await until("no job with a blob is left", async () => {
      while (await this.#work());
      const node = this.#pick(this.#env.nodes());
      const queues = await node.json<Record<string, unknown>[]>("GET", "/api/v1/queues");
      const own = queues.find(({ name }) => name === blobQueue);
      return ["pending", "scheduled", "active", "retrying"].every((state) => !own?.[state]);
    });
    // Those of enqueues without an answer are there, or are not.
    const [any] = this.#env.nodes();
    const listed = any === undefined ? [] : await listJobs(any, blobQueue, false);
    const others = listed.filter(({ id }) => !this.#jobs.has(id)).map(({ id }) => id);
    for (const node of this.#env.nodes()) await this.#judgeNode(node, others);
  }

  async #judgeNode(node: ClusterNode, others: readonly string[]): Promise<void> {
    // For a node that was away and is still fetching; for all of its blobs together.
    const endMs = performance.now() + levelMsMax;
    const used = new Set<string>();
    for (const id of others) {
      const { payload, result } = await this.#shown(node, id, endMs);
      used.add(payload).add(result);
      if (!this.#sent.has(payload)) this.#problem(node, id, `shows the payload ${payload}`);
    }
    for (const job of this.#jobs.values()) {
      const { isThere, payload, result } = await this.#shown(node, job.id, endMs);
      if (!isThere && !job.mayBeGone) this.#problem(node, job.id, "is lost");
      if (!isThere) continue;
      used.add(payload).add(result);
      if (payload !== job.payload) this.#problem(node, job.id, `shows the payload ${payload}`);
      if (job.result !== undefined && result !== job.result) {
        this.#problem(node, job.id, `shows the result ${result}, acknowledged was ${job.result}`);
      }
    }
    const hasOnlyThose = async () => blobsOn(node).every((hash) => used.has(hash));
    await until("blobs that no job uses go", hasOnlyThose, levelMsMax).catch(() =>
      this.#problems.add(`${node.name}: keeps blobs that no job uses`),
    );
  }

  /** Hashes of what a node gives; a node that was away may still be fetching. */
  async #shown(node: ClusterNode, id: string, endMs: number) {
    const read = (what: string) =>
      until(
        `${node.name} gives the ${what} of ${id}`,
        async () => {
          const answer = await this.#send(node, "GET", `/api/v1/jobs/${id}/${what}`);
          return answer?.status === 200 || codeOf(answer) === "NOT_FOUND" ? answer : undefined;
        },
        endMs - performance.now(),
      ).catch(() => undefined);
    const payload = await read("payload");
    const isThere = payload?.status !== 404;
    const result = isThere ? await read("result") : undefined;
    const hash = (answer: Answer | undefined) =>
      answer?.status === 200 ? hashOf(answer.body) : "nothing";
    return { isThere, payload: hash(payload), result: hash(result) };
  }

  #problem(node: ClusterNode, id: string, says: string): void {
    this.#problems.add(`${id} with a blob, at ${node.name}: ${says}`);
  }

  #pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.#env.chance() * list.length)];
    if (item === undefined) throw new Error("picked from an empty list");
    return item;
  }

  /** Some contents come often, most once. */
  #content(): Uint8Array<ArrayBuffer> {
    const { chance } = this.#env;
    const number = chance() < 0.4 ? Math.floor(chance() * sharedContents) : ++this.#contents;
    const bytes = contentOf(number);
    this.#sent.add(hashOf(bytes));
    return bytes;
  }

  async #produce(): Promise<void> {
    const body = this.#content();
    const path = `/api/v1/queues/${blobQueue}/jobs?max_retries=1000`;
    const answer = await this.#call("POST", path, body);
    if (answer?.status !== 201) return;
    const { job_id } = jsonOf(answer) as { job_id: string };
    const job = { id: job_id, payload: hashOf(body), result: undefined, mayBeGone: false };
    this.#jobs.set(job_id, job);
  }

  /** One job from claim to ack; false when there was none. */
  async #work(): Promise<boolean> {
    const asked = { queues: [blobQueue], wait_ms: 100, lease_ms: leaseMs };
    const claimed = await this.#call("POST", "/api/v1/fetch", asked);
    if (claimed?.status !== 200) return false;
    const { job_id, lease_token, payload_blob } = jsonOf(claimed) as unknown as ClaimedBlob;
    if (job_id === undefined) return false;
    await this.#read(job_id, payload_blob ?? "");
    const result = this.#content();
    const upload = await this.#call("POST", "/api/v1/blobs", result);
    if (upload?.status !== 201) return true;
    const result_blob = String(jsonOf(upload)["hash"]);
    if (result_blob !== hashOf(result)) {
      this.#problems.add(`an upload of ${hashOf(result)} was answered with ${result_blob}`);
    }
    const ack = { lease_token, result_blob, result_type: "application/octet-stream" };
    const answer = await this.#call("POST", `/api/v1/ack/${job_id}`, ack);
    const job = this.#jobs.get(job_id);
    if (answer?.status !== 200) return true;
    this.acks++;
    if (job !== undefined) job.result = result_blob;
    return true;
  }

  async #look(): Promise<void> {
    const job = this.#some();
    if (job !== undefined) await this.#read(job.id, job.payload);
  }

  /** What is given must be what was sent; a node that cannot have it now may say so. */
  async #read(id: string, expected: string): Promise<void> {
    if (!this.#sent.has(expected))
      this.#problems.add(`${id} has the payload ${expected}, which nobody sent`);
    const answer = await this.#call("GET", `/api/v1/jobs/${id}/payload`);
    if (answer?.status === 200 && hashOf(answer.body) !== expected) {
      this.#problems.add(
        `${id} has the payload ${expected}, and was given as ${hashOf(answer.body)}`,
      );
    }
    const job = this.#jobs.get(id);
    if (codeOf(answer) === "NOT_FOUND" && job?.mayBeGone === false) {
      this.#problems.add(`${id} with a blob was acknowledged, and was not found`);
    }
  }

  async #delete(): Promise<void> {
    const job = this.#some();
    if (job === undefined || this.#env.chance() < 0.5) return;
    job.mayBeGone = true;
    await this.#call("DELETE", `/api/v1/jobs/${job.id}`);
  }

  #some(): BlobJob | undefined {
    const recent = [...this.#jobs.values()].slice(-200);
    return recent[Math.floor(this.#env.chance() * recent.length)];
  }

  /** One call to any node; undefined when there was no answer. */
  #call(method: string, path: string, body?: Body): Promise<Answer | undefined> {
    return this.#send(this.#pick(this.#env.nodes()), method, path, body);
  }

  async #send(
    node: ClusterNode,
    method: string,
    path: string,
    body?: Body,
  ): Promise<Answer | undefined> {
    const isBytes = body instanceof Uint8Array;
    const type = isBytes ? "application/octet-stream" : "application/json";
    const init = {
      method,
      headers: { "content-type": type },
      ...(body === undefined ? {} : { body: isBytes ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(callMs),
    };
    const response = await fetch(node.url + path, init).catch(() => undefined);
    const bytes = await response?.bytes().catch(() => undefined);
    if (response === undefined || bytes === undefined) return undefined;
    if (response.status === 500) {
      this.#problems.add(`${node.name} ${method} ${path}: 500 ${new TextDecoder().decode(bytes)}`);
    }
    return { status: response.status, body: bytes };
  }
}

/** Bytes that no other number has. */
function contentOf(number: number): Uint8Array<ArrayBuffer> {
  const length = bytesMin + ((number * 7919) % (bytesMax - bytesMin));
  const bytes = new Uint8Array(length);
  let word = Math.imul(number + 1, 2_654_435_761) >>> 0;
  for (let i = 0; i < length; i++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = word >>> 24;
  }
  return bytes;
}

function hashOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

function jsonOf({ body }: Answer): Record<string, unknown> {
  const text = new TextDecoder().decode(body);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

function codeOf(answer: Answer | undefined): string | undefined {
  return answer === undefined || answer.status < 400 ? undefined : String(jsonOf(answer)["code"]);
}

/** Hashes of the blobs in a node's folder. */
function blobsOn(node: ClusterNode): string[] {
  const path = join(node.dataDir, "blobs");
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name))
    .map(({ name }) => name);
}
