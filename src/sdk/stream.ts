/**
 * Client of the streaming protocol: many operations in one frame, answers per item, jobs pushed within credits.
 *
 * Items that are added in one tick, and while frames are on the wire, go together into the next frame; that is all the
 * batching there is, and it adapts by itself. There is no promise or closure per item: `done(answer, item)` may be one function
 * for all of them.
 *
 * What happens to an item without an answer when the connection breaks:
 * - not sent yet: it waits for the next connection.
 * - ack, fail, release, snooze: sent again. The lease token fences it, so it cannot act twice. When the second try is told that the
 *   lease or the job is gone, the first one may have done that itself: the answer is then OUTCOME_UNKNOWN, never LEASE_LOST.
 * - heartbeat: sent again; repeating one changes nothing.
 * - enqueue: answered OUTCOME_UNKNOWN, since a second try could add a second job. With `resendUnique`, jobs with a unique
 *   key are sent again: the key makes the second try find the first one's job (`unique_existing`).
 * - claim: forgotten, with all credits. `opened` is the moment to claim again.
 *
 * What a refused frame's answer does not list did not happen. A passing reason (overload, full disk) delays and repeats it; a lasting one splits
 * it until the item at fault is alone, so that one bad item does not take its neighbours along.
 */

import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import { rawTreeOf } from "../api/operation.ts";
import type { ClaimedJob, NewJob } from "../api/schemas.ts";
import { type AnswerFrame, PushFrame, streamPath } from "../api/stream.ts";
import type { AckItem, FailItem, HeartbeatItem, ReleaseItem, SnoozeItem } from "../api/worker.ts";
import { errorTable, isErrorCode } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import type { Random, Timers } from "../base/ports.ts";
import { ServerList } from "./servers.ts";
import { type Loss, type SocketConstructor, StreamConnection } from "./stream-connection.ts";
import {
  type Answered,
  addClaim,
  type Claim,
  type ClaimAnswered,
  encodeFrame,
  type Frame,
  halvesOf,
  type ItemAnswer,
  type ItemKind,
  ItemQueue,
  itemKinds,
  itemsOf,
  type PendingClaim,
  type Sendable,
  type StreamItem,
} from "./stream-frame.ts";

export type Job = Static<typeof ClaimedJob>;
type Revoked = NonNullable<PushFrame["revoked"]>[number];

export interface StreamOptions {
  /** Base address of the server, `http://` or `https://`; several nodes of one cluster are separated by commas. */
  readonly server: string;
  readonly apiKey?: string | undefined;
  readonly WebSocket: SocketConstructor;
  readonly timers: Timers;
  readonly random: Random;
  /** Runs a callback when the current tick is over; `setImmediate` where there is one. */
  readonly defer: (callback: () => void) => void;
  /** Frames that may be unanswered at once. Default 1: what is added meanwhile becomes the next frame. */
  readonly framesMax?: number | undefined;
  /** Unanswered items and the characters of their JSON at most; more are refused with OVERLOADED. Default 100,000 and 64 Mi. */
  readonly itemsMax?: number | undefined;
  readonly charsMax?: number | undefined;
  readonly resendUnique?: boolean | undefined;
  readonly silentMs?: number | undefined;
  readonly backoffMs?: number | undefined;
  readonly backoffMsMax?: number | undefined;
}

export interface StreamEvents {
  opened?(): void;
  jobs?(jobs: readonly Job[]): void;
  revoked?(revoked: readonly Revoked[]): void;
  /** What an operator asks of the worker: `quiet`, `stop` or `work`. */
  ordered?(order: string): void;
  /** The server will close the connection; the stream reconnects by itself. */
  closing?(): void;
  lost?(reason: string, retryMs: number, server: string): void;
}

export interface Stream {
  enqueue<T extends Sendable<Static<typeof NewJob>>>(job: T, done: Answered<T>): void;
  ack<T extends Sendable<Static<typeof AckItem>>>(item: T, done: Answered<T>): void;
  fail<T extends Sendable<Static<typeof FailItem>>>(item: T, done: Answered<T>): void;
  release<T extends Sendable<Static<typeof ReleaseItem>>>(item: T, done: Answered<T>): void;
  snooze<T extends Sendable<Static<typeof SnoozeItem>>>(item: T, done: Answered<T>): void;
  heartbeat<T extends Sendable<Static<typeof HeartbeatItem>>>(item: T, done: Answered<T>): void;
  /**
   * Lets the server push `credits` more jobs; 0 takes all credits back, and jobs that were on their way arrive before `done`.
   * `done` gets undefined when the server took it, a refusal when it never will; it is not called when the connection breaks
   * first.
   */
  claim(request: Claim, done?: ClaimAnswered): void;
  readonly isOpen: boolean;
  /** The address that the stream talks to, or tries next. */
  readonly server: string;
  /** Items without an answer. */
  readonly openCount: number;
  /** Ends the connection for good; what has no answer yet is answered UNAVAILABLE or OUTCOME_UNKNOWN. */
  close(): void;
}

