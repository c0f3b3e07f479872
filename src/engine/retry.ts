/** When the next attempt may start. */
import { assert } from "../base/assert.ts";
import type { JobOptions } from "./options.ts";

/**
 * Delay before the attempt after number `attempt` (1 is the first), without jitter: nothing, the base, base × attempt,
 * or base × 2^(attempt − 1), never more than the cap.
 */
export function backoffMs(options: JobOptions, attempt: number): number {
  assert(attempt >= 1, "a delay follows an attempt");
  const cap = options.maxDelayMs > 0 ? options.maxDelayMs : Number.MAX_SAFE_INTEGER;
  switch (options.backoff) {
    case "none":
      return 0;
    case "fixed":
      return Math.min(cap, options.baseDelayMs);
    case "linear":
      return Math.min(cap, options.baseDelayMs * attempt);
    case "exponential":
      // 2^60 is beyond every cap; the bound keeps the product finite.
      return Math.min(cap, options.baseDelayMs * 2 ** Math.min(attempt - 1, 60), 2 ** 53 - 1);
  }
}

/**
 * The delay with its jitter. Additive jitter only makes it longer, so a retry never comes earlier than asked; the other
 * modes spread more at the price of that.
 */
export function retryDelayMs(options: JobOptions, attempt: number, chance: number): number {
  const delayMs = backoffMs(options, attempt);
  switch (options.jitterMode) {
    case "additive":
      return Math.round(delayMs + delayMs * options.jitter * chance);
    case "full":
      return Math.round(delayMs * chance);
    case "equal":
      return Math.round(delayMs / 2 + (delayMs / 2) * chance);
  }
}

/**
 * A number in [0, 1) for one job from the seed of the batch, the same on every replica. The mixing steps are those of
 * the 32-bit finaliser of MurmurHash3 (Appleby, public domain).
 */
export function chanceOf(seed: number, seq: number): number {
  let bits = (seed ^ Math.imul(seq % 2 ** 32, 0x9e3779b1)) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
