/**
 * Life-cycle events as they happen, to readers over server-sent events or a WebSocket (`docs/reference/events.md`).
 *
 * A reader is only asked for more when its client has taken what it was sent, so a slow one costs the buffer of its socket
 * and no more; it is told by a `gap` when the node no longer keeps what comes next. A client that takes nothing at all is
 * disconnected by the runtime's idle time.
 */
import {
  type EventFeed,
  type EventFrame,
  type EventReader,
  EventsQuery,
} from "../../api/events.ts";
import { CorvoError } from "../../base/errors.ts";
import { type Admission, stopping } from "./admission.ts";
import { QueryParams, splitUrl } from "./input.ts";
import type { HttpLimits } from "./limits.ts";
import { corsHeaders } from "./reply.ts";
import { type ClientSocket, closeCodes, cutReason, type OpenStream } from "./stream-socket.ts";

/** A connection on which nothing happens gets a sign of life as often as clients of 0.3 know it; it says where it stands. */
const keepAliveMs = 15_000;

const encoder = new TextEncoder();

export interface EventStreamDeps {
  readonly feed: EventFeed;
  readonly limits: HttpLimits;
  readonly admission: Admission;
  readonly explain: (thrown: unknown, request?: Request) => CorvoError;
}

interface Closable {
  close(): void;
}

interface Surroundings {
  readonly siblings: Set<Closable>;
  readonly explain: EventStreamDeps["explain"];
}

/** The readers of one server. */
export class EventStreams {
  readonly #deps: EventStreamDeps;
  readonly #query = new QueryParams(EventsQuery, true);
  readonly #open = new Set<Closable>();

  constructor(deps: EventStreamDeps) {
    this.#deps = deps;
  }

  /** Answers with server-sent events. Throws when the query makes no sense or there are too many readers. */
  serve(request: Request): Response {
    const { explain } = this.#deps;
    const reader = this.#openReader(request);
    let body: ReadableStream<Uint8Array> | null = null;
    if (request.method === "HEAD") reader.close();
    else body = new SseStream(reader, { siblings: this.#open, explain }).body;
    return new Response(body, {
      headers: {
        ...corsHeaders,
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        // Proxies that collect answers would hold events back.
        "x-accel-buffering": "no",
      },
    });
  }

  /** The same for a WebSocket that is about to be opened. */
  createSocket(request: Request): OpenStream {
    const { explain } = this.#deps;
    return new EventSocket(this.#openReader(request), { siblings: this.#open, explain });
  }

  closeAll(): void {
    for (const stream of this.#open) stream.close();
  }

  #openReader(request: Request): EventReader {
    const { admission, limits, feed } = this.#deps;
    if (admission.closing) throw stopping();
    if (this.#open.size >= limits.eventReadersMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#open.size} readers of events are connected; the limit eventReadersMax is ${limits.eventReadersMax}`,
      );
    }
    const query = this.#query.parse(splitUrl(request.url).query) as EventsQuery;
    const resumed = request.headers.get("last-event-id");
    // A browser that connects again sends the header, with a URL that says where it began.
    return feed.open(
      resumed === null || resumed === "" ? query : { ...query, last_event_id: resumed },
    );
  }
}

/** One answer of server-sent events. */
class SseStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #reader: EventReader;
  readonly #siblings: Set<Closable>;
  readonly #explain: EventStreamDeps["explain"];
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isNew = true;

  constructor(reader: EventReader, { siblings, explain }: Surroundings) {
    this.#reader = reader;
    this.#siblings = siblings;
    this.#explain = explain;
    siblings.add(this);
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => this.#end(),
    });
  }

  /** The server stops: the client connects again, elsewhere if it can. */
  close(): void {
    const controller = this.#controller;
    this.#end();
    controller?.close();
  }

  async #pull(): Promise<void> {
    if (this.#isNew) {
      // The head of the answer goes out with the first bytes.
      this.#isNew = false;
      this.#writeKeepAlive();
      return;
    }
    try {
      const frames = await this.#reader.next(keepAliveMs);
      if (frames.length === 0) this.#writeKeepAlive();
      for (const frame of frames) this.#write(sseText(frame));
    } catch (thrown) {
      const { code, message } = this.#explain(thrown);
      this.#write(`:${code} ${message.replaceAll(/[\r\n]/g, " ")}\n\n`);
      this.close();
    }
  }

  #writeKeepAlive(): void {
    this.#write(`:keepalive ${this.#reader.position}\n\n`);
  }

  #write(text: string): void {
    this.#controller?.enqueue(encoder.encode(text));
  }

  #end(): void {
    this.#controller = undefined;
    this.#siblings.delete(this);
    this.#reader.close();
  }
}

/** In one piece: there are clients that forget half an event when the other half comes later. */
function sseText({ id, type, text }: EventFrame): string {
  return `id: ${id}\nevent: ${type}\ndata: ${text}\n\n`;
}

/** One WebSocket that is sent events, each a text message. */
class EventSocket implements OpenStream {
  readonly #reader: EventReader;
  readonly #siblings: Set<Closable>;
  readonly #explain: EventStreamDeps["explain"];
  #socket: ClientSocket | undefined;
  /** Resolved when the socket has sent what it kept. */
  #room: PromiseWithResolvers<void> | undefined;

  constructor(reader: EventReader, { siblings, explain }: Surroundings) {
    this.#reader = reader;
    this.#siblings = siblings;
    this.#explain = explain;
    siblings.add(this);
  }

  opened(socket: ClientSocket): void {
    this.#socket = socket;
    this.#run().catch((thrown) => this.end(closeCodes.failed, this.#explain(thrown).message));
  }

  received(): void {
    this.end(closeCodes.noId, "this socket only sends; the query says which events");
  }

  drained(): void {
    this.#room?.resolve();
  }

  closed(): void {
    this.#socket = undefined;
    this.#siblings.delete(this);
    this.#reader.close();
    this.#room?.resolve();
  }

  announceClosing(): void {}

  close(): void {
    if (this.#socket === undefined) this.closed();
    else this.end(closeCodes.goingAway, "connect again: the server stops");
  }

  end(code: number, reason: string): void {
    this.#socket?.close(code, cutReason(reason));
  }

  async #run(): Promise<void> {
    while (this.#socket !== undefined) {
      const frames = await this.#reader.next(keepAliveMs);
      for (const frame of frames) this.#send(frame);
      await this.#room?.promise;
      this.#room = undefined;
    }
  }

  #send({ id, text }: EventFrame): void {
    const sent = this.#socket?.send(`{"id":${JSON.stringify(id)},${text.slice(1)}`);
    // -1: kept in the buffer, which is not empty; 0: not sent at all, so the reader would miss it.
    if (sent === -1) this.#room ??= Promise.withResolvers<void>();
    if (sent === 0) this.#socket?.terminate();
  }
}
