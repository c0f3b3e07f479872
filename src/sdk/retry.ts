/** When a call may be sent again, and after how long. */
import { CorvoError } from "../base/errors.ts";
import type { Random, Timers } from "../base/ports.ts";

export interface RetryPolicy {
  /** Times a call is sent in all; 1 means never again. */
  readonly attemptsMax: number;
  readonly baseDelayMs: number;
  /** Longest pause. A server that asks for more gets no further attempt: the caller decides. */
  readonly delayMsMax: number;
  /** Pauses that a server asks for are made, whatever `attemptsMax` says, until they took this long in all. Default 0. */
  readonly askedMsMax?: number;
  /** A server that let the whole time for an answer pass is not waited for once more. Default false. */
  readonly endsAtSilence?: boolean;
}

export const defaultRetry: RetryPolicy = { attemptsMax: 4, baseDelayMs: 100, delayMsMax: 10_000 };

/**
 * The pause before attempt `attempt + 1`, or undefined when there must be none. The pause doubles and its upper half
 * is random, so that clients refused together do not come back together.
 */
export function retryDelayMs(
  policy: RetryPolicy,
  random: Random,
  attempt: number,
  retryAfterMs: number | undefined,
): number | undefined {
  if (attempt >= policy.attemptsMax) return undefined;
  if (retryAfterMs !== undefined && retryAfterMs > policy.delayMsMax) return undefined;
  const fullMs = Math.min(policy.delayMsMax, policy.baseDelayMs * 2 ** (attempt - 1));
  const jitteredMs = fullMs / 2 + (fullMs / 2) * (random.uint32() / 2 ** 32);
  return Math.ceil(Math.max(jitteredMs, retryAfterMs ?? 0));
}

/** Resolves after `delayMs`; rejects as soon as the signal is aborted. */
export function pause(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      stop();
      reject(abortReason(signal));
    };
    const stop = timers.after(delayMs, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

export function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error
    ? signal.reason
    : new CorvoError("UNAVAILABLE", "the call was given up by its caller");
}
