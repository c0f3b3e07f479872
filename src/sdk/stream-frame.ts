/**
 * Frames of the streaming client before they are sent and until they are answered: items wait in a queue by kind, a frame takes
 * as many as its bounds allow, and a frame that was refused as a whole is split to find the item that is at fault.
 *
 * An item is encoded once, when it is queued: its text is what is counted, sent and, after a broken connection, sent again.
 */

import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import type { ClaimRequest } from "../api/worker.ts";
import { CorvoError } from "../base/errors.ts";
import { stringifyJson } from "../base/json.ts";

export const itemKinds = ["enqueue", "ack", "fail", "release", "snooze", "heartbeat"] as const;
export type ItemKind = (typeof itemKinds)[number];
export type Claim = Sendable<Static<typeof ClaimRequest>>;

/** An optional member may also be present and undefined; encoding leaves it out. */
export type Sendable<T> = {
  readonly [Key in keyof T]: object extends Pick<T, Key> ? T[Key] | undefined : T[Key];
};

/** Answer to one item. Without a `code` it was carried out. */
export interface ItemAnswer {
  readonly job_id: string;
  readonly status: string;
  readonly code?: string;
  readonly error?: string;
  /** For an enqueue: the unique key was held, `job_id` is the holder. */
  readonly unique_existing?: boolean;
}

/** Told the answer and the item it belongs to, so that one function can serve all items. Must not throw. */
export type Answered<T = unknown> = (answer: ItemAnswer, item: T) => void;

export interface StreamItem {
  readonly kind: ItemKind;
  readonly text: string;
  readonly source: unknown;
  readonly done: Answered<never>;
  /** It was sent before, and that try was never answered. */
  isResent: boolean;
}

export type ClaimAnswered = (refusal: ItemAnswer | undefined) => void;

export interface PendingClaim {
  readonly request: Claim;
  readonly dones: readonly ClaimAnswered[];
}

/** Claims that wait to be sent, the newest last. Credits of equal claims are summed; taking credits back stays a step of its own. */
export function addClaim(
  waiting: PendingClaim[],
  request: Claim,
  done: ClaimAnswered | undefined,
): void {
  const dones = done === undefined ? [] : [done];
  const last = waiting.at(-1);
  const isSame =
    last !== undefined &&
    last.request.credits > 0 &&
    request.credits > 0 &&
    stringifyJson({ ...last.request, credits: 0 }) === stringifyJson({ ...request, credits: 0 });
  if (!isSame) {
    waiting.push({ request, dones });
    return;
  }
  const credits = last.request.credits + request.credits;
  waiting[waiting.length - 1] = {
    request: { ...request, credits },
    dones: [...last.dones, ...dones],
  };
}

export interface Frame {
  readonly id: number;
  readonly lists: Readonly<Record<ItemKind, readonly StreamItem[]>>;
  readonly claim: PendingClaim | undefined;
}

type Lists = Record<ItemKind, StreamItem[]>;

function emptyLists(): Lists {
  return { enqueue: [], ack: [], fail: [], release: [], snooze: [], heartbeat: [] };
}

/** Characters of one frame. One is at most three bytes of UTF-8, so a frame stays below the server's usual bound. */
const frameCharsMaxDefault = 4 * 1024 * 1024;
const itemCountMax = (kind: ItemKind) =>
  kind === "enqueue" ? limits.enqueueJobsMax : limits.batchItemsMax;

interface QueueLimits {
  /** Items that wait or are unanswered. */
  readonly itemsMax: number;
  /** Characters of their JSON text. */
  readonly charsMax: number;
}

/** Everything that is not answered yet and not on the wire. Its bounds count what is on the wire as well. */
export class ItemQueue {
  readonly #limits: QueueLimits;
  #frameCharsMax = frameCharsMaxDefault;
  #lists = emptyLists();
  #waitingCount = 0;
  #waitingChars = 0;
  #openCount = 0;
  #openChars = 0;

  constructor(queueLimits: QueueLimits) {
    this.#limits = queueLimits;
  }

  get isEmpty(): boolean {
    return this.#waitingCount === 0;
  }

  /** Items without an answer, waiting or on the wire. */
  get openCount(): number {
    return this.#openCount;
  }

