/**
 * Life-cycle events for readers, from all shards of this node in one line. A reader holds nothing but its position and asks
 * for the next events when it has taken the last: one that is slow costs no memory, and when the node no longer keeps what
 * comes next it is told so by an event of type `gap`, and goes on behind it.
 *
 * Nobody polls: a reader that has everything waits until its node has applied more. What all readers together take of the node's
 * time is bounded.
 */
import type { EventFrame, EventReader, EventsQuery, EventFeed as Feed } from "../api/events.ts";
import { CorvoError } from "../base/errors.ts";
import { formatJobId, parseJobId } from "../base/ids.ts";
import type { Timers } from "../base/ports.ts";
import type { EventFilter, LifecycleEvent } from "../engine/event-chunk.ts";
import { type EventType, eventTable } from "../engine/event-types.ts";
import { formatCursor, parseCursor } from "./event-cursor.ts";
import type { EventLog } from "./event-log.ts";
import { shorten } from "./node.ts";

/** Events that a reader is given at once, and how many are looked at for it in one go. */
const roundEventsMax = 512;
const roundScanMax = 32_768;

/**
 * Readers share the thread that serves writes. One that is behind rests after each full round, and those that wait are woken
 * together at the earliest after this; both for the longer the more readers there are, so that all of them together take
 * about the same part of the time.
 */
const restMsPerReader = 2;
const wakeMsPerReader = 0.1;
const restMsMax = 1000;

/** Of 0.3; no job here is an agent job, so it never comes. */
const silentTypes: readonly string[] = ["continued"];

/** Which events are wanted of each shard. */
interface Wanted {
  readonly filters: readonly EventFilter[];
  /** When the named jobs were created, by shard and number: the whole id must match. */
  readonly created: ReadonlyMap<string, number> | undefined;
}

export type FilterQuery = Pick<EventsQuery, "queues" | "job_ids" | "types">;

export interface EventsPage {
  readonly events: readonly { readonly shard: number; readonly event: LifecycleEvent }[];
  readonly cursor: string;
  readonly hasMore: boolean;
}

export class EventFeed implements Feed {
  readonly logs: readonly EventLog[];
  readonly #timers: Timers;
  readonly #readers = new Set<Reader>();
  #waiting = new Set<() => void>();
  #isWaking = false;

