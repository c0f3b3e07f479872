/**
 * One WebSocket that is kept up: connects, notices when it is dead, and connects again for as long as it is wanted.
 *
 * idle -start-> connecting -open-> open -lost-> waiting -backoff over-> connecting … and -close-> closed from anywhere.
 * A connection that says nothing for `silentMs` is sent a ping frame; one that stays silent as long again is dropped, since
 * a peer that lost power or a forgotten NAT entry closes nothing. Silence is counted in ticks of a timer and not from a clock,
 * so that a process which was itself stopped for a minute does not blame its peer when it goes on.
 */
import type { Random, Timers } from "../base/ports.ts";
import type { ServerList } from "./servers.ts";

/** What is needed of a WebSocket; the runtime's own class fits. */
export interface Socket {
  send(text: string): unknown;
  close(code?: number, reason?: string): void;
  /** Drops the connection without a closing handshake. */
  terminate(): void;
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

interface SocketEvent {
  readonly data?: unknown;
  readonly message?: string;
  readonly code?: number;
  readonly reason?: string;
}

export type SocketConstructor = new (
  url: string,
  options: { headers: Record<string, string>; perMessageDeflate: false },
) => Socket;

export interface ConnectionOptions {
  /** One after the other is tried, whenever a connection is lost or cannot be made. */
  readonly servers: ServerList;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly WebSocket: SocketConstructor;
  readonly timers: Timers;
  readonly random: Random;
  /** Silence after which a ping is sent, and again after which the connection is dropped. Default 5 s. */
  readonly silentMs?: number | undefined;
  /** First and longest wait before another try. Default 100 ms and 5 s. */
  readonly backoffMs?: number | undefined;
  readonly backoffMsMax?: number | undefined;
}

export interface Loss {
  readonly reason: string;
  /** The one that was lost. */
  readonly server: string;
  /** The next try starts after so long. */
  readonly retryMs: number;
  /** Close code of the WebSocket; undefined when it was given up here. */
  readonly code: number | undefined;
}

export interface ConnectionEvents {
  opened(): void;
  text(text: string): void;
  /** The connection is gone or could not be made. */
  lost(loss: Loss): void;
}

/** A frame without operations; the server answers it with the same id. */
const pingText = '{"id":0}';
const ticksPerSilence = 5;
const silentMsDefault = 5000;

export class StreamConnection {
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  #state: "idle" | "connecting" | "open" | "waiting" | "closed" = "idle";
  #socket: Socket | undefined;
  #failures = 0;
  /** What they were when this connection was begun. */
  #failuresBefore = 0;
  #openTicks = 0;
  #silentTicks = 0;
  #stopTimer: () => void = () => {};

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  start(): void {
    if (this.#state === "idle") this.#connect();
  }

  /** Only while open. */
  send(text: string): void {
    this.#socket?.send(text);
  }

  /**
   * Gives this connection up and makes another one. A server that asks for that as soon as a connection is made, as one that drains
   * does with clients that know no other, did not serve: they must not come back ten times a second.
   */
  cycle(reason: string): void {
    if (this.#state !== "open") return;
    if (this.#openTicks < ticksPerSilence) this.#failures = this.#failuresBefore;
    this.#lose(reason);
  }

  close(): void {
    if (this.#state === "closed") return;
    const socket = this.#state === "open" ? this.#socket : undefined;
    this.#state = "closed";
    this.#stopTimer();
    if (socket === undefined) this.#socket?.terminate();
    else socket.close(1000, "done");
    this.#socket = undefined;
  }

  #connect(): void {
    this.#state = "connecting";
    this.#failuresBefore = this.#failures;
    this.#openTicks = 0;
    this.#silentTicks = 0;
    this.#tickLater();
    let socket: Socket;
    try {
      socket = new this.#options.WebSocket(webSocketUrl(this.#options), {
        headers: this.#options.headers,
        perMessageDeflate: false,
      });
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#socket = socket;
    // Events of a socket that was given up meanwhile mean nothing any more.
    const whenCurrent = (react: (event: SocketEvent) => void) => (event: SocketEvent) => {
      if (this.#socket === socket) react(event);
    };
    let problem = "";
    socket.addEventListener(
      "open",
      whenCurrent(() => this.#open()),
    );
    socket.addEventListener(
      "message",
      whenCurrent((event) => this.#message(event.data)),
    );
    socket.addEventListener(
      "error",
      whenCurrent((event) => {
        problem = event.message ?? "";
      }),
    );
    socket.addEventListener(
      "close",
      whenCurrent((event) => this.#lose(closeReason(event, problem), event.code)),
    );
  }

  #open(): void {
    this.#state = "open";
    this.#silentTicks = 0;
    this.#events.opened();
  }

  #message(data: unknown): void {
    this.#silentTicks = 0;
    // Only an answer proves that the server works; one that accepts and closes at once keeps the backoff growing.
    this.#failures = 0;
    if (typeof data === "string") this.#events.text(data);
  }

  #lose(reason: string, code?: number): void {
    this.#stopTimer();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#state = "waiting";
    socket?.terminate();
    const server = this.#options.servers.current;
    this.#options.servers.moveOn();
    const retryMs = this.#nextBackoffMs();
    this.#stopTimer = this.#options.timers.after(retryMs, () => this.#connect());
    this.#events.lost({ reason, server, retryMs, code });
  }

  /** Doubles from round to round of the servers; the upper half is random so that many clients of one server do not come back together. */
  #nextBackoffMs(): number {
    const firstMs = this.#options.backoffMs ?? 100;
    const maxMs = this.#options.backoffMsMax ?? 5000;
    const rounds = Math.floor(this.#failures / this.#options.servers.count);
    const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(rounds, 20));
    this.#failures++;
    return Math.round((fullMs / 2) * (1 + this.#options.random.uint32() / 2 ** 32));
  }

  #tickLater(): void {
    const silentMs = this.#options.silentMs ?? silentMsDefault;
    this.#stopTimer = this.#options.timers.after(silentMs / ticksPerSilence, () => this.#tick());
  }

  #tick(): void {
    this.#silentTicks++;
    if (this.#state === "open") this.#openTicks++;
    if (this.#silentTicks >= 2 * ticksPerSilence) {
      const silentMs = 2 * (this.#options.silentMs ?? silentMsDefault);
      const doing = this.#state === "open" ? "answered nothing" : "did not accept the connection";
      this.#lose(`the server ${doing} for ${silentMs} ms`);
      return;
    }
    if (this.#state === "open" && this.#silentTicks === ticksPerSilence) this.send(pingText);
    this.#tickLater();
  }
}

function webSocketUrl({ servers, path }: ConnectionOptions): string {
  return servers.current.replace(/^http/, "ws") + path;
}

function closeReason(event: SocketEvent, problem: string): string {
  if (event.reason !== undefined && event.reason !== "") return event.reason;
  if (problem !== "") return problem;
  return `the connection was closed (code ${event.code ?? "none"})`;
}
