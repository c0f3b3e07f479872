/**
 * When runs started under a rate, and whether one start is too early. Says in its own words what the kinds of rates promise:
 * tokens that come back, starts in a window, a distance to the start before. What was under another setting is forgotten.
 */
import type { LimitSetting } from "../../src/engine/limits/setting.ts";

interface Starts {
  readonly revision: number;
  readonly list: { readonly atMs: number; readonly cost: number }[];
  tokens: number;
  tokensAtMs: number;
}

export class RateLedger {
  readonly #instances = new Map<string, Starts>();

  forget(name: string): void {
    this.#instances.delete(name);
  }

  /** A run starts; what is wrong with that, or undefined. */
  start(name: string, setting: LimitSetting, atMs: number, cost: number): string | undefined {
    const { rate, revision } = setting;
    if (rate === undefined) return undefined;
    let starts = this.#instances.get(name);
    const burst = rate.burst ?? rate.count;
    if (starts?.revision !== revision) {
      starts = { revision, list: [], tokens: burst, tokensAtMs: atMs };
      this.#instances.set(name, starts);
    }
    const { list } = starts;
    const last = list.at(-1);
    list.push({ atMs, cost });
    switch (rate.kind) {
      case "sliding": {
        const units = list
          .filter((start) => start.atMs > atMs - rate.windowMs)
          .reduce((sum, start) => sum + Math.min(start.cost, rate.count), 0);
        return units > rate.count ? `${units} of ${rate.count} in its window` : undefined;
      }
      case "token": {
        const refilled = ((atMs - starts.tokensAtMs) * rate.count) / rate.windowMs;
        const tokens = Math.min(burst, starts.tokens + refilled);
        starts.tokens = tokens - cost;
        starts.tokensAtMs = atMs;
        const isEnough = tokens > Math.min(cost, burst) - 1e-6;
        return isEnough ? undefined : `with ${tokens} tokens for ${cost}`;
      }
      case "leaky": {
        if (last === undefined) return undefined;
        const earliestMs = last.atMs + (last.cost * rate.windowMs) / rate.count - 1;
        return atMs > earliestMs ? undefined : `${atMs - last.atMs} ms after the one before`;
      }
    }
  }
}