/** Opens a stream; it connects at once, and again whenever the connection breaks, until it is closed. */
export function openStream(options: StreamOptions, events: StreamEvents): Stream {
  const stream = new StreamClient(options, events);
  stream.start();
  return stream;
}

const pushTree = rawTreeOf(PushFrame);
/** The raw values lie within a frame of at most eight levels. */
const frameDepthMax = limits.jsonDepthMax + 8;
/** Close code of a WebSocket whose peer sent more than is taken. */
const closedTooBig = 1009;
const retryMsDefault = 200;
/** Refusals which a first, unanswered try of the same item explains. */
const explainedByFirstTry = new Set<string | undefined>([
  "LEASE_LOST",
  "NOT_FOUND",
  "ACK_ERROR",
  "FAIL_ERROR",
  "RELEASE_ERROR",
  "SNOOZE_ERROR",
]);

type Incoming = AnswerFrame & PushFrame;

class StreamClient implements Stream {
  readonly #options: StreamOptions;
  readonly #events: StreamEvents;
  readonly #connection: StreamConnection;
  readonly #servers: ServerList;
  readonly #queue: ItemQueue;
  readonly #sent = new Map<number, Frame>();
  /** Parts of refused frames, sent as they are and before anything else. */
  #parts: Omit<Frame, "id">[] = [];
  #claims: PendingClaim[] = [];
  #lastId = 0;
  #isFlushDue = false;
  #isPaused = false;
  #isClosing = false;
  #isClosed = false;
  #stopPause: () => void = () => {};

