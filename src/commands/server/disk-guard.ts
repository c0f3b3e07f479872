/**
 * Refuses new payloads before the disk of this node is full, so that what is there can still be worked off: claims, acks and
 * deletions need some room of their own, and nothing here stops them. It looks again at each call, a few times a second at
 * most, so it lets payloads in by itself as soon as there is room.
 *
 * - The budget is about what this node keeps of jobs: pages of the state databases that are in use, and blobs; or, when that is
 *   more, what the queues count.
 * - Free space is that of the disk, together with the pages that the state databases have and do not use, without what they
 *   will take for jobs that are here already.
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
  /** Pages of files that can be used again. */
  readonly reusableBytes: number;
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
const minFreeBytesMost = 64 * 1024 * 1024;

export class DiskGuard {
  readonly #deps: GuardDeps;
  readonly #limits: DiskLimits;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #usedBytes = 0;
  #freeBytes = 0;
  #minFreeBytes = 0;
  /** Let in since the last look, which does not show them yet, and the room that they take. */
  #sinceBytes = 0;
  #sinceRoomBytes = 0;

  constructor(deps: GuardDeps, limits: DiskLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  /** Throws DISK_BUDGET when there is no room for payloads of so many bytes more. */
  admit(bytes: number): void {
    this.#admit(bytes, bytes * payloadCopies);
  }

  /** The same for a piece of a blob, which is written once, but comes in nowhere where a payload of its size does not. */
  admitBlob(bytes: number): void {
    this.#admit(bytes, bytes);
  }

  #admit(bytes: number, roomBytes: number): void {
    this.#look();
    const reason = this.#reasonAgainst(bytes);
    if (reason === undefined) {
      this.#sinceBytes += bytes;
      this.#sinceRoomBytes += roomBytes;
      return;
    }
    throw new CorvoError("DISK_BUDGET", reason, { retryAfterMs: 1000 });
  }

  /** Why a large payload would not be let in at the moment, or undefined. */
  get fullReason(): string | undefined {
    this.#look();
    return this.#reasonAgainst(requestLimits.payloadBytesMax);
  }

  get usedBytes(): number {
    this.#look();
    return this.#usedBytes;
  }

  get budgetBytes(): number | undefined {
    return this.#limits.budgetBytes;
  }

  #reasonAgainst(bytes: number): string | undefined {
    const { budgetBytes } = this.#limits;
    const used = this.#usedBytes + this.#sinceBytes;
    if (budgetBytes !== undefined && used + bytes > budgetBytes) {
      return `this node keeps ${used} bytes of jobs and blobs; its budget is ${budgetBytes} (--disk-budget)`;
    }
    const free = this.#freeBytes - this.#sinceRoomBytes;
    if (free - bytes * payloadCopies >= this.#minFreeBytes || this.#minFreeBytes === 0)
      return undefined;
    return `${Math.max(0, free)} bytes are free on the disk beside what the jobs that are here take until they are over; new payloads leave ${this.#minFreeBytes} (--min-free-disk)`;
  }

  #look(): void {
    const { clock, path, use } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedMs < lookMs) return;
    this.#lookedMs = nowMs;
    const { bavail, blocks, bsize } = statfsSync(path);
    const { usedBytes, reusableBytes, pledgedBytes } = use();
    this.#usedBytes = usedBytes;
    this.#freeBytes = bavail * bsize + reusableBytes - pledgedBytes;
    this.#minFreeBytes =
      this.#limits.minFreeBytes ?? Math.min(minFreeBytesMost, Math.floor((blocks * bsize) / 20));
    this.#sinceBytes = 0;
    this.#sinceRoomBytes = 0;
  }
}
