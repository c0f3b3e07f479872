/**
 * What payloads and results take up: bytes per queue, and who uses which blob.
 *
 * Both follow from the records of jobs and are kept beside them so that nobody has to recount. Bytes are those of the forms
 * that are kept (`base/stored-value.ts`), a character of text for a byte, and all bytes of a blob for each job that has it.
 * Jobs from before the feature level at which counting began are never counted (`meta.bytesFrom`); blobs are always.
 *
 * A blob has one record with the number of its uses: a payload and a result are one use each, of every job that has not
 * been removed. Finished jobs are removed many at a time without being looked at (`retention.ts`), so those with blobs leave a
 * record under their finish number, which says what to give back then.
 */
import { must } from "../base/assert.ts";
import { blobOf, sizeOfForm } from "../base/stored-value.ts";
import type { Core } from "./core.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import { type Rejection, reject } from "./outcome.ts";
import type { RecordTable } from "./records.ts";
import {
  type QueueRecord,
  type RetentionClass,
  retentionClasses,
  retentionClassOf,
  type State,
} from "./state.ts";
import { TimeHeap } from "./time-heap.ts";

/** By its hash. */
export interface KeptBlob {
  readonly bytes: number;
  readonly uses: number;
}

/** Blobs of a finished job, by class and finish number. */
export interface FinishedBlobs {
  readonly hashes: readonly string[];
}

type JobValues = Pick<Job, "payload" | "result">;

export class Values {
  readonly #meta: State["meta"];
  readonly #blobs: RecordTable<KeptBlob>;
  readonly #finished: RecordTable<FinishedBlobs>;
  /** Finish numbers of those records; an entry whose record is gone means nothing. */
  readonly #finishes: Record<RetentionClass, TimeHeap> = {
    done: new TimeHeap(),
    dead: new TimeHeap(),
  };
  readonly #onChange: () => void;
  /** Uses over all blobs. */
  #uses = 0;
  #keptBytes = 0;

  /** `onChange` hears of a blob that gets its first use or loses its last. */
  constructor(state: State, onChange: () => void) {
    this.#meta = state.meta;
    this.#blobs = state.records("blobs");
    this.#finished = state.records("finishedBlobs");
    this.#onChange = onChange;
    for (const { bytes = 0 } of state.queues()) this.#keptBytes += bytes;
    for (const [, { bytes, uses }] of this.#blobs.entries()) {
      this.#uses += uses;
      this.#keptBytes -= bytes * (uses - 1);
    }
    for (const [key] of this.#finished.entries()) {
      const [kind, finish] = key.split(" ");
      const heap = retentionClasses.find((one) => one === kind);
      if (heap !== undefined) this.#finishes[heap].push(Number(finish), Number(finish));
    }
  }

  /** Bytes of all queues, where each blob counts once: known at any time without a walk over queues and blobs. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes of a job as its queue counts them. */
  bytesOf(job: Pick<Job, "seq" | "payload" | "result">): number {
    const { bytesFrom } = this.#meta;
    if (bytesFrom === undefined || job.seq < bytesFrom) return 0;
    return sizeOfForm(job.payload) + (job.result === undefined ? 0 : sizeOfForm(job.result));
  }

  enter(job: Job, queue: QueueRecord): void {
    this.#count(queue, this.bytesOf(job));
    const blobs = blobsOf(job);
    if (blobs === undefined) return;
    for (const { hash, bytes } of blobs) this.#use(hash, bytes);
    if (!isFinished(job.state)) return;
    const kind = retentionClassOf(job.state);
    this.#finished.put(`${kind} ${job.finish}`, { hashes: blobs.map(({ hash }) => hash) });
    this.#finishes[kind].push(job.finish, job.finish);
  }

  leave(job: Job, queue: QueueRecord): void {
    this.#count(queue, -this.bytesOf(job));
    const blobs = blobsOf(job);
    if (blobs === undefined) return;
    for (const { hash } of blobs) this.#giveBack(hash);
    if (isFinished(job.state)) {
      this.#finished.delete(`${retentionClassOf(job.state)} ${job.finish}`);
    }
  }

  /** Finished jobs of a queue with so many bytes in all exist no longer. `removed` follows for their blobs. */
  dropped(queue: QueueRecord, bytes: number): void {
    this.#count(queue, -bytes);
  }

  /** Jobs of a class below a finish number exist no longer. Their bytes were `dropped` with the counts of their bucket. */
  removed(kind: RetentionClass, below: number): void {
    const heap = this.#finishes[kind];
    while (heap.topTime() < below) {
      const key = `${kind} ${heap.topKey()}`;
      heap.pop();
      const record = this.#finished.get(key);
      if (record === undefined) continue;
      for (const hash of record.hashes) this.#giveBack(hash);
      this.#finished.delete(key);
    }
  }

  /** Why a value may not be taken in; undefined when it may. */
  refuse(form: string): Rejection | undefined {
    const blob = blobOf(form);
    if (blob === undefined) return undefined;
    if (this.#uses >= engineLimits.blobUsesMax) {
      return reject(
        "LIMIT_EXCEEDED",
        `blobs are used ${this.#uses} times by jobs already (blobUsesMax)`,
      );
    }
    if (this.#blobs.size < engineLimits.blobsMax || this.#blobs.has(blob.hash)) return undefined;
    return reject("LIMIT_EXCEEDED", `${this.#blobs.size} blobs are kept already (blobsMax)`);
  }

  #count(queue: QueueRecord, bytes: number): void {
    if (bytes === 0) return;
    queue.bytes = (queue.bytes ?? 0) + bytes || undefined;
    this.#keptBytes += bytes;
  }

  #use(hash: string, bytes: number): void {
    const known = this.#blobs.get(hash);
    this.#keptBytes -= known?.bytes ?? 0;
    this.#blobs.put(hash, { bytes: known?.bytes ?? bytes, uses: (known?.uses ?? 0) + 1 });
    this.#uses++;
    if (known === undefined) this.#onChange();
  }

  #giveBack(hash: string): void {
    const { bytes, uses } = must(this.#blobs.get(hash), "a blob that a job has is kept");
    this.#uses--;
    if (uses > 1) {
      this.#keptBytes += bytes;
      this.#blobs.put(hash, { bytes, uses: uses - 1 });
      return;
    }
    this.#blobs.delete(hash);
    this.#onChange();
  }
}