  constructor(options: StreamOptions, events: StreamEvents) {
    this.#options = options;
    this.#events = events;
    this.#queue = new ItemQueue({
      itemsMax: options.itemsMax ?? 100_000,
      charsMax: options.charsMax ?? 64 * 1024 * 1024,
    });
    this.#servers = new ServerList(options.server);
    this.#connection = new StreamConnection(
      {
        ...options,
        servers: this.#servers,
        path: streamPath,
        headers: options.apiKey === undefined ? {} : { "X-API-Key": options.apiKey },
      },
      {
        opened: () => this.#opened(),
        text: (text) => this.#received(text),
        lost: (loss) => this.#lost(loss),
      },
    );
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  get server(): string {
    return this.#servers.current;
  }

  get openCount(): number {
    return this.#queue.openCount;
  }

  start(): void {
    this.#connection.start();
  }

  enqueue<T extends Sendable<Static<typeof NewJob>>>(job: T, done: Answered<T>): void {
    this.#add("enqueue", job, done);
  }

  ack<T extends Sendable<Static<typeof AckItem>>>(item: T, done: Answered<T>): void {
    this.#add("ack", item, done);
  }

  fail<T extends Sendable<Static<typeof FailItem>>>(item: T, done: Answered<T>): void {
    this.#add("fail", item, done);
  }

  release<T extends Sendable<Static<typeof ReleaseItem>>>(item: T, done: Answered<T>): void {
    this.#add("release", item, done);
  }

  snooze<T extends Sendable<Static<typeof SnoozeItem>>>(item: T, done: Answered<T>): void {
    this.#add("snooze", item, done);
  }

  heartbeat<T extends Sendable<Static<typeof HeartbeatItem>>>(item: T, done: Answered<T>): void {
    this.#add("heartbeat", item, done);
  }

  claim(request: Claim, done?: ClaimAnswered): void {
    if (!this.#connection.isOpen) return;
    addClaim(this.#claims, request, done);
    this.#flushLater();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
    this.#stopPause();
    const sent = [...this.#sent.values()].flatMap(itemsOf);
    this.#sent.clear();
    for (const item of sent) {
      this.#settle(item, "OUTCOME_UNKNOWN", "the stream was closed before the answer came");
    }
    const parts = this.#parts.flatMap((part) => itemsOf({ ...part, id: 0 }));
    this.#parts = [];
    for (const item of parts) this.#settleUnsent(item);
    while (!this.#queue.isEmpty) {
      const lists = this.#queue.take();
      for (const kind of itemKinds) for (const item of lists[kind]) this.#settleUnsent(item);
    }
  }

  #add<T extends object>(kind: ItemKind, source: T, done: Answered<T>): void {
    this.#queue.add(kind, source, done);
    if (this.#isClosed) {
      for (const item of this.#queue.take()[kind]) this.#settleUnsent(item);
      return;
    }
    this.#flushLater();
  }

  #flushLater(): void {
    if (this.#isFlushDue || !this.#connection.isOpen) return;
    this.#isFlushDue = true;
    this.#options.defer(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#canSend()) {
      const part = this.#parts.shift();
      if (part !== undefined) {
        this.#send({ ...part, id: ++this.#lastId });
        continue;
      }
      const claim = this.#isClosing ? undefined : this.#claims.shift();
      if (this.#queue.isEmpty && claim === undefined) return;
      this.#send({ id: ++this.#lastId, lists: this.#queue.take(), claim });
    }
  }

  #canSend(): boolean {
    return (
      this.#connection.isOpen && !this.#isPaused && this.#sent.size < (this.#options.framesMax ?? 1)
    );
  }

  #send(frame: Frame): void {
    this.#sent.set(frame.id, frame);
    this.#connection.send(encodeFrame(frame));
  }

  #opened(): void {
    this.#isClosing = false;
    this.#stopPause();
    this.#isPaused = false;
    this.#events.opened?.();
    this.#flushLater();
  }

  #received(text: string): void {
    // Only pushed jobs hold raw values; answers, the larger part of the traffic, need no second walk.
    const tree = text.includes('"jobs"') ? pushTree : undefined;
    const parsed = parseJson(text, tree, frameDepthMax);
    if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) {
      this.#connection.cycle(`the server sent a frame that is not JSON: ${text.slice(0, 60)}`);
      return;
    }
    const frame = parsed.value as Incoming;
    if (frame.jobs !== undefined) this.#events.jobs?.(frame.jobs);
    if (frame.revoked !== undefined) this.#events.revoked?.(frame.revoked);
    if (frame.order !== undefined) this.#events.ordered?.(frame.order);
    if (frame.closing === true) {
      this.#isClosing = true;
      this.#events.closing?.();
    }
    const sent = this.#sent.get(frame.id);
    if (sent !== undefined) {
      this.#sent.delete(frame.id);
      if (frame.code === undefined && frame.error === undefined) this.#answered(sent, frame);
      else this.#refused(sent, frame);
    }
    if (this.#isClosing && this.#sent.size === 0 && this.#queue.isEmpty && !this.#isPaused) {
      this.#connection.cycle("the server asked to connect again");
    }
    this.#flushLater();
  }

  #answered(frame: Frame, answer: AnswerFrame): void {
    for (const kind of itemKinds) {
      this.#takeAnswers(frame.lists[kind], answer[kind] ?? []);
    }
    for (const done of frame.claim?.dones ?? []) done(undefined);
  }

  /**
   * One shard of several may refuse its items for a passing reason, or lose its leader over them: they are treated like those
   * of a frame with that code.
   */
  #takeAnswers(items: readonly StreamItem[], answers: readonly ItemAnswer[]): void {
    const refused: StreamItem[] = [];
    const unknown: StreamItem[] = [];
    items.forEach((item, i) => {
      const answer = answers[i];
      const code = answer?.code;
      if (answer === undefined) {
        this.#settle(item, "OUTCOME_UNKNOWN", "the server's answer left the item out");
      } else if (code === "OUTCOME_UNKNOWN") unknown.push(item);
      else if (code !== undefined && isErrorCode(code) && errorTable[code].retryable) {
        refused.push(item);
      } else this.#settleWith(item, answer);
    });
    if (refused.length + unknown.length === 0) return;
    this.#queue.putBack(refused);
    this.#recover(unknown);
    this.#pause(retryMsDefault);
  }

  /** What an answer with a code lists was carried out all the same; the rest was not, unless the code says that nobody knows. */
  #refused(sent: Frame, answer: AnswerFrame): void {
    const frame = this.#withoutAnswered(sent, answer);
    const code = answer.code ?? "INTERNAL_ERROR";
    const error = answer.error ?? "the server refused the frame without a reason";
    if (code === "OUTCOME_UNKNOWN") {
      this.#recover(itemsOf(frame));
      if (frame.claim !== undefined) this.#claims.unshift(frame.claim);
      this.#pause(answer.retry_after_ms ?? retryMsDefault);
      return;
    }
    if (isErrorCode(code) && errorTable[code].retryable) {
      this.#parts.push(frame);
      this.#pause(answer.retry_after_ms ?? retryMsDefault);
      return;
    }
    const halves = halvesOf(frame);
    if (halves !== undefined) {
      this.#parts.push(...halves);
      return;
    }
    for (const item of itemsOf(frame)) this.#settle(item, code, error);
    for (const done of frame.claim?.dones ?? []) {
      done({ job_id: "", status: "error", code, error });
    }
  }

  #withoutAnswered(frame: Frame, answer: AnswerFrame): Frame {
    const isListed = (kind: ItemKind) =>
      frame.lists[kind].length > 0 && answer[kind]?.length === frame.lists[kind].length;
    if (!itemKinds.some(isListed)) return frame;
    const lists = { ...frame.lists };
    for (const kind of itemKinds) {
      if (!isListed(kind)) continue;
      this.#takeAnswers(lists[kind], answer[kind] ?? []);
      lists[kind] = [];
    }
    return { ...frame, lists };
  }

  #pause(delayMs: number): void {
    this.#isPaused = true;
    this.#stopPause();
    this.#stopPause = this.#options.timers.after(delayMs, () => {
      this.#isPaused = false;
      this.#flushLater();
    });
  }

  #lost({ reason, server, retryMs, code }: Loss): void {
    const frames = [...this.#sent.values()];
    const parts = this.#parts;
    this.#sent.clear();
    this.#parts = [];
    this.#claims = [];
    this.#queue.putBack(parts.flatMap((part) => itemsOf({ ...part, id: 0 })));
    if (code === closedTooBig) this.#tooBig(frames);
    else this.#recover(frames.flatMap(itemsOf));
    this.#events.lost?.(reason, retryMs, server);
  }

  /** A frame that the server did not read at all: smaller ones come next, and an item that was alone is too large by itself. */
  #tooBig(frames: readonly Frame[]): void {
    const items = frames.flatMap(itemsOf);
    const [only] = items;
    if (only !== undefined && items.length === 1) {
      const error = `the item has ${only.text.length} characters, more than the server takes in one frame (--max-body-size)`;
      this.#settle(only, "PAYLOAD_TOO_LARGE", error);
      return;
    }
    this.#queue.shrinkFrames(items);
    // With several frames under way those before the large one may have been carried out.
    if (frames.length === 1) this.#queue.putBack(items);
    else this.#recover(items);
  }

  /** These items were sent, and whether they were carried out is not known. */
  #recover(items: readonly StreamItem[]): void {
    const again: StreamItem[] = [];
    for (const item of items) {
      if (item.kind !== "enqueue" || this.#mayRepeat(item)) {
        item.isResent = true;
        again.push(item);
      } else {
        this.#settle(
          item,
          "OUTCOME_UNKNOWN",
          "the connection broke before the answer came; the job may have been added",
        );
      }
    }
    this.#queue.putBack(again);
  }

  #mayRepeat(item: StreamItem): boolean {
    if (this.#options.resendUnique !== true) return false;
    const key = (item.source as Static<typeof NewJob>).unique_key;
    return key !== undefined && key !== null;
  }

  #settleUnsent(item: StreamItem): void {
    if (item.isResent) this.#settle(item, "OUTCOME_UNKNOWN", "the stream was closed in between");
    else this.#settle(item, "UNAVAILABLE", "the stream was closed before the item was sent");
  }

  #settle(item: StreamItem, code: string, error: string): void {
    const source = item.source as { readonly job_id?: string };
    this.#settleWith(item, { job_id: source.job_id ?? "", status: "error", code, error });
  }

  #settleWith(item: StreamItem, answer: ItemAnswer): void {
    this.#queue.settled(item);
    const done = item.done as Answered;
    if (item.isResent && item.kind !== "heartbeat" && explainedByFirstTry.has(answer.code)) {
      const error = `the connection broke during the first ${item.kind}, which may have been carried out; the second was told ${answer.code}: ${answer.error ?? ""}`;
      done({ job_id: answer.job_id, status: "error", code: "OUTCOME_UNKNOWN", error }, item.source);
    } else {
      done(answer, item.source);
    }
  }
}
