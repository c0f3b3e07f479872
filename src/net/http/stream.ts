/**
 * One streaming connection: frames in, answers and pushes out, over a WebSocket (`docs/spec/streaming.md`).
 *
 * Answers and pushes go out in the order in which they come. Those that come together, because one durable step finished
 * them, are written to the socket together: the outbox is flushed once per microtask turn, under one cork. Nothing is allocated
 * per frame beyond the parsed frame and the session's promise.
 *
 * Bounds: a frame by the body bound, frames in flight by `streamFramesMax`, unsent bytes by `streamBufferBytesMax`
 * (beyond it the runtime closes the socket, and the leases come back when they end).
 */
import { ClientFrame, type StreamService, type StreamSession } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Timers } from "../../base/ports.ts";
import { type Admission, stopping } from "./admission.ts";
import { BodyParser } from "./body.ts";
import type { Drain } from "./drain.ts";
import type { Leadership, LeaderWatch } from "./leader-watch.ts";
import type { HttpLimits } from "./limits.ts";
import { errorBody } from "./reply.ts";
import { StreamDrain } from "./stream-drain.ts";
import { type ProxyTarget, StreamProxy } from "./stream-proxy.ts";
import {
  type ClientSocket,
  closeCodes,
  cutReason,
  leaveMs,
  type OpenStream,
} from "./stream-socket.ts";

/** Frames above this many characters count towards the bytes of all bodies being served. */
const largeFrameLength = 64 * 1024;

/** So many characters do not wait for more: the runtime joins what is sent under one cork up to 16 KiB. */
const corkLengthMax = 8 * 1024;

export interface StreamDeps {
  readonly stream: StreamService;
  readonly limits: HttpLimits;
  readonly admission: Admission;
  readonly timers: Timers;
  readonly leadership: Leadership;
  readonly watch: LeaderWatch;
  readonly drain: Drain;
  readonly explain: (thrown: unknown) => CorvoError;
}

/** The open connections of one server. */
export class StreamConnections {
  readonly #open = new Set<OpenStream>();
  readonly #deps: StreamDeps;
  readonly #parser: BodyParser;

  constructor(deps: StreamDeps) {
    this.#deps = deps;
    this.#parser = new BodyParser(ClientFrame, { root: "the frame", knowsAll: false }, deps.limits);
  }

  get size(): number {
    return this.#open.size;
  }

