/**
 * A streaming connection on a node that does not lead: every frame goes to the leader as it came, and every frame of the
 * leader comes back as it is. The pair lives as long as that node leads; then the client is told to connect again, with
 * `closing` and close code 1012, since its credits and the leases it hears of belong to a session there.
 *
 * Neither socket can be told to read slower, so each direction is bounded instead: what the slower side has not taken
 * beyond `streamBufferBytesMax` ends the connection. Frames in flight and credits keep an honest client far below it.
 */
import type { Timers } from "../../base/ports.ts";
import type { LeaderWatch } from "./leader-watch.ts";
import { type ClientSocket, closeCodes, cutReason, type OpenStream } from "./stream-socket.ts";

export interface ProxyTarget {
  /** `ws://` or `wss://` address of the leader's streaming socket. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Does that node still lead? */
  readonly isLeader: () => boolean;
}

export interface StreamProxyDeps {
  readonly target: ProxyTarget;
  readonly watch: LeaderWatch;
  readonly timers: Timers;
  readonly bufferBytesMax: number;
  readonly siblings: Set<OpenStream>;
}

/** A leader that has not taken the connection by then is no good to the client. */
const openMsMax = 5000;

export class StreamProxy implements OpenStream {
  readonly #deps: StreamProxyDeps;
  #client: ClientSocket | undefined;
  #leader: WebSocket | undefined;
  #isOpen = false;
  /** Frames from before the leader took the connection. */
  #waiting: (string | Buffer)[] = [];
  #waitingBytes = 0;
  #stopWatching: () => void = () => {};
  #stopTimer: () => void = () => {};

  constructor(deps: StreamProxyDeps) {
    this.#deps = deps;
  }

  opened(client: ClientSocket): void {
    const { target, watch, timers, siblings } = this.#deps;
    this.#client = client;
    siblings.add(this);
    this.#stopWatching = watch.whenOver(target.isLeader, () => this.#turnAway("leader changed"));
    this.#stopTimer = timers.after(openMsMax, () => this.#turnAway("leader does not answer"));
    const leader = new WebSocket(target.url, {
      headers: { ...target.headers },
      perMessageDeflate: false,
    });
    leader.binaryType = "nodebuffer";
    this.#leader = leader;
    leader.addEventListener("open", () => this.#connected(leader));
    leader.addEventListener("message", (event) => this.#fromLeader(event.data as string | Buffer));
    leader.addEventListener("close", ({ code, reason }) => this.#leaderClosed(code, reason));
  }

  received(message: string | Buffer): void {
    const bytes = Buffer.byteLength(message);
    const behind = this.#isOpen ? (this.#leader?.bufferedAmount ?? 0) : this.#waitingBytes;
    if (behind + bytes > this.#deps.bufferBytesMax) {
      this.#turnAway("leader takes frames slower than they come");
    } else if (this.#isOpen) {
      this.#leader?.send(message);
    } else {
      // The runtime uses the memory of a binary message again.
      this.#waiting.push(typeof message === "string" ? message : Buffer.from(message));
      this.#waitingBytes += bytes;
    }
  }

  drained(): void {
    // The leader's session cannot be told; the bound on unsent bytes holds instead.
  }

  closed(): void {
    this.#deps.siblings.delete(this);
    this.#client = undefined;
    this.#dropLeader();
  }

  announceClosing(): void {
    this.#client?.send('{"closing":true}');
  }

  end(code: number, reason: string): void {
    this.#client?.close(code, cutReason(reason));
    this.#dropLeader();
  }

  #connected(leader: WebSocket): void {
    this.#stopTimer();
    this.#isOpen = true;
    for (const message of this.#waiting) leader.send(message);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #fromLeader(message: string | Buffer): void {
    // Not sent at all: the client would wait in vain.
    if (this.#client?.send(message) === 0) this.#client.terminate();
  }

  /** Codes for which there is no frame stand for a connection that broke. */
  #leaderClosed(code: number, reason: string): void {
    if (this.#leader === undefined) return;
    const isBroken = !this.#isOpen || code === 1005 || code === 1006 || code === 1015;
    if (isBroken) this.#turnAway("leader cannot be reached");
    else this.end(code, reason);
  }

  #turnAway(reason: string): void {
    this.announceClosing();
    this.end(closeCodes.restart, `connect again: the ${reason}`);
  }

  #dropLeader(): void {
    const leader = this.#leader;
    this.#leader = undefined;
    this.#isOpen = false;
    this.#waiting = [];
    this.#stopWatching();
    this.#stopTimer();
    leader?.close(1000);
  }
}
