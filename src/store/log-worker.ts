/**
 * The Worker that owns the log database. One message is one transaction; between messages it tidies up.
 *
 * Housekeeping never delays an append by more than one of its steps: one compaction transaction may run, then the Worker
 * looks at its messages again. While there are appends, compaction rests after each step, so that few of them meet one; only
 * what has been asked for seconds ago is done as fast as it goes, or a busy log would grow for ever. Checkpoints and
 * fsyncs of the hint wait for an idle moment, unless the write-ahead log has reached its limit or the hint has been
 * old for a second.
 */
import { LogDatabase, type LogDatabaseOptions } from "./log-database.ts";
import { LogDamaged, LogTooNew } from "./log-format.ts";
import type { GroupState } from "./log-verify.ts";
import { isDiskFull } from "./reserve.ts";

interface WorkerOptions extends LogDatabaseOptions {
  /** How often a full disk is tried again. */
  readonly recoverMs: number;
}

export type LogRequest =
  | { readonly kind: "open"; readonly dir: string; readonly options: WorkerOptions }
  | { readonly kind: "compact"; readonly group: number; readonly throughIndex: number }
  | { readonly kind: "close" }
  /** A batch of works, see work-codec. */
  | Uint8Array;

export type LogReply =
  /** The batch is durable: the reply of every commit, so it is kept as small as a message can be. */
  | true
  | {
      readonly kind: "opened";
      readonly groups: readonly GroupState[];
      readonly notes: readonly string[];
      readonly isReadOnly: boolean;
    }
  | { readonly kind: "refused"; readonly error: OpenFailure }
  | { readonly kind: "full"; readonly message: string }
  | { readonly kind: "broken"; readonly message: string }
  | { readonly kind: "read_only"; readonly value: boolean }
  | { readonly kind: "closed" };

export interface OpenFailure {
  readonly kind: "damaged" | "too_new" | "other";
  readonly message: string;
  readonly detail: string;
  readonly group: number | undefined;
  readonly index: number | undefined;
}

/** The part of a Worker's global scope that is used here. */
interface Port {
  onmessage: ((event: MessageEvent<LogRequest>) => void) | null;
  postMessage(reply: LogReply): void;
}

const idleMs = 100;
const hintAgeMsMax = 1000;
/** Between two steps of a compaction beside appends; each takes about as long as an append. */
const compactionRestMs = 25;
const compactionAgeMsMax = 5000;
class LogWorker {
  readonly #port: Port;
  #db: LogDatabase | undefined;
  #isBroken = false;
  #isCompacting = false;
  /** When the compaction under way was asked for. */
  #compactingSinceMs = 0;
  #lastAppendMs = Number.NEGATIVE_INFINITY;
  #isIdleTimerSet = false;
  #lastActiveMs = 0;
  #hintMs = 0;
  #recoverMs = 0;
  #recoverTriedMs = Number.NEGATIVE_INFINITY;

  constructor(port: Port) {
    this.#port = port;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  #receive(request: LogRequest): void {
    if (request instanceof Uint8Array) this.#append(request);
    else if (request.kind === "open") this.#open(request.dir, request.options);
    else if (request.kind === "close") this.#close();
    else {
      this.#db?.requestCompaction(request.group, request.throughIndex);
      this.#scheduleCompaction();
    }
  }

