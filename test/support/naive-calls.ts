/** Calls that add jobs: all of one or none, and the same answer again for the same key. */
import { formatJobId } from "../../src/base/ids.ts";
import type { EnqueueJobs, NewBatch, NewJob } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { ModelJob } from "./naive-job.ts";

export interface CallHost {
  readonly nowMs: () => number;
  readonly find: (seq: number) => ModelJob | undefined;
  /** Adds a job in which ids stand for references, or says why not. */
  readonly add: (spec: NewJob) => string;
  /** The code with which a job is refused that names what is not there. */
  readonly refusal: (spec: NewJob) => string | undefined;
  /** Number and id of a new batch. */
  readonly begin: (batch: NewBatch) => { readonly seq: number; readonly id: string };
  readonly begun: (batch: number) => void;
}

export class NaiveCalls {
  readonly #host: CallHost;
  #keys: { key: string; fingerprint: string; expiresAtMs: number; answer: string[] }[] = [];

  constructor(host: CallHost) {
    this.#host = host;
  }

  enqueue(change: EnqueueJobs): string[] | string {
    const { idempotency } = change;
    if (idempotency === undefined) return this.#addAll(change);
    const nowMs = this.#host.nowMs();
    this.#keys = this.#keys.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    const known = this.#keys.find(({ key }) => key === idempotency.key);
    if (known !== undefined) {
      return known.fingerprint === idempotency.fingerprint ? known.answer : "CONFLICT";
    }
    const answer = this.#addAll(change);
    if (typeof answer === "string") return answer;
    this.#keys.push({ ...idempotency, expiresAtMs: nowMs + engineLimits.idempotencyMs, answer });
    return answer;
  }

  #addAll({ jobs, batch }: EnqueueJobs): string[] | string {
    for (const job of jobs) {
      const code = this.#host.refusal(job);
      if (code !== undefined) return code;
    }
    const begun = batch === undefined ? undefined : this.#host.begin(batch);
    const answers: string[] = [];
    for (const job of jobs) {
      const { dependsOn, parentId } = job.options ?? {};
      const options = {
        ...job.options,
        ...(dependsOn !== undefined && {
          dependsOn: dependsOn.map((id) => this.#idOf(id, answers)),
        }),
        ...(parentId !== undefined && { parentId: this.#idOf(parentId, answers) }),
        ...(begun !== undefined && { batchId: begun.id }),
      };
      answers.push(this.#host.add({ ...job, options }));
    }
    if (begun === undefined) return answers;
    this.#host.begun(begun.seq);
    return [...answers, `batch ${begun.seq}`];
  }

  /** The id behind `$n`, from the answer that job got. */
  #idOf(reference: string, answers: readonly string[]): string {
    if (!reference.startsWith("$")) return reference;
    const seq = Number(answers[Number(reference.slice(1))]?.split(" ").at(-1));
    return formatJobId(seq, this.#host.find(seq)?.createdAtMs ?? 0, 0);
  }
}
