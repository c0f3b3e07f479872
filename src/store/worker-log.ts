/**
 * The main thread's handle of the log: collects works while a commit is in flight, sends them as one batch, and keeps
 * the bounds of every group in memory.
 *
 * Invariants: one batch is in flight at a time; callbacks come in the order of `append`; a batch fails as a whole and
 * takes the works behind it along, because they continue what did not happen.
 */

import { existsSync, statSync } from "node:fs";
import { assert, must } from "../base/assert.ts";
import type { AppendWork, Log, LogBounds, LogEntry, LogFault, LogSize } from "../base/log.ts";
import { logPaths } from "./log-files.ts";
import { emptyHardState, LogDamaged, logLimits } from "./log-format.ts";
import { LogReader } from "./log-reader.ts";
import type { LogReply, LogRequest, OpenFailure } from "./log-worker.ts";
import { startWorker } from "./start-worker.ts";
import { encodeWorks, type PreparedWork, prepareWork } from "./work-codec.ts";

export interface LogOptions {
  /** The store that the directory belongs to; files of another store are refused. */
  readonly storeId: string;
  /** Per group, an index known to be durable (the applied index of the state): an independent witness at open. */
  readonly minimumLast?: ReadonlyMap<number, number>;
  /** Hears what the open found and repaired, one sentence each. */
  readonly onNote?: (note: string) => void;
  readonly reserveBytes?: number;
  readonly checkpointBytes?: number;
  readonly walBytesMax?: number;
  /** Works beyond this are refused as overloaded. */
  readonly pendingBytesMax?: number;
  /** How often an append may try a full disk again. */
  readonly recoverMs?: number;
}

type Done = (fault: LogFault | undefined) => void;

interface Pending {
  readonly prepared: PreparedWork;
  readonly after: LogBounds;
  readonly done: Done;
}

/** A group as it is on disk, as it will be when all pending works are done, and as far as it may be read now. */
interface GroupView {
  durable: LogBounds;
  planned: LogBounds;
  readable: LogBounds;
}

interface Opened {
  readonly groups: Map<number, GroupView>;
  readonly isReadOnly: boolean;
  readonly pendingBytesMax: number;
}

const noBounds: LogBounds = {
  first: 1,
  last: 0,
  previousTerm: 0,
  lastTerm: 0,
  hardState: emptyHardState,
};

/** Opens and verifies the log in `dir`; rejects with LogDamaged when acknowledged entries are missing or altered. */
export async function openLog(dir: string, options: LogOptions): Promise<Log> {
  const worker = startWorker("log");
  const opened = await new Promise<LogReply>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<LogReply>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(`The log Worker did not start: ${message}`));
    post(worker, {
      kind: "open",
      dir,
      options: {
        storeId: options.storeId,
        minimumLast: options.minimumLast ?? new Map(),
        reserveBytes: options.reserveBytes ?? logLimits.reserveBytes,
        checkpointBytes: options.checkpointBytes ?? logLimits.checkpointBytes,
        walBytesMax: options.walBytesMax ?? logLimits.walBytesMax,
        recoverMs: options.recoverMs ?? 1000,
      },
    });
  });
  assert(opened !== true, "the first reply is about the open");
  if (opened.kind !== "opened") {
    worker.terminate();
    assert(opened.kind === "refused", `the first reply is about the open, not ${opened.kind}`);
    throw asError(opened.error);
  }
  for (const note of opened.notes) options.onNote?.(note);
  const groups = new Map<number, GroupView>();
  for (const { group, baseIndex, baseTerm, last, lastTerm, hardState } of opened.groups) {
    const bounds = { first: baseIndex + 1, last, previousTerm: baseTerm, lastTerm, hardState };
    groups.set(group, { durable: bounds, planned: bounds, readable: bounds });
  }
  return new WorkerLog(worker, dir, {
    groups,
    isReadOnly: opened.isReadOnly,
    pendingBytesMax: options.pendingBytesMax ?? logLimits.pendingBytesMax,
  });
}

function post(worker: Worker, request: LogRequest): void {
  // Transferred, not copied: equal below 10 KB, half the time at 100 KB.
  if (request instanceof Uint8Array) worker.postMessage(request, [request.buffer as ArrayBuffer]);
  else worker.postMessage(request);
}

function asError(failure: OpenFailure): Error {
  if (failure.kind === "damaged") return new LogDamaged(failure, failure.detail);
  const error = new Error(failure.message);
  if (failure.kind === "too_new") error.name = "LogTooNew";
  return error;
}