  #open(dir: string, options: WorkerOptions): void {
    this.#recoverMs = options.recoverMs;
    try {
      this.#db = new LogDatabase(dir, options);
    } catch (error) {
      this.#port.postMessage({ kind: "refused", error: describe(error) });
      return;
    }
    const { groups, notes, isReadOnly } = this.#db;
    this.#port.postMessage({ kind: "opened", groups, notes, isReadOnly });
  }

  #append(batch: Uint8Array): void {
    if (this.#db === undefined || this.#isBroken) return;
    if (this.#db.isReadOnly && !this.#tryRecover(this.#db)) {
      this.#port.postMessage({ kind: "full", message: this.#db.stillFull });
      return;
    }
    try {
      this.#db.commit(batch);
    } catch (error) {
      if (isDiskFull(error)) this.#becomeReadOnly(this.#db, error);
      else this.#break(error);
      return;
    }
    this.#port.postMessage(true);
    this.#lastAppendMs = performance.now();
    this.#housekeep(this.#db);
  }

  #housekeep(db: LogDatabase): void {
    this.#lastActiveMs = performance.now();
    this.#guard(() => {
      if (db.isCheckpointDue) db.checkpoint();
      else if (this.#lastActiveMs - this.#hintMs > hintAgeMsMax) db.syncHint();
      else return;
      this.#hintMs = this.#lastActiveMs;
    });
    if (this.#isIdleTimerSet) return;
    this.#isIdleTimerSet = true;
    setTimeout(() => this.#idle(), idleMs);
  }

  #idle(): void {
    this.#isIdleTimerSet = false;
    if (this.#db === undefined || this.#isBroken) return;
    const db = this.#db;
    const idleForMs = performance.now() - this.#lastActiveMs;
    if (idleForMs < idleMs / 2) {
      this.#isIdleTimerSet = true;
      setTimeout(() => this.#idle(), idleMs);
      return;
    }
    this.#guard(() => (db.hasWal ? db.checkpoint() : db.syncHint()));
  }

  #scheduleCompaction(): void {
    if (this.#isCompacting) return;
    this.#isCompacting = true;
    this.#compactingSinceMs = performance.now();
    setTimeout(() => this.#compact(), 0);
  }

  #compact(): void {
    const db = this.#db;
    let isMore = false;
    if (db !== undefined && !this.#isBroken) {
      this.#guard(() => {
        isMore = db.compactStep();
      });
    }
    if (isMore) {
      setTimeout(() => this.#compact(), this.#compactionRestMs());
      return;
    }
    this.#isCompacting = false;
    if (db !== undefined && !this.#isBroken) this.#housekeep(db);
  }

  #compactionRestMs(): number {
    const nowMs = performance.now();
    const isBusy = nowMs - this.#lastAppendMs < idleMs;
    const isLate = nowMs - this.#compactingSinceMs > compactionAgeMsMax;
    return isBusy && !isLate ? compactionRestMs : 0;
  }

  /** Housekeeping may meet a full disk; it is tried again later, and appends learn of it themselves. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (this.#db !== undefined && isDiskFull(error)) this.#enterReadOnly(this.#db);
      else this.#break(error);
    }
  }

  #becomeReadOnly(db: LogDatabase, error: unknown): void {
    this.#enterReadOnly(db);
    if (this.#isBroken) return;
    this.#port.postMessage({ kind: "full", message: messageOf(error) });
  }

  #enterReadOnly(db: LogDatabase): void {
    this.#recoverTriedMs = performance.now();
    try {
      db.enterReadOnly();
      this.#reportReadOnly();
    } catch (error) {
      this.#break(error);
    }
  }

  #tryRecover(db: LogDatabase): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#recoverTriedMs < this.#recoverMs) return false;
    this.#recoverTriedMs = nowMs;
    this.#guard(() => db.tryRecover());
    if (!db.isReadOnly) {
      this.#reportReadOnly();
      this.#scheduleCompaction();
    }
    return !db.isReadOnly;
  }

  #reportReadOnly(): void {
    this.#port.postMessage({ kind: "read_only", value: this.#db?.isReadOnly === true });
  }

  /** Fail-stop: after a failed write or fsync nobody knows what is on the disk, and trying again would lie about it. */
  #break(error: unknown): void {
    this.#isBroken = true;
    this.#port.postMessage({ kind: "broken", message: messageOf(error) });
  }

  #close(): void {
    // A broken database is left as it is: closing it in order would write to it.
    if (!this.#isBroken) {
      try {
        this.#db?.close();
      } catch (error) {
        this.#break(error);
      }
    }
    this.#port.postMessage({ kind: "closed" });
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? `${error.message} (${String(error.code)})` : error.message;
}

function describe(error: unknown): OpenFailure {
  const message = messageOf(error);
  if (error instanceof LogDamaged) {
    const { detail, group, index } = error;
    return { kind: "damaged", message, detail, group, index };
  }
  const kind = error instanceof LogTooNew ? "too_new" : "other";
  return { kind, message, detail: message, group: undefined, index: undefined };
}

if (!Bun.isMainThread) new LogWorker(globalThis as unknown as Port);