  constructor(logs: readonly EventLog[], timers: Timers) {
    this.logs = logs;
    this.#timers = timers;
    for (const log of logs) log.whenAdded(() => this.#added());
  }

  /** Calls back once when there is more, until the returned function is called. */
  whenAdded(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  /** How long a reader rests that is behind. */
  get restMs(): number {
    return Math.min(restMsMax, restMsPerReader * this.#readers.size);
  }

  #added(): void {
    if (this.#waiting.size === 0 || this.#isWaking) return;
    const delayMs = Math.floor(this.#waiting.size * wakeMsPerReader);
    if (delayMs === 0) {
      this.#wakeAll();
      return;
    }
    this.#isWaking = true;
    this.#timers.after(delayMs, () => {
      this.#isWaking = false;
      this.#wakeAll();
    });
  }

  #wakeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  open(query: EventsQuery): EventReader {
    const wanted = wantedOf(query, this.logs.length);
    const { last_event_id: after } = query;
    const from =
      after === undefined || after === ""
        ? this.logs.map(({ next }) => next)
        : parseCursor("last_event_id", after, this.logs.length).map((number) => number + 1);
    const isLenient = after === "0";
    const reader = new Reader(this, wanted, { from, isLenient, timers: this.#timers });
    this.#readers.add(reader);
    return reader;
  }

  /** A page of events; what is gone is an error, unless the caller wants what there is. */
  async page(
    query: FilterQuery,
    start: {
      readonly from: readonly number[];
      readonly isLenient: boolean;
      readonly limit: number;
    },
  ): Promise<EventsPage> {
    const wanted = wantedOf(query, this.logs.length);
    // Any other node may yet hear of it.
    for (const { shard, next } of this.notGiven(start.from, (log) => log.isLeading())) {
      throw notGivenError(start.from, { shard, next });
    }
    let from = start.from;
    for (;;) {
      const { events, ends, gaps } = await this.read(from, wanted, start.limit);
      const [gone] = gaps;
      if (gone !== undefined && !start.isLenient) throw goneError(from, gone);
      const next = ends.map((end, shard) => gaps.find((gap) => gap.shard === shard)?.first ?? end);
      const hasMore = this.isBehind(next);
      if (events.length > 0 || !hasMore || !isAhead(next, from)) {
        return { events, cursor: cursorOf(next), hasMore };
      }
      from = next;
    }
  }

  /** Shards of which the position names an event that does not exist: the cluster was set back to older data. */
  notGiven(
    from: readonly number[],
    isSure: (log: EventLog) => boolean,
  ): { readonly shard: number; readonly next: number }[] {
    return this.logs.flatMap((log, shard) =>
      (from[shard] ?? 1) > log.next && isSure(log) ? [{ shard, next: log.next }] : [],
    );
  }

  /** Is there more from this position on? */
  isBehind(from: readonly number[]): boolean {
    return this.logs.some((log, shard) => log.next > (from[shard] ?? 1));
  }

  /** Events from each position on, in the order of their times where they are of different shards. */
  async read(from: readonly number[], wanted: Wanted, limit: number): Promise<Round> {
    const bounds = { limit, scanMax: roundScanMax };
    const pages = await Promise.all(
      this.logs.map((log, shard) =>
        log.read(from[shard] ?? 1, wanted.filters[shard] ?? {}, bounds),
      ),
    );
    const all = pages.flatMap(({ events }, shard) => events.map((event) => ({ shard, event })));
    // Stable, and the events of a shard never go back in time.
    if (this.logs.length > 1) all.sort((one, other) => one.event.atMs - other.event.atMs);
    const events = all.slice(0, limit);
    const position = [...from];
    const positions: number[][] = [];
    const matching = events.filter(({ shard, event }) => isNamed(wanted, shard, event));
    for (const { shard, event } of events) {
      position[shard] = event.number + 1;
      if (isNamed(wanted, shard, event)) positions.push([...position]);
    }
    const isWhole = events.length === all.length;
    return {
      events: matching,
      positions,
      // What was cut off is read again.
      ends: isWhole ? pages.map(({ next }) => next) : position,
      gaps: pages.flatMap(({ gone }, shard) =>
        gone === undefined ? [] : [{ shard, first: gone }],
      ),
    };
  }

  forget(reader: EventReader): void {
    this.#readers.delete(reader as Reader);
  }

  get next(): number {
    return this.logs.reduce((sum, log) => sum + log.next - 1, 0) + 1;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  /** Events that the reader which is furthest behind has not taken. */
  get lagMax(): number {
    let most = 0;
    for (const { lag } of this.#readers) most = Math.max(most, lag);
    return most;
  }
}

interface Round {
  readonly events: readonly { readonly shard: number; readonly event: LifecycleEvent }[];
  /** After each event, where the reader stands: the number of the next event of each shard. */
  readonly positions: readonly number[][];
  /** Where to go on when all of this has been taken. */
  readonly ends: readonly number[];
  readonly gaps: readonly { readonly shard: number; readonly first: number }[];
}

class Reader implements EventReader {
  readonly #feed: EventFeed;
  readonly #wanted: Wanted;
  readonly #timers: Timers;
  /** Number of the next event of each shard. */
  #from: number[];
  /** What is gone at the beginning is not missed. */
  #isLenient: boolean;
  #isClosed = false;
  /** The last round was as large as one may be. */
  #isBehind = false;
  #wake: () => void = () => {};

  constructor(
    feed: EventFeed,
    wanted: Wanted,
    start: { readonly from: number[]; readonly isLenient: boolean; readonly timers: Timers },
  ) {
    this.#feed = feed;
    this.#wanted = wanted;
    this.#from = start.from;
    this.#isLenient = start.isLenient;
    this.#timers = start.timers;
  }

  get position(): string {
    return cursorOf(this.#from);
  }

  get lag(): number {
    return this.#feed.logs.reduce(
      (sum, log, shard) => sum + Math.max(0, log.next - (this.#from[shard] ?? log.next)),
      0,
    );
  }

  async next(waitMs: number): Promise<readonly EventFrame[]> {
    if (this.#isBehind) await this.#rest();
    let isOver = false;
    const stopTimer = this.#timers.after(waitMs, () => {
      isOver = true;
      this.#wake();
    });
    let stopListening = () => {};
    try {
      while (!this.#isClosed) {
        // Armed before the look, so that what is added meanwhile wakes.
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        stopListening();
        stopListening = this.#feed.whenAdded(this.#wake);
        const before = this.#from;
        const frames = await this.#round();
        const hasMoved = isAhead(this.#from, before);
        if (frames.length > 0) return frames;
        if (isOver) return this.#setBack();
        if (!hasMoved || !this.#feed.isBehind(this.#from)) await woken;
      }
      return [];
    } finally {
      stopTimer();
      stopListening();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#feed.forget(this);
    this.#wake();
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timers.after(this.#feed.restMs, resolve);
    });
  }

  /** Nothing came for long: what would come next may never have its number. */
  #setBack(): EventFrame[] {
    const shards = this.#feed.logs.length;
    const gone = this.#feed.notGiven(this.#from, (log) => log.isCurrent());
    return gone.map(({ shard, next }) => {
      const after = (this.#from[shard] ?? 1) - 1;
      this.#from[shard] = next;
      return gapFrame(this.#from, { shard, shards, after, first: next });
    });
  }

  async #round(): Promise<EventFrame[]> {
    const round = await this.#feed.read(this.#from, this.#wanted, roundEventsMax);
    this.#isBehind = round.events.length >= roundEventsMax;
    const frames: EventFrame[] = [];
    const shards = this.#feed.logs.length;
    round.events.forEach(({ shard, event }, i) => {
      frames.push(frameOf(event, { shard, shards, position: round.positions[i] ?? [] }));
    });
    this.#from = [...round.ends];
    for (const { shard, first } of round.gaps) {
      const after = (this.#from[shard] ?? 1) - 1;
      this.#from[shard] = first;
      if (!this.#isLenient) frames.push(gapFrame(this.#from, { shard, shards, after, first }));
    }
    if (round.gaps.length === 0) this.#isLenient = false;
    return frames;
  }
}

function notGivenError(
  from: readonly number[],
  { shard, next }: { readonly shard: number; readonly next: number },
): CorvoError {
  const asked = (from[shard] ?? 1) - 1;
  return new CorvoError(
    "EVENTS_GONE",
    `event ${asked} does not exist; the last one is ${next - 1}. The cluster was recovered from older data.`,
    { details: { first: next, ...(from.length === 1 ? {} : { shard }) } },
  );
}

function frameOf(
  event: LifecycleEvent,
  { shard, shards, position }: { shard: number; shards: number; position: readonly number[] },
): EventFrame {
  const head = JSON.stringify(eventFields(event, shard, shards));
  // A line break in JSON is only ever between its parts, and would end the line of the stream.
  const data = event.data?.replaceAll(/[\r\n]/g, " ");
  const text = data === undefined ? head : `${head.slice(0, -1)},"data":${data}}`;
  return { id: cursorOf(position), type: event.type, text };
}

/** An event as it is shown, but for its data. */
export function eventFields(
  { number, type, seq, createdAtMs, queue, atMs, attempt }: LifecycleEvent,
  shard: number,
  shards: number,
) {
  return {
    seq: number,
    type: type as string,
    ...(seq === 0 ? {} : { job_id: formatJobId(seq, createdAtMs, shard) }),
    queue,
    // Thirteen digits and six zeros: exact, although it is beyond the whole numbers that a double holds one by one.
    at_ns: atMs * 1_000_000,
    ...(attempt === 0 ? {} : { attempt }),
    ...(shards === 1 ? {} : { shard }),
  };
}

function gapFrame(
  position: readonly number[],
  { shard, shards, after, first }: { shard: number; shards: number; after: number; first: number },
): EventFrame {
  const where = shards === 1 ? {} : { shard };
  const what = first > after ? { missed: first - 1 - after } : { reset: true };
  const data = { after, first, ...what };
  const text = JSON.stringify({ seq: first - 1, type: "gap", ...where, data });
  return { id: cursorOf(position), type: "gap", text };
}

function isAhead(position: readonly number[], of: readonly number[]): boolean {
  return position.some((number, shard) => number > (of[shard] ?? 0));
}

/** The text for a position that is given by the numbers of the next events. */
function cursorOf(position: readonly number[]): string {
  return formatCursor(position.map((number) => number - 1));
}

function goneError(position: readonly number[], gap: { shard: number; first: number }): CorvoError {
  const asked = position[gap.shard] ?? 0;
  return new CorvoError(
    "EVENTS_GONE",
    `event ${asked} is not kept any more; the oldest is ${gap.first}`,
    { details: { first: gap.first, ...(position.length === 1 ? {} : { shard: gap.shard }) } },
  );
}

function isNamed(
  { created }: Wanted,
  shard: number,
  { seq, createdAtMs }: LifecycleEvent,
): boolean {
  return created === undefined || created.get(`${shard} ${seq}`) === createdAtMs;
}

function wantedOf(query: FilterQuery, shards: number): Wanted {
  const types = namesOf(query.types)?.map(typeOf);
  const queues = namesOf(query.queues);
  const jobs = namesOf(query.job_ids)?.map(jobOf);
  const common = {
    ...(types === undefined ? {} : { types: new Set(types.filter((type) => type !== undefined)) }),
    ...(queues === undefined ? {} : { queues: new Set(queues) }),
  };
  if (jobs === undefined) return { filters: Array(shards).fill(common), created: undefined };
  const seqs = Array.from({ length: shards }, () => new Set<number>());
  for (const { shard, seq } of jobs) seqs[shard]?.add(seq);
  return {
    filters: seqs.map((ofShard) => ({ ...common, seqs: ofShard })),
    created: new Map(jobs.map(({ shard, seq, createdAtMs }) => [`${shard} ${seq}`, createdAtMs])),
  };
}

function namesOf(text: string | undefined): string[] | undefined {
  const names = (text ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return names.length === 0 ? undefined : names;
}

function typeOf(name: string): EventType | undefined {
  if (Object.hasOwn(eventTable, name)) return name as EventType;
  if (silentTypes.includes(name)) return undefined;
  throw new CorvoError("VALIDATION_ERROR", `types: "${shorten(name)}" is no type of event`, {
    hint: `There are ${Object.keys(eventTable).join(", ")}.`,
  });
}

function jobOf(id: string) {
  const parsed = parseJobId(id);
  if (parsed !== undefined) return parsed;
  throw new CorvoError("VALIDATION_ERROR", `job_ids: "${shorten(id)}" is no id of a job`);
}
