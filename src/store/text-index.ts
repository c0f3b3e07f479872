/**
 * The index of texts for the main thread: starts the thread that keeps it, tells it when the state advanced, and knows how
 * far it is. Nothing waits for it, and nothing but searches for text notices when it is missing: it is made from the state
 * alone, so whatever goes wrong with it is noted, and it is begun anew.
 */
import { startWorker } from "./start-worker.ts";
import type { TextPosition } from "./text-schema.ts";
import type { FromTextWorker, ToTextWorker } from "./text-worker.ts";

/** A thread that ended is started again when the state advanced so often since. */
const restartAfter = 10;

const closeMsMax = 3000;

export interface TextIndexOptions {
  readonly path: string;
  readonly statePath: string;
  /** Changes of texts up to this one are taken in. */
  readonly onTakenIn: (change: number) => void;
  readonly onNote: (note: string) => void;
}

export class TextIndex {
  readonly #options: TextIndexOptions;
  #worker: Worker | undefined;
  #position: TextPosition | undefined;
  #isBehind = true;
  #missed = 0;
  #lastNote = "";
  #closed: (() => void) | undefined;
  readonly #stops = new Int32Array(new SharedArrayBuffer(4));

  constructor(options: TextIndexOptions) {
    this.#options = options;
    this.#start();
  }

  /** Number of the last job that is in it; undefined before it is open. */
  get throughSeq(): number | undefined {
    return this.#position?.through;
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** A checkpoint of so many rows was stored. */
  advanced(rows: number): void {
    if (this.#closed !== undefined) return;
    if (this.#worker === undefined) {
      this.#missed++;
      if (this.#missed >= restartAfter) this.#start();
      return;
    }
    post(this.#worker, { kind: "advanced", rows });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    Atomics.store(this.#stops, 0, 1);
    Atomics.notify(this.#stops, 0);
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
      if (worker === undefined) resolve();
      else post(worker, { kind: "close" });
    });
    // A step of a thread that gives way to all others may take long; what it did not finish is done at the next start.
    await Promise.race([closed, Bun.sleep(closeMsMax)]);
    worker?.terminate();
  }

  #start(): void {
    this.#missed = 0;
    const worker = startWorker("text");
    this.#worker = worker;
    worker.onmessage = (event: MessageEvent<FromTextWorker>) => this.#receive(event.data);
    worker.onerror = (event) => this.#lost(worker, event.message);
    worker.addEventListener("close", () => this.#lost(worker, "it ended"));
    const { path, statePath } = this.#options;
    post(worker, { kind: "open", path, statePath, stops: this.#stops });
  }

  #receive(message: FromTextWorker): void {
    switch (message.kind) {
      case "opened":
        this.#moved(message.position);
        break;
      case "moved":
        this.#isBehind = message.isBehind;
        this.#moved(message.position);
        break;
      case "closed":
        this.#closed?.();
        break;
      case "fault":
        this.#note(`the index of texts: ${message.message}`);
        break;
    }
  }

  #moved(position: TextPosition): void {
    this.#position = position;
    this.#options.onTakenIn(position.change);
  }

  #lost(worker: Worker, why: string): void {
    if (this.#closed !== undefined) {
      this.#closed();
      return;
    }
    if (this.#worker !== worker) return;
    worker.terminate();
    this.#worker = undefined;
    this.#note(`the thread of the index of texts stopped: ${why}`);
  }

  /** What is wrong is said once, not at every attempt. */
  #note(note: string): void {
    if (note === this.#lastNote) return;
    this.#lastNote = note;
    this.#options.onNote(note);
  }
}

function post(worker: Worker, message: ToTextWorker): void {
  worker.postMessage(message);
}
