/**
 * The letter box between this shard and the others. What a change means for another shard is written down in this one's state, in
 * the same batch, so it is as durable as its cause. Whoever leads the other shard reads it in its own copy of this state and
 * proposes to take it there (`replica/post-office.ts`); once it is taken, it is forgotten here.
 *
 * Messages to one shard are numbered from 1. The receiver keeps the number that it has taken last from each sender, and passes over
 * what it has: so each message takes effect once and in order, however often it is brought. A gap can only be what an emergency
 * recovery left of a state; the receiver goes on behind it.
 *
 * A batch collects its messages and stores them at its end: first those in the order of their writing, then jobs that join batches,
 * then counts. Counts come last because a step of a chain that ends must be known before it is subtracted: the step that follows is
 * counted first, so that no batch seems to have ended in between.
 */
import type { Mail, Tally } from "./mail.ts";
import type { RecordTable } from "./records.ts";

/** How far the messages to one shard, or from one, have come. */
export interface PostMark {
  /** Number of the last message written to it. */
  readonly sent: number;
  /** Number of the last message that was taken from it. */
  readonly taken: number;
}

interface Box {
  /** Number of the first of `mails`. */
  first: number;
  mails: Mail[];
}

type Place = keyof Tally;
const noTally: Tally = { total: 0, pending: 0, completed: 0, dead: 0, cancelled: 0 };

export class Post {
  readonly #mail: RecordTable<Mail>;
  readonly #marks: RecordTable<PostMark>;
  readonly #boxes = new Map<number, Box>();
  /** Messages of the batch that is being applied; of several questions about one job the last is enough. */
  #fresh: { readonly to: number; mail: Mail }[] = [];
  readonly #freshWatches = new Map<string, number>();
  readonly #joins = new Map<string, { readonly to: number; readonly jobs: number[] }>();
  readonly #parts: { readonly to: number; readonly batch: string }[] = [];
  readonly #counts = new Map<string, { to: number; batch: string; by: Record<Place, number> }>();
  #size = 0;
  /** Something was written, taken or forgotten since this was last set to false. */
  hasMoved = false;

  constructor(mail: RecordTable<Mail>, marks: RecordTable<PostMark>) {
    this.#mail = mail;
    this.#marks = marks;
    const stored = [...mail.entries()].map(([key, one]) => {
      const [to = 0, seq = 0] = key.split(".").map(Number);
      return { to, seq, mail: one };
    });
    for (const { to, seq, mail } of stored.sort((one, other) => one.seq - other.seq)) {
      this.#boxOf(to, seq).mails.push(mail);
    }
    this.#size = stored.length;
  }

  /** Messages that were not taken yet, as far as is known here. */
  get size(): number {
    return this.#size;
  }

  /** Shards for which there is something. */
  destinations(): Iterable<number> {
    return this.#boxes.keys();
  }

  /** Number of the last message that was taken from a shard. */
  takenFrom(shard: number): number {
    return this.#markOf(shard).taken;
  }

  /** Number of the last message that was written to a shard. */
  sentTo(shard: number): number {
    return this.#markOf(shard).sent;
  }

  /** The number of the oldest message to a shard that is not forgotten; undefined when there is none. */
  firstTo(shard: number): number | undefined {
    return this.#boxes.get(shard)?.first;
  }

  /** Messages to a shard after a number, the oldest first; with the number of the first. */
  after(shard: number, seq: number, most: number): { first: number; mails: readonly Mail[] } {
    const box = this.#boxes.get(shard);
    if (box === undefined) return { first: seq + 1, mails: [] };
    const skip = Math.max(0, seq + 1 - box.first);
    return { first: box.first + skip, mails: box.mails.slice(skip, skip + most) };
  }

  send(to: number, mail: Mail): void {
    if (mail.kind === "watch" && mail.again === undefined) {
      const key = mail.id;
      const at = this.#freshWatches.get(key);
      const known = at === undefined ? undefined : this.#fresh[at];
      if (known !== undefined) {
        known.mail = mail;
        return;
      }
      this.#freshWatches.set(key, this.#fresh.length);
    } else if (mail.kind === "unwatch") {
      this.#freshWatches.delete(mail.id);
    }
    this.#fresh.push({ to, mail });
  }

