/** Ids and secrets that nobody can guess. */
import type { Node } from "./node.ts";

/** Eight hex digits for each number. */
export function randomHex({ deps }: Node, numbers: number): string {
  const parts = Array.from({ length: numbers }, () => deps.random.uint32().toString(16));
  return parts.map((part) => part.padStart(8, "0")).join("");
}

/** 24 random bytes in base 64 with a prefix, the form that the Standard Webhooks libraries take. */
export function randomSecret(node: Node): string {
  const bytes = randomHex(node, 6).replaceAll(/../g, (pair) =>
    String.fromCharCode(Number.parseInt(pair, 16)),
  );
  return `whsec_${btoa(bytes)}`;
}
