/** What this node asks the others about blobs, over HTTP (`net/http/peer-blob-routes.ts`), and how they prove themselves. */
import { timingSafeEqual } from "node:crypto";
import { CorvoError } from "../../base/errors.ts";
import { networkReasonOf } from "../../base/network-failure.ts";
import { peerBlobsPath, proofHeader } from "../../net/http/blob-access.ts";
import type { PeerBlobs } from "../../replica/blob-keeper.ts";

interface BlobPeersEnv {
  readonly secret: Uint8Array;
  readonly urlOf: (nodeId: number) => string | undefined;
  /** A blob of this node. */
  readonly read: (hash: string) => Blob | undefined;
}

/** Long enough for the largest blob over a slow line. */
const transferMs = 120_000;
const questionMs = 5000;

export function createBlobPeers(env: BlobPeersEnv): PeerBlobs {
  const call = async (nodeId: number, path: string, init: RequestInit & { waitMs: number }) => {
    const url = env.urlOf(nodeId);
    if (url === undefined) throw unreachable(nodeId, "its address is not known");
    const { waitMs, ...rest } = init;
    try {
      return await fetch(url + path, {
        ...rest,
        headers: { [proofHeader]: proofOf(env.secret, init.method ?? "GET", path) },
        redirect: "manual",
        signal: AbortSignal.timeout(waitMs),
      });
    } catch (cause) {
      throw unreachable(nodeId, networkReasonOf(cause));
    }
  };
  return {
    async give(nodeId, hash) {
      const path = `${peerBlobsPath}/${hash}`;
      const known = await call(nodeId, path, { method: "HEAD", waitMs: questionMs });
      if (known.ok) return;
      const content = env.read(hash);
      if (content === undefined) throw new CorvoError("BLOB_NOT_FOUND", `no blob ${hash} here`);
      const given = await call(nodeId, path, { method: "PUT", body: content, waitMs: transferMs });
      if (!given.ok) throw unreachable(nodeId, `${given.status} ${await textOf(given)}`);
      await given.body?.cancel();
    },
    async take(nodeId, hash) {
      const path = `${peerBlobsPath}/${hash}`;
      // A node that hangs must not hold up what another one has for as long as a transfer may take.
      const known = await call(nodeId, path, { method: "HEAD", waitMs: questionMs });
      if (known.status === 404) return undefined;
      const answer = await call(nodeId, path, { method: "GET", waitMs: transferMs });
      if (answer.ok && answer.body !== null) return answer.body;
      const text = await textOf(answer);
      if (answer.status === 404) return undefined;
      throw unreachable(nodeId, `${answer.status} ${text}`);
    },
    async needed(nodeId, shard, hashes) {
      const answer = await call(nodeId, `${peerBlobsPath}/needed/${shard}`, {
        method: "POST",
        body: JSON.stringify(hashes),
        waitMs: questionMs,
      });
      const text = await textOf(answer);
      if (!answer.ok) throw unreachable(nodeId, `${answer.status} ${text}`);
      const needed: unknown = JSON.parse(text);
      if (Array.isArray(needed)) return needed.map(String);
      throw unreachable(nodeId, "its answer is no list");
    },
  };
}

async function textOf(answer: Response): Promise<string> {
  return (await answer.text()).slice(0, 1_000_000);
}

function unreachable(nodeId: number, why: string): CorvoError {
  return new CorvoError("UNAVAILABLE", `node ${nodeId}: ${why}`, { retryAfterMs: 500 });
}

function proofOf(secret: Uint8Array, method: string, path: string): string {
  return new Bun.CryptoHasher("sha256", secret)
    .update(`corvo blobs ${method} ${path}`)
    .digest("hex");
}

/** Was it made with the secret, for this request? */
export function isProven(secret: Uint8Array, request: Request, path: string): boolean {
  const given = Buffer.from(request.headers.get(proofHeader) ?? "");
  const wanted = Buffer.from(proofOf(secret, request.method, path));
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
