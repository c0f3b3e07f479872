/** Answers of calls that had an idempotency key, each remembered for its time. */
import { engineLimits } from "../../src/engine/limits.ts";
import type { ModelAnswer } from "./naive-model.ts";

export class NaiveCalls {
  #known: { key: string; fingerprint: string; expiresAtMs: number; answer: ModelAnswer[] }[] = [];

  /** Carries a call out, unless its key is known: then the first answer comes again. Undefined when it was refused. */
  once(
    { key, fingerprint }: { readonly key: string; readonly fingerprint: string },
    nowMs: number,
    carryOut: () => ModelAnswer[] | undefined,
  ): ModelAnswer | undefined {
    this.#known = this.#known.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    const known = this.#known.find((one) => one.key === key);
    if (known !== undefined) return known.fingerprint === fingerprint ? known.answer : "CONFLICT";
    const answer = carryOut();
    if (answer === undefined) return undefined;
    this.#known.push({ key, fingerprint, expiresAtMs: nowMs + engineLimits.idempotencyMs, answer });
    return answer;
  }
}