class WorkerLog implements Log {
  readonly #worker: Worker;
  readonly #paths: ReturnType<typeof logPaths>;
  readonly #groups: Map<number, GroupView>;
  readonly #reader: LogReader;
  readonly #pendingBytesMax: number;
  readonly #queue: Pending[] = [];
  #inFlight: readonly Pending[] = [];
  #pendingBytes = 0;
  #isReadOnly: boolean;
  #isWorkerGone = false;
  #refusal: LogFault | undefined;
  #closing: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;
  #onClosed: (() => void) | undefined;

  constructor(worker: Worker, dir: string, opened: Opened) {
    this.#worker = worker;
    this.#paths = logPaths(dir);
    this.#groups = opened.groups;
    this.#isReadOnly = opened.isReadOnly;
    this.#pendingBytesMax = opened.pendingBytesMax;
    this.#reader = new LogReader(this.#paths.database);
    worker.onmessage = ({ data }: MessageEvent<LogReply>) => this.#receive(data);
    worker.onerror = ({ message }) => {
      this.#isWorkerGone = true;
      this.#break(`the log Worker failed: ${message}`);
      this.#onClosed?.();
    };
  }

  get readOnly(): boolean {
    return this.#isReadOnly;
  }

  append(work: AppendWork, done: Done): void {
    const view = this.#viewOf(work.group);
    const prepared = prepareWork(work, work.hardState ?? view.planned.hardState);
    const refusal = this.#refusal ?? this.#overload(prepared.bytes);
    if (refusal !== undefined) {
      done(refusal);
      return;
    }
    const after = this.#plan(view, work);
    view.planned = after;
    if (work.resetTo !== undefined) view.readable = { ...after, last: after.first - 1 };
    else if (work.truncateFrom !== undefined) this.#hide(view, work.group, work.truncateFrom);
    this.#groups.set(work.group, view);
    this.#pendingBytes += prepared.bytes;
    this.#queue.push({ prepared, after, done });
    if (this.#inFlight.length === 0) this.#flush();
  }

  read(group: number, from: number, bytesMax: number): LogEntry[] {
    const bounds = this.bounds(group);
    return this.#reader.read(group, { from, bytesMax, bounds });
  }

  bounds(group: number): LogBounds {
    return this.#groups.get(group)?.readable ?? noBounds;
  }

  compact(group: number, throughIndex: number): void {
    const { first, last } = this.bounds(group);
    assert(
      throughIndex <= last,
      `group ${group} ends at ${last} and cannot be compacted through ${throughIndex}`,
    );
    if (throughIndex < first || this.#refusal !== undefined) return;
    const base = { first: throughIndex + 1, previousTerm: this.#termAt(group, throughIndex) };
    const view = this.#viewOf(group);
    assert(throughIndex <= view.planned.last, "nothing pending cuts into what is compacted");
    view.durable = { ...view.durable, ...base };
    view.planned = { ...view.planned, ...base };
    view.readable = { ...view.readable, ...base };
    post(this.#worker, { kind: "compact", group, throughIndex });
  }

  size(): LogSize {
    return {
      bytes: fileBytes(this.#paths.database),
      freeBytes: this.#reader.freeBytes(),
      walBytes: fileBytes(this.#paths.wal),
      pendingBytes: this.#pendingBytes,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#refusal ??= { kind: "closed", message: "the log is closed" };
    if (this.#inFlight.length > 0 && this.#refusal.kind === "closed") {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
    }
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      if (this.#isWorkerGone) resolve();
      else post(this.#worker, { kind: "close" });
    });
    // In this order: the last connection that closes would checkpoint, and after a fault nothing may be written.
    this.#worker.terminate();
    this.#reader.close();
  }

  #overload(bytes: number): LogFault | undefined {
    assert(
      bytes <= logLimits.workBytesMax,
      `a work has at most workBytesMax = ${logLimits.workBytesMax} bytes, this one ${bytes}`,
    );
    if (this.#pendingBytes + bytes <= this.#pendingBytesMax) return undefined;
    const message = `${this.#pendingBytes} bytes wait for the disk, pendingBytesMax is ${this.#pendingBytesMax}`;
    return { kind: "overloaded", message };
  }

  #flush(): void {
    let bytes = 0;
    let count = 0;
    for (const { prepared } of this.#queue) {
      if (count > 0 && bytes + prepared.bytes > logLimits.batchBytesMax) break;
      bytes += prepared.bytes;
      count++;
    }
    this.#inFlight = this.#queue.splice(0, count);
    if (count > 0) post(this.#worker, encodeWorks(this.#inFlight.map(({ prepared }) => prepared)));
    else this.#onDrained?.();
  }

  #receive(reply: LogReply): void {
    if (reply === true) this.#committed();
    else if (reply.kind === "read_only") this.#isReadOnly = reply.value;
    else if (reply.kind === "full") this.#fail({ kind: "disk_full", message: reply.message });
    else if (reply.kind === "broken") this.#break(reply.message);
    else if (reply.kind === "closed") this.#onClosed?.();
  }

  #committed(): void {
    const batch = this.#inFlight;
    for (const { prepared, after } of batch) {
      this.#pendingBytes -= prepared.bytes;
      const view = must(this.#groups.get(prepared.work.group), "a pending work has a group");
      view.durable = keepBase(after, view.durable);
      view.readable = keepBase(after, view.readable);
    }
    this.#inFlight = [];
    this.#flush();
    for (const { done } of batch) done(undefined);
  }

  /** Ends everything that is pending, and puts the plans back to what is on disk. */
  #fail(fault: LogFault): void {
    const failed = [...this.#inFlight, ...this.#queue.splice(0)];
    this.#inFlight = [];
    this.#pendingBytes = 0;
    for (const { prepared } of failed) {
      const view = must(this.#groups.get(prepared.work.group), "a pending work has a group");
      view.planned = view.durable;
      view.readable = view.durable;
    }
    for (const { done } of failed) done(fault);
    this.#onDrained?.();
  }

  #break(message: string): void {
    const fault: LogFault = {
      kind: "io",
      message: `writing the log failed: ${message}. Nothing more is written; check the disk, then restart.`,
    };
    this.#refusal = fault;
    this.#fail(fault);
  }

  #plan(view: GroupView, work: AppendWork): LogBounds {
    let next = { ...view.planned, hardState: work.hardState ?? view.planned.hardState };
    if (work.resetTo !== undefined) {
      const { index, term } = work.resetTo;
      next = { ...next, first: index + 1, last: index, previousTerm: term, lastTerm: term };
    }
    if (work.truncateFrom !== undefined && work.truncateFrom <= next.last) {
      const last = work.truncateFrom - 1;
      assert(
        last >= next.first - 1,
        `group ${work.group} begins at ${next.first} and cannot be cut at ${last + 1}`,
      );
      next = {
        ...next,
        last,
        lastTerm: last < next.first ? next.previousTerm : this.#termAt(work.group, last),
      };
    }
    for (const { index, term } of work.entries) {
      assert(
        index === next.last + 1,
        `the entry after ${next.last} of group ${work.group} is not ${index}`,
      );
      assert(
        term >= next.lastTerm,
        `the term of entry ${index} falls from ${next.lastTerm} to ${term}`,
      );
      next.last = index;
      next.lastTerm = term;
    }
    return next;
  }

  /** Entries that a cut on its way to the disk will remove are no longer read. */
  #hide(view: GroupView, group: number, from: number): void {
    const { readable } = view;
    const last = from - 1;
    if (last >= readable.last) return;
    const isEmpty = last < readable.first;
    const [entry] = isEmpty ? [] : this.read(group, last, 0);
    view.readable = { ...readable, last, lastTerm: entry?.term ?? readable.previousTerm };
  }

  /** The term of an entry that is present or pending: newest plan first. */
  #termAt(group: number, index: number): number {
    const pending = [...this.#inFlight, ...this.#queue];
    for (const { prepared } of pending.reverse()) {
      if (prepared.work.group !== group) continue;
      const entry = prepared.work.entries.find((candidate) => candidate.index === index);
      if (entry !== undefined) return entry.term;
    }
    const [entry] = this.read(group, index, 0);
    return must(entry, `entry ${index} of group ${group} is present`).term;
  }

  #viewOf(group: number): GroupView {
    const known = this.#groups.get(group);
    if (known !== undefined) return known;
    assert(
      Number.isInteger(group) && group >= 0 && group <= logLimits.groupMax,
      `a group is a number from 0 to groupMax = ${logLimits.groupMax}, not ${group}`,
    );
    return { durable: noBounds, planned: noBounds, readable: noBounds };
  }
}

/** A compaction that was asked for while a work was on its way counts more than the work's older plan. */
function keepBase(after: LogBounds, current: LogBounds): LogBounds {
  if (after.first >= current.first) return after;
  return { ...after, first: current.first, previousTerm: current.previousTerm };
}

function fileBytes(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}
