/**
 * `JobSearch` for the main thread: queries go to a Worker with its own connection, so that none of them delays a claim.
 *
 * Before each query the state is flushed, so callers find what they wrote. At most `waitingMax` calls are open at once;
 * the next one is refused rather than kept. A call for sequence numbers is made of bounded steps, between which other
 * calls have their turn. When the thread ends by itself, its calls fail and the next call starts another.
 */
import { CorvoError } from "../base/errors.ts";
import type {
  ErrorGroups,
  JobFilter,
  JobPage,
  JobPageRequest,
  JobSearch,
  StoredEvents,
  StoredEventsRequest,
} from "../engine/query.ts";
import { type SearchBudget, searchBudget } from "./job-search.ts";
import type { Answers, FromQueryWorker, Query, SeqRange, ToQueryWorker } from "./query-worker.ts";
import { startWorker } from "./start-worker.ts";

export interface QueryStoreOptions {
  /** Stores what was applied so far. */
  readonly flush: () => Promise<void>;
  readonly budget?: SearchBudget;
  /** The index of texts, which need not exist. */
  readonly textPath?: string | undefined;
  /** Starts the thread. */
  readonly start?: () => Worker;
  /** Hears of a search thread that ended. */
  readonly onNote?: (note: string) => void;
}

/** Calls that wait or run. */
export const searchWaitingMax = 64;
/** Reads of old events that wait or run. */
const eventReadsMax = 1024;

interface Pending {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: CorvoError) => void;
}

export class QueryStore implements JobSearch {
  readonly #path: string;
  readonly #options: QueryStoreOptions;
  /** Undefined from the end of one until the next call, which starts another. */
  #worker: Promise<Worker> | undefined;
  /** The one that is open: one that failed tells of its end besides, when another may be at work already. */
  #running: Worker | undefined;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #open = 0;
  #eventReads = 0;
  /** Set once no query can be answered any more. */
  #ended: CorvoError | undefined;
  #closed: (() => void) | undefined;

  private constructor(path: string, options: QueryStoreOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Opens the database at `path`, which must have its tables. */
  static async open(path: string, options: QueryStoreOptions): Promise<QueryStore> {
    const store = new QueryStore(path, options);
    await store.#started();
    return store;
  }

  #started(): Promise<Worker> {
    this.#worker ??= this.#start();
    return this.#worker;
  }

  async #start(): Promise<Worker> {
    const { textPath, budget = searchBudget, start = () => startWorker("query") } = this.#options;
    const worker = start();
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onmessage = (event: MessageEvent<FromQueryWorker>) => {
          const message = event.data;
          if (message.kind === "opened") resolve();
          else if (message.kind === "fault") reject(faultOf(message));
        };
        worker.onerror = (event) => reject(stopped(event.message));
        post(worker, { kind: "open", path: this.#path, textPath, budget });
      });
    } catch (error) {
      worker.terminate();
      this.#worker = undefined;
      throw error;
    }
    this.#running = worker;
    worker.onmessage = (event: MessageEvent<FromQueryWorker>) => this.#receive(event.data);
    worker.onerror = (event) => this.#lost(worker, event.message);
    worker.addEventListener("close", () => this.#lost(worker, "it ended"));
    return worker;
  }

  /** The queries that it had are lost; the next call finds another thread. */
  #lost(worker: Worker, why: string): void {
    if (this.#ended !== undefined) {
      this.#closed?.();
      return;
    }
    if (this.#running !== worker) return;
    worker.onmessage = null;
    worker.onerror = null;
    worker.terminate();
    this.#running = undefined;
    this.#worker = undefined;
    const error = stopped(why);
    this.#options.onNote?.(`${error.message}; the next search starts another`);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  page(request: JobPageRequest): Promise<JobPage> {
    return this.#call(() => this.#query<"page">({ kind: "page", request }));
  }

  /** Complete up to the limit, however many steps that takes. */
  seqs(filter: JobFilter, range: SeqRange): Promise<number[]> {
    return this.#call(async () => {
      const found: number[] = [];
      let afterSeq = range.afterSeq;
      for (;;) {
        const limit = range.limit - found.length;
        const step = await this.#query<"seqs">({
          kind: "seqs",
          filter,
          range: { afterSeq, beforeSeq: range.beforeSeq, limit },
        });
        for (const seq of step.seqs) found.push(seq);
        if (step.goOnAfterSeq === undefined) return found;
        afterSeq = step.goOnAfterSeq;
      }
    });
  }

  errorGroups(filter: JobFilter, limit: number): Promise<ErrorGroups> {
    return this.#call(() => this.#query<"errorGroups">({ kind: "errorGroups", filter, limit }));
  }

  /** What is not stored yet is in memory with the caller, so nothing is flushed. */
  async events(request: StoredEventsRequest): Promise<StoredEvents> {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#eventReads >= eventReadsMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#eventReads} reads of old events are waiting already (eventReadsMax ${eventReadsMax})`,
        { retryAfterMs: 1000 },
      );
    }
    this.#eventReads++;
    try {
      return await this.#query<"events">({ kind: "events", request });
    } finally {
      this.#eventReads--;
    }
  }

  /** Open calls end with UNAVAILABLE. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#end(new CorvoError("UNAVAILABLE", "the server is stopping; the search was not finished"));
    const worker = await this.#worker?.catch(() => undefined);
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      post(worker, { kind: "close" });
    });
    worker.terminate();
  }

  async #call<Answer>(run: () => Promise<Answer>): Promise<Answer> {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#open >= searchWaitingMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#open} searches are waiting already (searchWaitingMax ${searchWaitingMax})`,
        { retryAfterMs: 1000 },
      );
    }
    this.#open++;
    try {
      await this.#options.flush();
      return await run();
    } finally {
      this.#open--;
    }
  }

  async #query<Kind extends Query["kind"]>(
    query: Extract<Query, { kind: Kind }>,
  ): Promise<Answers[Kind]> {
    const worker = await this.#started();
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      post(worker, { kind: "query", id, query });
    });
  }

  #receive(message: FromQueryWorker): void {
    switch (message.kind) {
      case "answer":
        this.#take(message.id)?.resolve(message.answer);
        break;
      case "fault":
        if (message.id !== undefined) this.#take(message.id)?.reject(faultOf(message));
        break;
      case "closed":
        this.#closed?.();
        break;
      case "opened":
        break;
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #end(error: CorvoError): void {
    this.#ended ??= error;
    this.#closed?.();
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}

function faultOf(message: Extract<FromQueryWorker, { kind: "fault" }>): CorvoError {
  return new CorvoError(
    message.code,
    message.message,
    message.hint === undefined ? {} : { hint: message.hint },
  );
}

function stopped(why: string): CorvoError {
  return new CorvoError("UNAVAILABLE", `the search thread stopped: ${why}`);
}

function post(worker: Worker, message: ToQueryWorker): void {
  worker.postMessage(message);
}
