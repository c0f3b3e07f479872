/** Idempotency keys as the naive model keeps them. */
import { engineLimits } from "../../src/engine/limits.ts";

interface Answered {
  readonly key: string;
  readonly fingerprint: string;
  readonly expiresAtMs: number;
  readonly answer: unknown[];
}

export class NaiveKeys {
  #keys: Answered[] = [];

  /** What was answered before, or what is answered now and remembered; undefined when nothing was added. */
  answer(
    idempotency: { readonly key: string; readonly fingerprint: string } | undefined,
    nowMs: number,
    add: () => unknown[] | undefined,
  ): unknown[] | "CONFLICT" | undefined {
    if (idempotency === undefined) return add();
    this.#keys = this.#keys.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    const known = this.#keys.find(({ key }) => key === idempotency.key);
    if (known !== undefined) {
      return known.fingerprint === idempotency.fingerprint ? known.answer : "CONFLICT";
    }
    const answer = add();
    if (answer === undefined) return undefined;
    this.#keys.push({ ...idempotency, expiresAtMs: nowMs + engineLimits.idempotencyMs, answer });
    return answer;
  }
}
