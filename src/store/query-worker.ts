/** Worker that owns the reading connection for searches. Requests are answered one at a time, in order. */
import { CorvoError, type ErrorCode } from "../base/errors.ts";
import type {
  ErrorGroups,
  JobFilter,
  JobPage,
  JobPageRequest,
  StoredEvents,
  StoredEventsRequest,
} from "../engine/query.ts";
import { EventSearcher } from "./event-search.ts";
import { JobSearcher, type SearchBudget, type SeqStep } from "./job-search.ts";

export interface SeqRange {
  readonly afterSeq: number;
  readonly beforeSeq: number;
  readonly limit: number;
}

export type Query =
  | { readonly kind: "page"; readonly request: JobPageRequest }
  | { readonly kind: "seqs"; readonly filter: JobFilter; readonly range: SeqRange }
  | { readonly kind: "errorGroups"; readonly filter: JobFilter; readonly limit: number }
  | { readonly kind: "events"; readonly request: StoredEventsRequest };

/** What each kind of query is answered with. */
export interface Answers {
  readonly page: JobPage;
  readonly seqs: SeqStep;
  readonly errorGroups: ErrorGroups;
  readonly events: StoredEvents;
}

export type ToQueryWorker =
  | {
      readonly kind: "open";
      readonly path: string;
      readonly textPath: string | undefined;
      readonly budget: SearchBudget;
    }
  | { readonly kind: "query"; readonly id: number; readonly query: Query }
  | { readonly kind: "close" };

export type FromQueryWorker =
  | { readonly kind: "opened" }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly kind: "closed" }
  /** `id` is the query that failed; undefined when opening did. */
  | {
      readonly kind: "fault";
      readonly id: number | undefined;
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

declare const self: Worker;

let searcher: JobSearcher | undefined;
let events: EventSearcher | undefined;

self.onmessage = (event: MessageEvent<ToQueryWorker>) => {
  const message = event.data;
  try {
    handle(message);
  } catch (error) {
    const known = error instanceof CorvoError ? error : undefined;
    send({
      kind: "fault",
      id: message.kind === "query" ? message.id : undefined,
      code: known?.code ?? "INTERNAL_ERROR",
      message: error instanceof Error ? error.message : String(error),
      hint: known?.hint,
    });
  }
};

function handle(message: ToQueryWorker): void {
  switch (message.kind) {
    case "open":
      searcher = new JobSearcher(message.path, {
        budget: message.budget,
        textPath: message.textPath,
        nowMs: () => performance.now(),
      });
      events = new EventSearcher(message.path);
      send({ kind: "opened" });
      break;
    case "query":
      send({ kind: "answer", id: message.id, answer: answer(message.query) });
      break;
    case "close":
      searcher?.close();
      events?.close();
      searcher = undefined;
      events = undefined;
      send({ kind: "closed" });
      break;
  }
}

function answer(query: Query): Answers[keyof Answers] {
  const from = searcher;
  if (from === undefined || events === undefined) {
    throw new CorvoError("UNAVAILABLE", "the search was closed");
  }
  switch (query.kind) {
    case "page":
      return from.page(query.request);
    case "seqs":
      return from.seqs(query.filter, query.range);
    case "errorGroups":
      return from.errorGroups(query.filter, query.limit);
    case "events":
      return events.read(query.request);
  }
}

function send(message: FromQueryWorker): void {
  self.postMessage(message);
}
