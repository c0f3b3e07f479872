/** Bodies and answers that are bytes, over a real socket, before a store in memory and small handlers. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import type { BlobAccess } from "../../src/net/http/blob-access.ts";
import { httpFixture } from "../support/http-app.ts";

const enqueued = { job_id: "job_1", status: "pending", unique_existing: false } as const;
const limits = { payloadBytesMax: 1000 };

class MemoryBlobs implements BlobAccess {
  readonly kept = new Map<string, Buffer>();
  readonly begun = Promise.withResolvers<void>();
  readonly broken = Promise.withResolvers<unknown>();
  isProven = false;

  async put(content: AsyncIterable<Uint8Array>) {
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of content) {
        this.begun.resolve();
        pieces.push(piece);
      }
    } catch (error) {
      this.broken.resolve(error);
      throw error;
    }
    const bytes = Buffer.concat(pieces);
    const hash = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    this.kept.set(hash, bytes);
    return { hash, bytes: bytes.length };
  }

  async open(hash: string) {
    const bytes = this.kept.get(hash);
    return bytes === undefined ? undefined : new Blob([new Uint8Array(bytes)]);
  }

  readonly peer = {
    isProven: () => this.isProven,
    read: (hash: string) => {
      const bytes = this.kept.get(hash);
      return bytes === undefined ? undefined : new Blob([new Uint8Array(bytes)]);
    },
    keep: async (hash: string, content: AsyncIterable<Uint8Array>) => {
      const kept = await this.put(content);
      if (kept.hash !== hash) throw new CorvoError("VALIDATION_ERROR", "another hash");
    },
    needed: async (_shard: number, hashes: readonly string[]) => hashes.slice(1),
  };
}

function bytesFixture() {
  const blobs = new MemoryBlobs();
  const fixture = httpFixture({
    handlers: { enqueueJob: async () => enqueued },
    blobs,
    limits,
  });
  const bodies = () => fixture.calls.map((call) => (call.input as { body: unknown }).body);
  return { fixture, blobs, bodies };
}

const post = (body: NonNullable<RequestInit["body"]>, type?: string): RequestInit => ({
  method: "POST",
  body,
  ...(type === undefined ? {} : { headers: { "content-type": type } }),
});

test("[V1] a body becomes a job: JSON as JSON, small bytes in the call, large ones as a blob", async () => {
  const { fixture, blobs, bodies } = bytesFixture();
  await using _ = fixture;
  const url = `${fixture.listen()}/api/v1/queues/a%2Fb/jobs`;
  const large = Buffer.alloc(1001, "x");

  const json = await fetch(`${url}?priority=high`, post(' {"n":1.0} ', "application/json; x=1"));
  const small = await fetch(url, post(new Uint8Array([0, 255]), "image/png"));
  const untyped = await fetch(url, post(new Uint8Array([1])));
  const blob = await fetch(url, post(large, "video/mp4"));

  for (const reply of [json, small, untyped, blob]) {
    expect(reply.status).toBe(201);
    expect(await reply.json()).toEqual(enqueued);
  }
  const [hash] = blobs.kept.keys();
  expect(bodies()).toEqual([
    { priority: "high", queue: "a/b", payload: new RawJson('{"n":1.0}') },
    { queue: "a/b", payload_base64: "AP8=", content_type: "image/png" },
    { queue: "a/b", payload_base64: "AQ==", content_type: "application/octet-stream" },
    { queue: "a/b", payload_blob: hash, content_type: "video/mp4" },
  ]);
  expect(blobs.kept.get(hash ?? "")).toEqual(large);
});

test("a body that claims to be JSON cannot say more than a value", async () => {
  const { fixture, bodies } = bytesFixture();
  await using _ = fixture;
  const url = `${fixture.listen()}/api/v1/queues/q/jobs`;

  const refused = await fetch(url, post('1,"queue":"other"', "application/json"));

  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ code: "PARSE_ERROR" });
  expect(bodies()).toEqual([]);
});

test("an option that is misspelt is refused", async () => {
  const { fixture, bodies } = bytesFixture();
  await using _ = fixture;

  const reply = await fetch(`${fixture.listen()}/api/v1/queues/q/jobs?prio=1`, post("x"));

  expect(reply.status).toBe(400);
  expect(await reply.text()).toContain("is not known here");
  expect(bodies()).toEqual([]);
});

test("[V4] an upload that breaks off is noticed, and leaves nothing", async () => {
  const { fixture, blobs } = bytesFixture();
  await using _ = fixture;
  const gone = new AbortController();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(100));
    },
  });

  const call = fetch(`${fixture.listen()}/api/v1/blobs`, {
    ...post(body),
    signal: gone.signal,
  }).catch(() => "gone");
  await blobs.begun.promise;
  gone.abort();

  expect(await call).toBe("gone");
  expect(await blobs.broken.promise).toMatchObject({
    code: "PARSE_ERROR",
    message: "the connection ended before the body was complete",
  });
  expect(blobs.kept.size).toBe(0);
});

test("values come back with their type, never to be shown by a browser as its own", async () => {
  const { fixture, blobs } = bytesFixture();
  await using _ = fixture;
  const url = fixture.listen();
  const { hash } = (await (await fetch(`${url}/api/v1/blobs`, post("a blob"))).json()) as {
    hash: string;
  };

  const known = await fetch(`${url}/api/v1/blobs/${hash}`);
  const unknown = await fetch(`${url}/api/v1/blobs/${"0".repeat(64)}`);
  const bad = await fetch(`${url}/api/v1/blobs/abc`);

  expect(await known.text()).toBe("a blob");
  expect(known.headers.get("x-content-type-options")).toBe("nosniff");
  expect(known.headers.get("content-disposition")).toBe("attachment");
  expect(known.headers.get("server-timing")).toMatch(/^proc;dur=/);
  expect([unknown.status, bad.status]).toEqual([404, 400]);
  expect(blobs.kept.size).toBe(1);
});

test("only nodes that know the secret of the cluster are told and may give", async () => {
  const { fixture, blobs } = bytesFixture();
  await using _ = fixture;
  const url = `${fixture.listen()}/internal/blobs`;
  const { hash } = await blobs.put(new Blob(["x"]).stream());
  const asks = () =>
    Promise.all([
      fetch(`${url}/${hash}`, { method: "HEAD" }),
      fetch(`${url}/${hash}`),
      fetch(`${url}/${hash}`, { method: "PUT", body: "x" }),
      fetch(`${url}/needed/0`, { method: "POST", body: JSON.stringify(["a", "b"]) }),
    ]);

  const strangers = await asks();
  blobs.isProven = true;
  const nodes = await asks();
  const wrong = await fetch(`${url}/${hash}`, { method: "PUT", body: "y" });

  expect(strangers.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
  expect(nodes.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(await nodes[3]?.json()).toEqual(["b"]);
  expect(wrong.status).toBe(400);
});
