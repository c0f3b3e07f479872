/**
 * A streaming session with a shard on the node that leads it, over the streaming socket of that node. Frames get numbers of
 * their own on the way. When the connection ends, what was not sent is answered UNAVAILABLE and what was sent
 * OUTCOME_UNKNOWN; a new session has to be opened then.
 */
import { shardHeader } from "../../api/shard-header.ts";
import { type ClientFrame, type StreamSession, streamPath } from "../../api/stream.ts";
import { stringifyJson } from "../../base/json.ts";
import { forwardedHeader } from "../../net/http/hops.ts";
import { systemTimers } from "../_shared/system.ts";

interface Events {
  readonly push: (text: string) => void;
  readonly lost: () => void;
}

interface Waiting {
  /** The number that the frame came with. */
  readonly id: number;
  readonly resolve: (text: string) => void;
}

/** A node that has not taken the connection by then does not lead for long. */
const connectMsMax = 5000;
const retryAfterMs = 200;

export function openRemoteStream(
  target: { readonly url: string; readonly shard: number },
  events: Events,
): StreamSession {
  return new RemoteStream(target, events);
}

class RemoteStream implements StreamSession {
  readonly #socket: WebSocket;
  readonly #events: Events;
  readonly #url: string;
  readonly #waiting = new Map<number, Waiting>();
  /** Frames for a connection that is not open yet. */
  #outbox: string[] = [];
  #nextId = 1;
  #isOpen = false;
  #isOver = false;
  readonly #stopTimer: () => void;

  constructor(target: { readonly url: string; readonly shard: number }, events: Events) {
    this.#events = events;
    this.#url = target.url;
    this.#socket = new WebSocket(target.url.replace(/^http/, "ws") + streamPath, {
      headers: { [shardHeader]: String(target.shard), [forwardedHeader]: "1" },
      perMessageDeflate: false,
    });
    this.#stopTimer = systemTimers.after(connectMsMax, () => this.#end());
    this.#socket.addEventListener("open", () => this.#opened());
    this.#socket.addEventListener("message", ({ data }) => this.#received(String(data)));
    this.#socket.addEventListener("close", () => this.#end());
  }

  frame(frame: ClientFrame): Promise<string> {
    return new Promise((resolve) => {
      if (this.#isOver) {
        resolve(this.#refusal(frame.id));
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { id: frame.id, resolve });
      const text = stringifyJson({ ...frame, id });
      if (this.#isOpen) this.#socket.send(text);
      else this.#outbox.push(text);
    });
  }

  /** What the other node pushes is bounded by the credits that it was lent. */
  drained(): void {}

  /** Its credits are lent by the session that it is a part of, which takes them back. */
  stopClaiming(): void {}

  close(): void {
    this.#end();
  }

  #opened(): void {
    this.#stopTimer();
    this.#isOpen = true;
    for (const text of this.#outbox.splice(0)) this.#socket.send(text);
  }

  #received(text: string): void {
    if (this.#isOver) return;
    const head = /^\{"id":(\d+)/.exec(text);
    if (head === null) {
      // That the other node stops is no matter of the worker: the shard gets another leader first.
      if (!text.startsWith('{"closing"')) this.#events.push(text);
      return;
    }
    const id = Number(head[1]);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(`{"id":${waiting.id}${text.slice(head[0].length)}`);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#socket.close();
    for (const { id, resolve } of this.#waiting.values()) resolve(this.#refusal(id));
    this.#waiting.clear();
    this.#events.lost();
  }

  #refusal(id: number): string {
    const isSent = this.#isOpen && this.#waiting.size > 0;
    if (isSent) {
      // Whether it may be sent again is not to be said: it may have happened.
      const error = `the connection to the leader at ${this.#url} broke before its answer`;
      return JSON.stringify({ id, error, code: "OUTCOME_UNKNOWN" });
    }
    const error = `the leader at ${this.#url} cannot be reached`;
    return JSON.stringify({ id, error, code: "UNAVAILABLE", retry_after_ms: retryAfterMs });
  }
}
