/**
 * What nodes of a cluster ask each other about blobs: to have one, to give one, and which ones a shard needs. Every request
 * shows that its sender knows the secret of the cluster. Content is checked against its name, so a request that is sent
 * again by somebody else does no harm.
 */

import type { Method } from "../../api/operation.ts";
import { CorvoError } from "../../base/errors.ts";
import { type BlobAccess, peerBlobsPath } from "./blob-access.ts";
import { bytesReply, contentOf } from "./byte-routes.ts";
import { splitUrl } from "./input.ts";
import { errorReply, jsonReply } from "./reply.ts";

interface PeerBlobDeps {
  readonly blobs: BlobAccess;
  readonly explain: (thrown: unknown, request: Request) => CorvoError;
}

interface PeerRoute {
  readonly method: Method;
  readonly path: string;
  readonly serve: (request: Request) => Promise<Response>;
}

/** Bytes of a question; a thousand hashes are a tenth of it. */
const questionBytesMax = 1024 * 1024;
const hashPattern = /^[0-9a-f]{64}$/;

export function peerBlobRoutes({ blobs: { peer }, explain }: PeerBlobDeps): PeerRoute[] {
  const route = (
    method: Method,
    path: string,
    answer: (request: Request, last: string) => Promise<Response>,
  ): PeerRoute => ({
    method,
    path: peerBlobsPath + path,
    async serve(request) {
      try {
        const own = splitUrl(request.url).path;
        if (!peer.isProven(request, own)) {
          throw new CorvoError("UNAUTHORIZED", "only nodes of this cluster may ask for that");
        }
        return await answer(request, own.slice(own.lastIndexOf("/") + 1));
      } catch (thrown) {
        return errorReply(explain(thrown, request), 0);
      }
    },
  });
  return [
    route("GET", "/{hash}", async (request, hash) => {
      const content = peer.read(checkedHash(hash));
      if (content === undefined) throw new CorvoError("BLOB_NOT_FOUND", `no blob ${hash} here`);
      if (request.method === "HEAD") return new Response(null, { status: 200 });
      return bytesReply(content, "application/octet-stream");
    }),
    route("PUT", "/{hash}", async (request, hash) => {
      await peer.keep(checkedHash(hash), contentOf(request.body));
      return jsonReply(200, '{"status":"kept"}', 0);
    }),
    route("POST", "/needed/{shard}", async (request, shard) => {
      const hashes = await readHashes(request);
      return jsonReply(200, JSON.stringify(await peer.needed(Number(shard), hashes)), 0);
    }),
  ];
}

function checkedHash(hash: string): string {
  if (hashPattern.test(hash)) return hash;
  throw new CorvoError("VALIDATION_ERROR", `"${hash.slice(0, 80)}" is not the hash of a blob`);
}

async function readHashes(request: Request): Promise<string[]> {
  const length = request.headers.get("content-length");
  if (length === null || !(Number(length) <= questionBytesMax)) {
    throw new CorvoError(
      "PAYLOAD_TOO_LARGE",
      `a question of ${length ?? "an unknown number of"} bytes; the limit questionBytesMax is ${questionBytesMax}`,
    );
  }
  const hashes: unknown = await request.json();
  if (Array.isArray(hashes) && hashes.every((hash) => typeof hash === "string")) return hashes;
  throw new CorvoError("VALIDATION_ERROR", "expected a list of hashes");
}
