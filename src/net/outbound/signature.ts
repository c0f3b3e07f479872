/**
 * How a receiver can tell that a message is ours: the header that receivers of 0.3 check, over the body alone, and those of
 * the Standard Webhooks specification, over id, time and body, which also tell an old message that somebody sends again.
 */

export interface SignedMessage {
  readonly id: string;
  readonly secret: string;
  readonly body: string;
  readonly atSeconds: number;
}

const prefix = "whsec_";

export function signatureHeaders({
  id,
  secret,
  body,
  atSeconds,
}: SignedMessage): Record<string, string> {
  const named = { "webhook-id": id, "webhook-timestamp": String(atSeconds) };
  if (secret === "") return named;
  const standard = hmac(keyOf(secret)).update(`${id}.${atSeconds}.${body}`).digest("base64");
  const plain = hmac(Buffer.from(secret)).update(body).digest("hex");
  return {
    ...named,
    "webhook-signature": `v1,${standard}`,
    "x-corvo-signature": `sha256=${plain}`,
  };
}

/** What follows the prefix is base 64; any other secret is taken as it is. */
function keyOf(secret: string): Buffer {
  return secret.startsWith(prefix)
    ? Buffer.from(secret.slice(prefix.length), "base64")
    : Buffer.from(secret);
}

function hmac(key: Buffer): Bun.CryptoHasher {
  return new Bun.CryptoHasher("sha256", key);
}
