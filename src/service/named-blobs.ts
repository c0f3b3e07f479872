/**
 * Blobs that a call names. They are made durable before anything is proposed; what the leader has then, it has while the
 * proposal is on its way (`replica/blob-keeper.ts`).
 */
import type { ClientFrame } from "../api/stream.ts";
import type { Node } from "./node.ts";

/** At a time: each may have to be fetched, and sent to the other nodes. */
const ensuredAtOnce = 8;

export type NamedBlob = string | null | undefined;

/** Throws BLOB_NOT_FOUND for one that nobody has. */
export async function ensureBlobs(node: Node, named: readonly NamedBlob[]): Promise<void> {
  const hashes = [...new Set(named)].filter((hash) => hash != null);
  const { blobs } = node.deps;
  // Without a store, packing refuses what is named.
  if (blobs === undefined) return;
  for (let at = 0; at < hashes.length; at += ensuredAtOnce) {
    const some = hashes.slice(at, at + ensuredAtOnce);
    await Promise.all(some.map((hash) => blobs.ensure(hash, node.options.shard)));
  }
}

/** Undefined for nearly every frame. */
export function blobsOfFrame({ enqueue, ack }: ClientFrame): NamedBlob[] | undefined {
  const ofJobs = enqueue?.some((job) => job.payload_blob != null) === true;
  const ofAcks = ack?.some((item) => item.result_blob != null) === true;
  if (!ofJobs && !ofAcks) return undefined;
  return [
    ...(enqueue ?? []).map((job) => job.payload_blob),
    ...(ack ?? []).map((item) => item.result_blob),
  ];
}
