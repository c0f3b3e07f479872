/**
 * What the outbox keeps: a delivery is one message that is to be sent to somebody's URL, until it is sent or given up, and
 * for a while after that. The engine decides what is sent and when; whoever leads sends it (`replica/courier.ts`).
 */
import { chanceOf } from "../retry.ts";

/** Where the result of one job is sent. */
export interface Callback {
  readonly url: string;
  /** Signs what is sent. */
  readonly secret?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What happened, as the receiver is told. */
export interface SentEvent {
  /** Its number in the stream of events; 0 when it is in none. */
  readonly number: number;
  readonly type: string;
  /** The job that it is about; 0 when it is about none. */
  readonly seq: number;
  readonly jobCreatedAtMs: number;
  readonly queue: string;
  readonly atMs: number;
  /** JSON text. */
  readonly data: string | undefined;
  /** There was no room for the data. */
  readonly dataOmitted: boolean;
  /** The trace that the job belongs to, as its tag `traceparent` says. */
  readonly trace: string | undefined;
}

/** `tags` is the JSON text of a job's tags. */
export function traceOf(tags: string | undefined): string | undefined {
  if (tags?.includes('"traceparent"') !== true) return undefined;
  return /"traceparent":"([\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2})"/.exec(tags)?.[1];
}

/** The receiver of results of jobs that name one themselves. No webhook has this id. */
export const callbacksId = "callbacks";

export interface Delivery {
  readonly number: number;
  /** Id of the webhook, or `callbacksId`. */
  readonly webhook: string;
  readonly callback: Callback | undefined;
  readonly event: SentEvent;
  readonly createdAtMs: number;
  /** Sent whether or not the webhook is enabled, once. */
  readonly isTest: boolean;
  readonly state: "waiting" | "delivered" | "failed";
  /** Times that it was tried since it was made or asked for again. */
  readonly attempts: number;
  /** When it is tried next; 0 unless waiting. */
  readonly nextMs: number;
  /** The last try: its time, the status of the answer (0 when there was none), what was wrong, how long it took. */
  readonly lastAtMs: number;
  readonly status: number;
  readonly error: string | undefined;
  readonly durationMs: number;
  /** Place in the order in which deliveries ended; 0 while it waits. */
  readonly finish: number;
}

/** First pause between tries, its growth, and its cap. */
const firstPauseMs = 1000;
const pauseGrowth = 3;
const pauseMsMax = 6 * 3_600_000;

/** The pause after so many tries, a quarter more or less by chance; longer when the receiver asked for that. */
export function pauseMs(attempts: number, chance: number, askedMs: number): number {
  const plain = Math.min(pauseMsMax, firstPauseMs * pauseGrowth ** Math.min(20, attempts - 1));
  return Math.floor(Math.max(plain * (0.75 + chance / 2), Math.min(askedMs, pauseMsMax)));
}

export function chanceOfDelivery(seed: number, number: number): number {
  return chanceOf(seed, number);
}
