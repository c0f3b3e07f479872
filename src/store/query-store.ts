/**
 * `JobSearch` for the main thread: queries go to a Worker with its own connection, so that none of them delays a claim.
 *
 * Before each query the state is flushed, so callers find what they wrote. At most `waitingMax` calls are open at once;
 * the next one is refused rather than kept. A call for sequence numbers is made of bounded steps, between which other
 * calls have their turn.
 */
import { CorvoError } from "../base/errors.ts";
import type { Job } from "../engine/job.ts";
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
  readonly #worker: Worker;
  readonly #flush: () => Promise<void>;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #open = 0;
  #eventReads = 0;
  /** Set once no query can be answered any more. */
  #ended: CorvoError | undefined;
  #closed: (() => void) | undefined;

  private constructor(worker: Worker, flush: () => Promise<void>) {
    this.#worker = worker;
    this.#flush = flush;
  }

  /** Opens the database at `path`, which must have its tables. */
  static async open(path: string, options: QueryStoreOptions): Promise<QueryStore> {
    const worker = startWorker("query");
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onmessage = (event: MessageEvent<FromQueryWorker>) => {
          const message = event.data;
          if (message.kind === "opened") resolve();
          else if (message.kind === "fault") reject(faultOf(message));
        };
        worker.onerror = (event) => reject(stopped(event.message));
        post(worker, { kind: "open", path, budget: options.budget ?? searchBudget });
      });
    } catch (error) {
      worker.terminate();
      throw error;
    }
    const store = new QueryStore(worker, options.flush);
    worker.onmessage = (event: MessageEvent<FromQueryWorker>) => store.#receive(event.data);
    worker.onerror = (event) => store.#end(stopped(event.message));
    return store;
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

  text(query: string, limit: number): Promise<Job[]> {
    return this.#call(() => this.#query<"text">({ kind: "text", text: query, limit }));
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
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      post(this.#worker, { kind: "close" });
    });
    this.#worker.terminate();
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
      await this.#flush();
      return await run();
    } finally {
      this.#open--;
    }
  }

  #query<Kind extends Query["kind"]>(
    query: Extract<Query, { kind: Kind }>,
  ): Promise<Answers[Kind]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      post(this.#worker, { kind: "query", id, query });
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
  return new CorvoError("INTERNAL_ERROR", `the search thread stopped: ${why}`);
}

function post(worker: Worker, message: ToQueryWorker): void {
  worker.postMessage(message);
}