  /** A connection for a socket that is about to be opened, to one shard where `part` is that. Throws when there are too many. */
  create(
    { isPassedOn }: { readonly isPassedOn: boolean },
    part?: Pick<StreamDeps, "stream" | "leadership">,
  ): OpenStream {
    this.#admit();
    const watched = isPassedOn ? undefined : new StreamDrain(this.#deps.drain);
    const kept = { siblings: this.#open, drain: watched };
    return new StreamConnection({ ...this.#deps, ...part }, this.#parser, kept);
  }

  /** The same for a socket whose frames the leader answers. */
  createProxy(target: ProxyTarget): StreamProxy {
    this.#admit();
    const { watch, timers, limits } = this.#deps;
    const bufferBytesMax = limits.streamBufferBytesMax;
    const drain = new StreamDrain(this.#deps.drain);
    return new StreamProxy({ target, watch, timers, bufferBytesMax, drain, siblings: this.#open });
  }

  #admit(): void {
    const { streamsMax } = this.#deps.limits;
    if (this.#deps.admission.closing) throw stopping();
    if (this.#open.size >= streamsMax) {
      throw new CorvoError(
        "UNAVAILABLE",
        `${this.#open.size} streaming connections are open; the limit streamsMax is ${streamsMax}`,
      );
    }
  }

  /** Asks every client to finish and connect elsewhere. */
  announceClosing(): void {
    for (const connection of this.#open) connection.announceClosing();
  }

  closeAll(): void {
    for (const connection of this.#open) connection.end(closeCodes.goingAway, "server shut down");
  }
}

class StreamConnection implements OpenStream {
  readonly #deps: StreamDeps;
  readonly #parser: BodyParser;
  readonly #siblings: Set<OpenStream>;
  readonly #drain: StreamDrain | undefined;
  #socket: ClientSocket | undefined;
  #session: StreamSession | undefined;
  #framesInFlight = 0;
  #outbox: string[] = [];
  /** Characters in it. */
  #outboxLength = 0;
  /** True while the socket's buffer holds unsent bytes. */
  #full = false;
  #stopWatching: () => void = () => {};
  #stopLeaving: () => void = () => {};

  /** Without `drain` it comes from another node, and this one's draining does not concern it. */
  constructor(
    deps: StreamDeps,
    parser: BodyParser,
    { siblings, drain }: { siblings: Set<OpenStream>; drain: StreamDrain | undefined },
  ) {
    this.#deps = deps;
    this.#parser = parser;
    this.#siblings = siblings;
    this.#drain = drain;
  }

  opened(socket: ClientSocket): void {
    this.#socket = socket;
    this.#siblings.add(this);
    const { leadership, watch } = this.#deps;
    this.#stopWatching = watch.whenOver(
      () => leadership.isLeader(),
      () => {
        this.announceClosing();
        this.end(closeCodes.restart, "connect again: this node does not lead any more");
      },
    );
    try {
      this.#session = this.#deps.stream.open((text) => this.#push(text), this.#drain === undefined);
      this.#drain?.opened(watch, (reason) => this.#askToLeave(reason));
      if (this.#drain?.mayClaim === false) this.#session.stopClaiming();
    } catch (thrown) {
      this.end(closeCodes.failed, this.#deps.explain(thrown).message);
    }
  }

  received(message: string | Buffer): void {
    if (typeof message !== "string") {
      this.end(closeCodes.binary, "binary frames are not understood; send JSON as text");
      return;
    }
    let id: number | undefined;
    try {
      const value = this.#parser.parseText(message);
      id = idOf(value);
      if (id === undefined) {
        this.end(closeCodes.noId, "a frame is a JSON object with an integer id of 0 or more");
        return;
      }
      this.#admitFrame();
      this.#parser.check(message, value);
      this.#run(value as ClientFrame, message.length);
    } catch (thrown) {
      const error = this.#deps.explain(thrown);
      if (id === undefined) this.end(closeCodes.notJson, error.message);
      else this.#answer(JSON.stringify({ id, ...errorBody(error) }));
    }
  }

  drained(): void {
    this.#full = false;
    this.#session?.drained();
  }

  closed(): void {
    this.#siblings.delete(this);
    this.#drain?.closed();
    this.#stopWatching();
    this.#stopLeaving();
    this.#socket = undefined;
    this.#outbox = [];
    this.#outboxLength = 0;
    this.#session?.close();
    this.#session = undefined;
  }

  /** Not one more job; what is on its way in either direction has a moment. */
  #askToLeave(reason: string): void {
    this.#session?.stopClaiming();
    this.announceClosing();
    this.#stopLeaving = this.#deps.timers.after(leaveMs, () =>
      this.end(closeCodes.restart, `connect again: ${reason}`),
    );
  }

  announceClosing(): void {
    this.#flush();
    this.#send('{"closing":true}');
  }

  end(code: number, reason: string): void {
    this.#flush();
    this.#socket?.close(code, cutReason(reason));
  }

  #admitFrame(): void {
    const { streamFramesMax } = this.#deps.limits;
    if (this.#framesInFlight < streamFramesMax) return;
    throw new CorvoError(
      "OVERLOADED",
      `${this.#framesInFlight} frames of this connection are not answered yet; the limit streamFramesMax is ${streamFramesMax}`,
      { retryAfterMs: 10 },
    );
  }

  #run(frame: ClientFrame, length: number): void {
    const session = this.#session;
    if (session === undefined) return;
    if (length < largeFrameLength) {
      this.#framesInFlight++;
      session.frame(frame).then(this.#finished, this.#failed);
      return;
    }
    const { admission } = this.#deps;
    admission.takeBytes(length);
    this.#framesInFlight++;
    session
      .frame(frame)
      .finally(() => {
        admission.bodyBytes -= length;
      })
      .then(this.#finished, this.#failed);
  }

  readonly #finished = (text: string): void => {
    this.#framesInFlight--;
    this.#answer(text);
  };

  /** A session answers every frame, so this is a fault: the client cannot know what happened to its frame. */
  readonly #failed = (thrown: unknown): void => {
    this.#framesInFlight--;
    this.end(closeCodes.failed, this.#deps.explain(thrown).message);
  };

  /** Small texts go with what else is said in this turn, so whether they filled the buffer may be known at the next one only. */
  #push(text: string): boolean {
    this.#answer(text);
    if (this.#outboxLength >= corkLengthMax) this.#flush();
    return !this.#full;
  }

  #answer(text: string): void {
    if (this.#socket === undefined) return;
    this.#outboxLength += text.length;
    if (this.#outbox.push(text) === 1) queueMicrotask(this.#flushLater);
  }

  readonly #flushLater = (): void => {
    // One more turn lets the other answers of the same durable step join.
    queueMicrotask(this.#flush);
  };

  readonly #flush = (): void => {
    if (this.#outbox.length === 0 || this.#socket === undefined) return;
    if (this.#outbox.length === 1) this.#sendOutbox();
    else this.#socket.cork(this.#sendOutbox);
  };

  readonly #sendOutbox = (): void => {
    const texts = this.#outbox;
    this.#outbox = [];
    this.#outboxLength = 0;
    for (const text of texts) this.#send(text);
  };

  #send(text: string): void {
    if (this.#socket === undefined) return;
    const sent = this.#socket.send(text);
    // -1: kept in the buffer, which is not empty; 0: not sent at all, so the client would wait in vain.
    if (sent === -1) this.#full = true;
    if (sent === 0) this.#socket.terminate();
  }
}

function idOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const id = (value as { readonly id?: unknown }).id;
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}
