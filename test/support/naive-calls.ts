/** Calls that add jobs: all of one or none, and the same answer again for the same key. */
import type { EnqueueJobs, NewBatch, NewJob } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { idBehind, type ModelJob } from "./naive-job.ts";

export interface CallHost {
  readonly nowMs: () => number;
  readonly jobs: () => readonly ModelJob[];
  /** Adds a job in which ids stand for references, or says why not. */
  readonly add: (spec: NewJob) => string;
  /** The code with which a job is refused that names what is not there. */
  readonly refusal: (spec: NewJob) => string | undefined;
  /** Number and id of a new batch. */
  readonly begin: (batch: NewBatch) => { readonly seq: number; readonly id: string };
  readonly begun: (batch: number) => void;
}

/** A job of the call that was not added. */
function isLost(id: string, answers: readonly string[]): boolean {
  return id.startsWith("$") && !/ \d+$/.test(answers[Number(id.slice(1))] ?? "");
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
      if ([...(dependsOn ?? []), parentId ?? ""].some((id) => isLost(id, answers))) {
        answers.push("CONFLICT");
        continue;
      }
      const options = {
        ...job.options,
        ...(dependsOn !== undefined && {
          dependsOn: [...new Set(dependsOn.map((id) => idBehind(id, answers, this.#host.jobs())))],
        }),
        ...(parentId !== undefined && { parentId: idBehind(parentId, answers, this.#host.jobs()) }),
        ...(begun !== undefined && { batchId: begun.id }),
      };
      answers.push(this.#host.add({ ...job, options }));
    }
    if (begun === undefined) return answers;
    this.#host.begun(begun.seq);
    return [...answers, `batch ${begun.seq}`];
  }
}
