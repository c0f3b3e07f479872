/**
 * Refuses new payloads before the disk of this node is full, so that what is there can still be worked off: claims, acks and
 * deletions need some room of their own, and nothing here stops them. It looks again at each call, a few times a second at
 * most, so it lets payloads in by itself as soon as there is room.
 *
 * - The budget is about what this node keeps of jobs: pages of the state databases that are in use, and blobs; or, when that is
 *   more, what the queues count.
 * - Free space is that of the disk, without what the state databases will take for jobs that are here already. Pages that
 *   they have and do not use are room for what is written to them, and those of the log for the log.
 */
import { statfsSync } from "node:fs";
import { requestLimits } from "../../api/limits.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock } from "../../base/ports.ts";

export interface DiskLimits {
  /** Bytes of jobs and blobs on this node; undefined means none. */
  readonly budgetBytes: number | undefined;
  /** Free bytes that new payloads leave on the disk; undefined means a twentieth of it, 64 MiB at most. */
  readonly minFreeBytes: number | undefined;
}

export interface DiskUse {
  /** Of jobs and blobs. */
  readonly usedBytes: number;
  /** Pages of the state databases that can be used again, and of the log. */
  readonly reusableBytes: number;
  readonly reusableLogBytes: number;
  /** What is still to be written for jobs that were let in. */
  readonly pledgedBytes: number;
}

interface GuardDeps {
  readonly path: string;
  readonly clock: Clock;
  readonly use: () => DiskUse;
}

const lookMs = 200;
/** A payload is written to the log, to the log and the file of the state, and twice more there until its job is over. */
const payloadCopies = 5;
/** Of the space that is to stay free. */
const shortTimes = 3;
const minFreeBytesMost = 64 * 1024 * 1024;

export class DiskGuard {
  readonly #deps: GuardDeps;
  readonly #limits: DiskLimits;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #freeBytes = 0;
  #use: DiskUse = { usedBytes: 0, reusableBytes: 0, reusableLogBytes: 0, pledgedBytes: 0 };
  #minFreeBytes = 0;
  /** Payloads and pieces of blobs that were let in since the last look, which does not show them yet. */
  #sinceBytes = 0;
  #sinceBlobBytes = 0;

  constructor(deps: GuardDeps, limits: DiskLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  /** Throws DISK_BUDGET when there is no room for payloads of so many bytes more. */
  admit(bytes: number): void {
    this.#refuse(bytes);
    this.#sinceBytes += bytes;
  }

  /** The same for a piece of a blob, which is written once, but comes in nowhere where a payload of its size does not. */
  admitBlob(bytes: number): void {
    this.#refuse(bytes);
    this.#sinceBlobBytes += bytes;
  }

  /** Is there little space, so that what need not be kept should go? Long before payloads are refused. */
  get isShort(): boolean {
    this.#look();
    return this.#freeBytes - this.#taken(0) < shortTimes * this.#minFreeBytes;
  }

  #refuse(bytes: number): void {
    this.#look();
    const reason = this.#reasonAgainst(bytes);
    if (reason !== undefined) throw new CorvoError("DISK_BUDGET", reason, { retryAfterMs: 1000 });
  }

  /** Why a large payload would not be let in at the moment, or undefined. */
  get fullReason(): string | undefined {
    this.#look();
    return this.#reasonAgainst(requestLimits.payloadBytesMax);
  }

  get usedBytes(): number {
    this.#look();
    return this.#use.usedBytes;
  }

  get budgetBytes(): number | undefined {
    return this.#limits.budgetBytes;
  }

  #reasonAgainst(bytes: number): string | undefined {
    const { budgetBytes } = this.#limits;
    const used = this.usedBytes + this.#sinceBytes + this.#sinceBlobBytes;
    if (budgetBytes !== undefined && used + bytes > budgetBytes) {
      return `this node keeps ${used} bytes of jobs and blobs; its budget is ${budgetBytes} (--disk-budget)`;
    }
    if (this.#minFreeBytes === 0) return undefined;
    const taken = this.#taken(bytes);
    if (taken === 0 || this.#freeBytes - taken >= this.#minFreeBytes) return undefined;
    const free = Math.max(0, this.#freeBytes - this.#taken(0));
    return `${free} bytes are free on the disk beside what the jobs that are here take until they are over; new payloads leave ${this.#minFreeBytes} (--min-free-disk)`;
  }

  /** How much shorter of space the disk becomes by what was let in, and by payloads of so many bytes more. */
  #taken(bytes: number): number {
    const { pledgedBytes, reusableBytes, reusableLogBytes } = this.#use;
    const payloads = this.#sinceBytes + bytes;
    const ofState = pledgedBytes + payloads * (payloadCopies - 1) - reusableBytes;
    return Math.max(0, ofState) + Math.max(0, payloads - reusableLogBytes) + this.#sinceBlobBytes;
  }

  #look(): void {
    const { clock, path, use } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedMs < lookMs) return;
    this.#lookedMs = nowMs;
    const { bavail, blocks, bsize } = statfsSync(path);
    this.#use = use();
    this.#freeBytes = bavail * bsize;
    this.#minFreeBytes =
      this.#limits.minFreeBytes ?? Math.min(minFreeBytesMost, Math.floor((blocks * bsize) / 20));
    this.#sinceBytes = 0;
    this.#sinceBlobBytes = 0;
  }
}