/** Undefined for nearly all jobs, and then found out without looking further than the second character. */
function blobsOf({ payload, result }: JobValues): { hash: string; bytes: number }[] | undefined {
  const first = blobOf(payload);
  const second = result === undefined ? undefined : blobOf(result);
  if (first === undefined && second === undefined) return undefined;
  return [first, second].filter((blob) => blob !== undefined);
}

/** Do two records of a job have the same values? */
export function sameValues(one: JobValues, other: JobValues): boolean {
  return one.payload === other.payload && one.result === other.result;
}

/** Why a queue takes no job with this payload; those that are `gone` when it is in it make room. */
export function refuseBytes(
  core: Core,
  { queue: name, payload }: { readonly queue: string; readonly payload: string },
  gone: readonly (Job | undefined)[] = [],
): Rejection | undefined {
  const refusal = core.values.refuse(payload);
  if (refusal !== undefined || core.queueSettings.size === 0) return refusal;
  const maxBytes = core.queueSettings.get(name)?.maxBytes;
  if (maxBytes === undefined) return undefined;
  const held = core.state.getQueue(name)?.bytes ?? 0;
  const bytes = sizeOfForm(payload);
  let room = maxBytes - held;
  for (const job of gone) if (job !== undefined) room += core.values.bytesOf(job);
  if (bytes <= room) return undefined;
  return reject(
    "QUEUE_FULL_BYTES",
    `queue "${name}" holds ${held} bytes of payloads and results, and the job has ${bytes} more; at most ${maxBytes} (max_bytes of the queue)`,
  );
}

/** Bytes of the finished jobs of a queue. */
export function finishedBytes(queue: QueueRecord): number {
  let bytes = 0;
  for (const kind of retentionClasses) {
    for (const counts of queue.finished[kind].values()) bytes += counts.bytes ?? 0;
  }
  return bytes;
}
