/**
 * The state database as the replica sees it: the cache on this thread, the writer in a Worker. One checkpoint at a time.
 */
import { assert } from "../base/assert.ts";
import { type ConfState, emptyConfState } from "../raft/message.ts";
import { defaultEventRetention, type EventRetention } from "./event-rows.ts";
import { SqliteState, type SqliteStateOptions } from "./sqlite-state.ts";
import { startWorker } from "./start-worker.ts";
import { numberColumns } from "./state-schema.ts";
import type { FromStateWorker, ToStateWorker } from "./state-worker.ts";

export class StateFault extends Error {
  override name = "StateFault";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class StateStore {
  readonly state: SqliteState;
  readonly #worker: Worker;
  #nextId = 1;
  #writing:
    | { id: number; rows: number; resolve: () => void; reject: (error: StateFault) => void }
    | undefined;
  #closed: (() => void) | undefined;

  readonly #note: (note: string) => void;
  readonly #onStored: (rows: number) => void;
  /** Set once the writer is gone: no checkpoint can be made any more. */
  #ended: StateFault | undefined;

  private constructor(
    state: SqliteState,
    worker: Worker,
    hears: { note: (note: string) => void; onStored: (rows: number) => void },
  ) {
    this.state = state;
    this.#worker = worker;
    this.#note = hears.note;
    this.#onStored = hears.onStored;
  }

  /** Opens the database at `path`, making it if need be. Rejects when the writer cannot open it. */
  static async open(
    path: string,
    options: SqliteStateOptions & {
      /** Hears what goes wrong in the background, one sentence each; nothing is lost by it. */
      readonly onNote?: (note: string) => void;
      readonly events?: EventRetention;
      /** Hears of each checkpoint that was stored, and of how many rows of jobs it was. */
      readonly onStored?: (rows: number) => void;
    },
  ): Promise<StateStore> {
    const state = new SqliteState(path, options);
    const worker = startWorker("state");
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<FromStateWorker>) => {
        if (event.data.kind === "opened") resolve();
        else if (event.data.kind === "fault") {
          reject(new StateFault(event.data.code, event.data.message));
        }
      };
      worker.onerror = (event) => reject(new StateFault("WORKER", event.message));
      post(worker, { kind: "open", path, events: options.events ?? defaultEventRetention });
    });
    const { onNote: note = () => {}, onStored = () => {} } = options;
    const store = new StateStore(state, worker, { note, onStored });
    worker.onmessage = (event: MessageEvent<FromStateWorker>) => store.#receive(event.data);
    worker.onerror = (event) => store.#writerEnded(event.message);
    return store;
  }

  /** What the stored state reflects; index 0 and no members in a new database. */
  get stored(): { readonly index: number; readonly conf: ConfState } {
    const { storedIndex, storedConf } = this.state;
    const conf = storedConf === undefined ? emptyConfState : (JSON.parse(storedConf) as ConfState);
    return { index: storedIndex, conf };
  }

  get dirtyCount(): number {
    return this.state.dirtyCount;
  }

  checkpoint(point: { readonly index: number; readonly conf: ConfState }): Promise<void> {
    assert(this.#writing === undefined, "one checkpoint at a time");
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const checkpoint = this.state.takeCheckpoint(point.index, JSON.stringify(point.conf));
    return new Promise((resolve, reject) => {
      const rows = checkpoint.numbers.length / numberColumns;
      this.#writing = { id, rows, resolve, reject };
      this.#worker.postMessage({ kind: "write", id, checkpoint } satisfies ToStateWorker, [
        checkpoint.numbers.buffer as ArrayBuffer,
        checkpoint.lengths.buffer as ArrayBuffer,
        ...checkpoint.events.map(({ columns }) => columns.buffer as ArrayBuffer),
      ]);
    });
  }

  async close(): Promise<void> {
    this.state.close();
    if (this.#ended === undefined) {
      await new Promise<void>((resolve) => {
        this.#closed = resolve;
        post(this.#worker, { kind: "close" });
      });
    }
    this.#worker.terminate();
  }

  #receive(message: FromStateWorker): void {
    switch (message.kind) {
      case "written": {
        this.state.settle();
        const floors = this.state.takeFloors();
        if (floors !== undefined) post(this.#worker, { kind: "floors", ...floors });
        this.#onStored(this.#writing?.rows ?? 0);
        this.#finish(undefined);
        break;
      }
      case "fault":
        if (message.id !== undefined) {
          this.state.restore();
          this.#finish(new StateFault(message.code, message.message));
        } else {
          this.#note(`rows of removed jobs could not be deleted yet: ${message.message}`);
        }
        break;
      case "closed":
        this.#closed?.();
        break;
      case "opened":
        break;
    }
  }

  /** A checkpoint that waited for the writer would wait for ever. */
  #writerEnded(message: string): void {
    this.#ended = new StateFault("WORKER", `the writer of the state has ended: ${message}`);
    if (this.#writing !== undefined) {
      this.state.restore();
      this.#finish(this.#ended);
    }
    this.#closed?.();
  }

  #finish(fault: StateFault | undefined): void {
    const writing = this.#writing;
    this.#writing = undefined;
    if (fault === undefined) writing?.resolve();
    else writing?.reject(fault);
  }
}

function post(worker: Worker, message: ToStateWorker): void {
  worker.postMessage(message);
}
