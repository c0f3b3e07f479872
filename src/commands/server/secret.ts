/** How nodes show each other that they know the secret of their cluster, without telling it. */
import { timingSafeEqual } from "node:crypto";
import { CorvoError } from "../../base/errors.ts";
import { isLoopback } from "./addresses.ts";

export interface ClusterSecrets {
  /** What this node shows to others. */
  readonly own: string | undefined;
  /** What others may show instead, while the cluster goes over from one secret to another. */
  readonly also: string | undefined;
}

/** As bytes, for proofs that nodes make when they talk to each other. */
export interface PeerSecrets {
  readonly secret: Uint8Array;
  readonly alsoAccepted: Uint8Array | undefined;
}

/**
 * What nodes prove to each other on the peer port. Nodes that are only reachable on this machine need no secret; then the cluster's
 * id stands for it, which keeps strangers apart but keeps nobody out.
 */
export function peerSecrets(
  { own, also }: ClusterSecrets,
  clusterId: string,
  peerHost: string,
): PeerSecrets {
  if (own === undefined && !isLoopback(peerHost)) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      `the peer port listens on ${peerHost}, beyond this machine, and no cluster secret is set`,
      {
        hint: "Set CORVO_CLUSTER_SECRET, the same on every node: `openssl rand -hex 32` makes one.",
      },
    );
  }
  return {
    secret: secretBytes(own ?? clusterId),
    alsoAccepted: also === undefined ? undefined : secretBytes(also),
  };
}

function secretBytes(text: string): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(`corvo cluster ${text}`).digest();
}

/**
 * What a node shows when it asks to join. It is made for its uuid and peer address, so it lets in nobody else. Undefined when the
 * cluster has no secret.
 */
export function joinProof(
  secret: string | undefined,
  uuid: string,
  peerAddress: string,
): string | undefined {
  if (secret === undefined) return undefined;
  return new Bun.CryptoHasher("sha256", secret)
    .update(`corvo join ${uuid} ${peerAddress}`)
    .digest("hex");
}

/** Refuses a node that does not show that it knows the cluster's secret. */
export function checkProof(
  { own, also }: ClusterSecrets,
  node: { readonly uuid: string; readonly peerAddress: string; readonly proof?: string },
): void {
  const { uuid, peerAddress, proof } = node;
  if (isProven(proof, joinProof(own, uuid, peerAddress))) return;
  if (also !== undefined && isProven(proof, joinProof(also, uuid, peerAddress))) return;
  throw new CorvoError(
    "UNAUTHORIZED",
    `node ${uuid} ${proof === undefined ? "has no cluster secret" : "has another cluster secret"}`,
    { hint: "Set CORVO_CLUSTER_SECRET to the same text on every node." },
  );
}

function isProven(proof: string | undefined, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  const given = Buffer.from(proof ?? "");
  const expected = Buffer.from(wanted);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