  add(kind: ItemKind, source: object, done: Answered<never>): void {
    const text = stringifyJson(source);
    this.#checkBounds(text.length);
    this.#openCount++;
    this.#openChars += text.length;
    this.#waitingCount++;
    this.#waitingChars += text.length;
    this.#lists[kind].push({ kind, text, source, done, isResent: false });
  }

  /** The server closed the connection because a frame of these items was too large for it. */
  shrinkFrames(items: readonly StreamItem[]): void {
    let chars = 0;
    for (const item of items) chars += item.text.length;
    this.#frameCharsMax = Math.min(this.#frameCharsMax, Math.ceil(chars / 2));
  }

  /** The item has its answer. */
  settled(item: StreamItem): void {
    this.#openCount--;
    this.#openChars -= item.text.length;
  }

  /** Puts items that were on the wire back, before those that wait. */
  putBack(items: readonly StreamItem[]): void {
    const returned = emptyLists();
    for (const item of items) {
      returned[item.kind].push(item);
      this.#waitingCount++;
      this.#waitingChars += item.text.length;
    }
    for (const kind of itemKinds) {
      if (returned[kind].length > 0) this.#lists[kind] = returned[kind].concat(this.#lists[kind]);
    }
  }

  /** As many items as one frame may hold, oldest first. */
  take(): Lists {
    const isSmall =
      this.#waitingChars <= this.#frameCharsMax &&
      itemKinds.every((kind) => this.#lists[kind].length <= itemCountMax(kind));
    if (isSmall) {
      const all = this.#lists;
      this.#lists = emptyLists();
      this.#waitingCount = 0;
      this.#waitingChars = 0;
      return all;
    }
    const taken = emptyLists();
    let roomChars = this.#frameCharsMax;
    let isFirst = true;
    for (const kind of itemKinds) {
      const list = this.#lists[kind];
      let count = 0;
      while (count < Math.min(list.length, itemCountMax(kind))) {
        const chars = list[count]?.text.length ?? 0;
        // An item longer than a whole frame goes alone: what the server says to it is its answer.
        if (chars > roomChars && !isFirst) break;
        isFirst = false;
        roomChars -= chars;
        this.#waitingChars -= chars;
        count++;
      }
      taken[kind] = list.splice(0, count);
      this.#waitingCount -= count;
    }
    return taken;
  }

  #checkBounds(chars: number): void {
    if (this.#openCount >= this.#limits.itemsMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#openCount} items are unanswered, the limit of the stream (itemsMax)`,
        { hint: "Wait for answers before adding more." },
      );
    }
    if (this.#openChars + chars > this.#limits.charsMax && this.#openCount > 0) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#openChars} characters of unanswered items and ${chars} more exceed the limit of the stream (charsMax ${this.#limits.charsMax})`,
        { hint: "Wait for answers before adding more." },
      );
    }
  }
}

export function encodeFrame(frame: Frame): string {
  let text = `{"id":${frame.id}`;
  for (const kind of itemKinds) {
    const list = frame.lists[kind];
    if (list.length === 0) continue;
    text += `,"${kind}":[`;
    for (let i = 0; i < list.length; i++) text += (i === 0 ? "" : ",") + (list[i]?.text ?? "");
    text += "]";
  }
  if (frame.claim !== undefined) text += `,"claim":${stringifyJson(frame.claim.request)}`;
  return `${text}}`;
}

export function itemsOf(frame: Frame): StreamItem[] {
  return itemKinds.flatMap((kind) => frame.lists[kind]);
}

/** The contents of a refused frame in two halves, or undefined when it held a single thing. The claim goes with the second. */
export function halvesOf(frame: Frame): readonly Omit<Frame, "id">[] | undefined {
  const items = itemsOf(frame);
  const count = items.length + (frame.claim === undefined ? 0 : 1);
  if (count < 2) return undefined;
  const middle = Math.ceil(items.length / 2);
  const half = (part: readonly StreamItem[], claim: PendingClaim | undefined) => {
    const lists = emptyLists();
    for (const item of part) lists[item.kind].push(item);
    return { lists, claim };
  };
  if (items.length === 1) return [half(items, undefined), half([], frame.claim)];
  return [half(items.slice(0, middle), undefined), half(items.slice(middle), frame.claim)];
}
