/** What the HTTP side needs of the blobs of a node, and of those of the others. */
import type { CorvoError } from "../../base/errors.ts";

export interface PutBlob {
  readonly hash: string;
  readonly bytes: number;
}

export interface BlobAccess {
  /** Keeps what a client sends; durable here when it resolves. */
  put(content: AsyncIterable<Uint8Array>): Promise<PutBlob>;
  /** From here or from another node; undefined when nobody who could be asked has it. */
  open(hash: string): Promise<Blob | undefined>;
  /** The side of it that only nodes of the cluster see. */
  readonly peer: PeerAccess;
}

export interface PeerAccess {
  /** Was the request made by a node that knows the secret of the cluster? */
  isProven(request: Request, path: string): boolean;
  /** Only from here. Counts as a use, so it stays for a while. */
  read(hash: string): Blob | undefined;
  keep(hash: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** Those of them that the shard needs, which this node must lead. */
  needed(shard: number, hashes: readonly string[]): Promise<readonly string[]>;
}

/** On a node that has none yet, or that is made without: every call is refused. */
export function refusingBlobs(refusal: () => CorvoError): BlobAccess {
  const refuse = () => Promise.reject(refusal());
  return {
    put: refuse,
    open: refuse,
    peer: { isProven: () => false, read: () => undefined, keep: refuse, needed: refuse },
  };
}

/** Path of what nodes ask each other; never for clients. */
export const peerBlobsPath = "/internal/blobs";
export const proofHeader = "x-corvo-node-proof";
