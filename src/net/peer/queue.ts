/**
 * Messages that wait for one peer, bounded in number and in bytes.
 *
 * When it is full, the oldest message that consensus would send again by itself gives way: an old append or heartbeat is
 * worth less than a new one. A message that nobody repeats (a hand-over, a forwarded proposal) is let go only when there
 * is nothing else: then the new one is refused.
 */
import { entriesBytes, type Message, type MessageType } from "../../raft/message.ts";

interface Queued {
  readonly group: number;
  readonly message: Message;
  readonly bytes: number;
}

interface Run {
  readonly group: number;
  readonly messages: Message[];
}

const unrepeated: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgProp",
  "MsgSnap",
  "MsgTransferLeader",
  "MsgTimeoutNow",
  "MsgForgetLeader",
]);

/** What a message weighs besides its data: its fields in memory. */
const messageBytes = 128;

function weigh(message: Message): number {
  return messageBytes + entriesBytes(message.entries) + (message.snapshot?.data.length ?? 0);
}

export class MessageQueue {
  readonly #countMax: number;
  readonly #bytesMax: number;
  #items: (Queued | undefined)[] = [];
  /** Everything before it was taken or dropped. */
  #head = 0;
  #count = 0;
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Returns how many messages were lost by it: older ones, or this one. */
  push(group: number, message: Message): number {
    const bytes = weigh(message);
    if (bytes > this.#bytesMax) return 1;
    let dropped = 0;
    let from = this.#head;
    while (this.#isFullWith(bytes)) {
      from = this.#dropFirst(from);
      dropped += 1;
      // Nothing may give way: the new one does.
      if (from === -1) return dropped;
    }
    if (dropped > 0) this.#tidy();
    this.#items.push({ group, message, bytes });
    this.#count += 1;
    this.#bytes += bytes;
    return dropped;
  }

  /**
   * Removes the oldest messages, at least one if there is one, then as many as weigh at most `bytesMax`. Neighbours of one
   * group come as one run.
   */
  take(bytesMax: number): readonly Run[] {
    const runs: Run[] = [];
    let taken = 0;
    for (; this.#head < this.#items.length; this.#head += 1) {
      const item = this.#items[this.#head];
      if (item === undefined) continue;
      if (taken > 0 && taken + item.bytes > bytesMax) break;
      this.#items[this.#head] = undefined;
      this.#count -= 1;
      this.#bytes -= item.bytes;
      taken += item.bytes;
      const last = runs.at(-1);
      if (last?.group === item.group) last.messages.push(item.message);
      else runs.push({ group: item.group, messages: [item.message] });
    }
    this.#tidy();
    return runs;
  }

  clear(): number {
    const count = this.#count;
    this.#items = [];
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
    return count;
  }

  #isFullWith(bytes: number): boolean {
    return this.#count >= this.#countMax || this.#bytes + bytes > this.#bytesMax;
  }

  /** Drops the first repeatable message from `position` on; returns where to look next, -1 when there was none. */
  #dropFirst(position: number): number {
    for (let at = position; at < this.#items.length; at += 1) {
      const item = this.#items[at];
      if (item === undefined || unrepeated.has(item.message.type)) continue;
      this.#items[at] = undefined;
      this.#count -= 1;
      this.#bytes -= item.bytes;
      return at + 1;
    }
    return -1;
  }

  /** Gives empty places back now and then, so that the array stays about as long as the queue. */
  #tidy(): void {
    while (this.#head < this.#items.length && this.#items[this.#head] === undefined)
      this.#head += 1;
    if (this.#items.length < 1024 + 2 * this.#count) return;
    this.#items = this.#items.filter((item) => item !== undefined);
    this.#head = 0;
  }
}
