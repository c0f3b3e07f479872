/**
 * Up to a thousand events with numbers that follow each other, as columns of plain numbers: the path of a job writes three
 * events, so an event costs a few stores and no object. Names of queues and workers stand in a small list of texts.
 *
 * A chunk only grows. Its columns are what is stored on disk (`store/event-rows.ts`).
 */
import { type EventType, eventTable, typeOfCode } from "./event-types.ts";

/** What happened, when, to whom. */
export interface LifecycleEvent {
  /** Grows by one with each event of the state machine, the same on every replica. */
  readonly number: number;
  readonly type: EventType;
  /** Number of the job; 0 for an event of a queue. */
  readonly seq: number;
  /** When the job was created; with its number that is its id. */
  readonly createdAtMs: number;
  readonly queue: string;
  readonly atMs: number;
  /** The attempt that the event is about; 0 before the first. */
  readonly attempt: number;
  /** JSON text. */
  readonly data: string | undefined;
}

/** Whom an event is about; a job is one. */
export interface EventSubject {
  readonly seq: number;
  readonly createdAtMs: number;
  readonly queue: string;
  readonly attempt: number;
}

/** Which events a reader wants; what is left out does not matter. */
export interface EventFilter {
  readonly types?: ReadonlySet<EventType>;
  readonly queues?: ReadonlySet<string>;
  readonly seqs?: ReadonlySet<number>;
}

/** The columns of a chunk. All have the same length, which may be more than the chunk has events. */
export interface EventColumns {
  readonly seqs: Float64Array;
  readonly created: Float64Array;
  readonly times: Float64Array;
  readonly attempts: Uint32Array;
  /** Places in the texts; 0 for no text. */
  readonly queues: Uint16Array;
  readonly details: Uint16Array;
  readonly codes: Uint8Array;
}

export const chunkEventsMax = 1024;
/** A chunk with more text takes no further event, so that what is written at once stays small. */
const chunkTextMax = 256 * 1024;
/** Longer texts are taken to be of one event only. */
const sharedTextMax = 64;

const startedCode: number = eventTable.started.code;

export class EventChunk {
  /** Number of its first event. */
  readonly first: number;
  readonly columns: EventColumns;
  readonly texts: string[];
  #count: number;
  #textLength = 0;
  readonly #places = new Map<string, number>();
  #lastQueue = "";
  #lastPlace = 0;

  private constructor(first: number, columns: EventColumns, texts: string[], count: number) {
    this.first = first;
    this.columns = columns;
    this.texts = texts;
    this.#count = count;
  }

  static empty(first: number): EventChunk {
    return new EventChunk(first, createColumns(chunkEventsMax), [""], 0);
  }

  /** A chunk that was stored; nothing is added to it. */
  static of(first: number, columns: EventColumns, texts: string[]): EventChunk {
    return new EventChunk(first, columns, texts, columns.codes.length);
  }

  get count(): number {
    return this.#count;
  }

  /** Number of the event that would follow its last. */
  get next(): number {
    return this.first + this.#count;
  }

  /** Characters of its texts. */
  get textLength(): number {
    return this.#textLength;
  }

  get isFull(): boolean {
    return this.#count === this.columns.codes.length || this.#textLength > chunkTextMax;
  }

  add(
    code: number,
    { seq, createdAtMs, queue, attempt }: EventSubject,
    atMs: number,
    text?: string,
  ) {
    const at = this.#count++;
    const { seqs, created, times, attempts, queues, details, codes } = this.columns;
    if (queue !== this.#lastQueue) {
      this.#lastQueue = queue;
      this.#lastPlace = this.#placeOf(queue);
    }
    seqs[at] = seq;
    created[at] = createdAtMs;
    times[at] = atMs;
    attempts[at] = attempt;
    queues[at] = this.#lastPlace;
    codes[at] = code;
    if (text !== undefined) details[at] = this.#placeOf(text);
  }

  /** The event with this number, which must be in the chunk. Undefined when only a later program knows its type. */
  event(number: number): LifecycleEvent | undefined {
    const at = number - this.first;
    const { seqs, created, times, attempts, queues, details, codes } = this.columns;
    const code = codes[at] ?? 0;
    const type = typeOfCode(code);
    if (type === undefined) return undefined;
    const detail = details[at] ?? 0;
    const text = detail === 0 ? undefined : this.texts[detail];
    return {
      number,
      type,
      seq: seqs[at] ?? 0,
      createdAtMs: created[at] ?? 0,
      queue: this.texts[queues[at] ?? 0] ?? "",
      atMs: times[at] ?? 0,
      attempt: attempts[at] ?? 0,
      // The most frequent one is kept as the bare name.
      data: code === startedCode && text !== undefined ? JSON.stringify({ worker_id: text }) : text,
    };
  }

  /** Does the filter let this one through? Asked before an object is made of it. */
  matches(number: number, filter: EventFilter): boolean {
    const at = number - this.first;
    const { seqs, queues, codes } = this.columns;
    if (filter.seqs !== undefined && !filter.seqs.has(seqs[at] ?? 0)) return false;
    if (filter.queues !== undefined && !filter.queues.has(this.texts[queues[at] ?? 0] ?? "")) {
      return false;
    }
    if (filter.types === undefined) return true;
    const type = typeOfCode(codes[at] ?? 0);
    return type !== undefined && filter.types.has(type);
  }

  #placeOf(text: string): number {
    if (text.length > sharedTextMax) return this.#push(text);
    let place = this.#places.get(text);
    if (place === undefined) {
      place = this.#push(text);
      this.#places.set(text, place);
    }
    return place;
  }

  #push(text: string): number {
    this.#textLength += text.length;
    return this.texts.push(text) - 1;
  }
}

/** Columns for so many events. */
function createColumns(count: number): EventColumns {
  return {
    seqs: new Float64Array(count),
    created: new Float64Array(count),
    times: new Float64Array(count),
    attempts: new Uint32Array(count),
    queues: new Uint16Array(count),
    details: new Uint16Array(count),
    codes: new Uint8Array(count),
  };
}