  /** A new job wants to be counted in a batch. */
  join(to: number, batch: string, job: number): void {
    const known = this.#joins.get(batch);
    if (known === undefined) this.#joins.set(batch, { to, jobs: [job] });
    else known.jobs.push(job);
  }

  /** The jobs of a call that have joined are all there are of it here. */
  endPart(to: number, batch: string): void {
    this.#parts.push({ to, batch });
  }

  /** A job of a batch went from one of its counts to another; from none, it is new, and to none it never was. */
  count(to: number, batch: string, move: { readonly from?: Place; readonly to?: Place }): void {
    const key = `${to} ${batch}`;
    const found = this.#counts.get(key) ?? { to, batch, by: { ...noTally } };
    this.#counts.set(key, found);
    if (move.from === undefined) found.by.total++;
    else found.by[move.from]--;
    if (move.to === undefined) found.by.total--;
    else found.by[move.to]++;
  }

  /** Passes on what another shard says about the counts of a batch. */
  passOn(to: number, batch: string, by: Tally): void {
    const key = `${to} ${batch}`;
    const found = this.#counts.get(key) ?? { to, batch, by: { ...noTally } };
    this.#counts.set(key, found);
    for (const place of Object.keys(noTally) as Place[]) found.by[place] += by[place];
  }

  /** Begins anew with all shards: what was written and not taken is gone. */
  forgetAll(): void {
    for (const [to, { first, mails }] of this.#boxes) {
      for (let i = 0; i < mails.length; i++) this.#mail.delete(keyOf(to, first + i));
    }
    for (const key of [...this.#marks.entries()].map(([shard]) => shard)) this.#marks.delete(key);
    this.#boxes.clear();
    this.#size = 0;
    this.hasMoved = true;
  }

  /** Stores what the batch has written. */
  endBatch(): void {
    for (const { to, mail } of this.#fresh) this.#store(to, mail);
    for (const [batch, { to, jobs }] of this.#joins) this.#store(to, { kind: "join", batch, jobs });
    for (const { to, batch } of this.#parts) this.#store(to, { kind: "partDone", batch });
    for (const { to, batch, by } of this.#counts.values()) {
      if (Object.values(by).some((change) => change !== 0)) {
        this.#store(to, { kind: "count", batch, by });
      }
    }
    if (this.#fresh.length > 0) this.#fresh = [];
    this.#parts.length = 0;
    for (const map of [this.#freshWatches, this.#joins, this.#counts]) map.clear();
  }

  /** Notes that the messages of a shard up to a number have been taken. */
  take(from: number, through: number): void {
    this.#marks.put(String(from), { ...this.#markOf(from), taken: through });
    this.hasMoved = true;
  }

  /** Forgets the messages to a shard up to a number: it has taken them. */
  forget(to: number, through: number): void {
    const mark = this.#markOf(to);
    // After an emergency recovery of this state the other one may have taken more than this one remembers to have sent.
    if (mark.sent < through) this.#marks.put(String(to), { ...mark, sent: through });
    const box = this.#boxes.get(to);
    if (box === undefined) return;
    const count = Math.min(box.mails.length, through + 1 - box.first);
    for (let i = 0; i < count; i++) this.#mail.delete(keyOf(to, box.first + i));
    if (count <= 0) return;
    this.#size -= count;
    box.first += count;
    box.mails = box.mails.slice(count);
    if (box.mails.length === 0) this.#boxes.delete(to);
    this.hasMoved = true;
  }

  #store(to: number, mail: Mail): void {
    const mark = this.#markOf(to);
    const seq = mark.sent + 1;
    this.#marks.put(String(to), { ...mark, sent: seq });
    this.#mail.put(keyOf(to, seq), mail);
    this.#boxOf(to, seq).mails.push(mail);
    this.#size++;
    this.hasMoved = true;
  }

  #markOf(shard: number): PostMark {
    return this.#marks.get(String(shard)) ?? { sent: 0, taken: 0 };
  }

  #boxOf(to: number, seq: number): Box {
    const known = this.#boxes.get(to);
    if (known !== undefined) return known;
    const box: Box = { first: seq, mails: [] };
    this.#boxes.set(to, box);
    return box;
  }
}

function keyOf(to: number, seq: number): string {
  return `${to}.${seq}`;
}
