/**
 * A streaming connection on a node that does not lead: every frame goes to the leader as it came, and every frame of the
 * leader comes back as it is. The client is let in once the leader has taken the connection. The pair lives as long as that
 * node leads; then the client is told to connect again, with `closing` and close code 1012, since its credits and the leases
 * it hears of belong to a session there.
 *
 * Neither socket can be told to read slower, so each direction is bounded instead: what the slower side has not taken
 * beyond `streamBufferBytesMax` ends the connection. Frames in flight and credits keep an honest client far below it.
 */
import { requestLimits } from "../../api/limits.ts";
import { rawTreeOf } from "../../api/operation.ts";
import { ClientFrame } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import { parseJson, stringifyJson } from "../../base/json.ts";
import type { Timers } from "../../base/ports.ts";
import type { LeaderWatch } from "./leader-watch.ts";
import type { StreamDrain } from "./stream-drain.ts";
import {
  type ClientSocket,
  closeCodes,
  cutReason,
  leaveMs,
  type OpenStream,
} from "./stream-socket.ts";

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
  readonly drain: StreamDrain;
  readonly siblings: Set<OpenStream>;
}

/** A leader that has not taken the connection by then is no good to the client. */
const connectMsMax = 5000;
const retryMs = 250;

export class StreamProxy implements OpenStream {
  readonly #deps: StreamProxyDeps;
  #client: ClientSocket | undefined;
  #leader: WebSocket | undefined;
  /** What the leader sent before the client was there. */
  #early: (string | Buffer)[] = [];
  #refuse: (reason: string) => void = () => {};
  #stopWatching: () => void = () => {};
  #stopTimer: () => void = () => {};
  #isLeaving = false;
  /** The next answer to the proxy's own frame is not the client's. */
  #awaitsTakeBack = false;

  constructor(deps: StreamProxyDeps) {
    this.#deps = deps;
  }

  /** Connects to the leader. Rejects with UNAVAILABLE, and then there is nothing to close. */
  connect(): Promise<void> {
    const { target, watch, timers, drain, siblings } = this.#deps;
    siblings.add(this);
    drain.opened(watch, (reason) => this.#askToLeave(reason));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#refuse = (reason) => {
      this.closed();
      const message = `no stream to the leader: ${reason}`;
      reject(new CorvoError("UNAVAILABLE", message, { retryAfterMs: retryMs }));
    };
    this.#stopWatching = watch.whenOver(target.isLeader, () =>
      this.#turnAway("the leader changed"),
    );
    this.#stopTimer = timers.after(connectMsMax, () =>
      this.#turnAway("the leader does not answer"),
    );
    const leader = new WebSocket(target.url, {
      headers: { ...target.headers },
      perMessageDeflate: false,
    });
    leader.binaryType = "nodebuffer";
    this.#leader = leader;
    leader.addEventListener("open", () => {
      this.#stopTimer();
      resolve();
    });
    leader.addEventListener("message", (event) => this.#fromLeader(event.data as string | Buffer));
    leader.addEventListener("close", ({ code, reason }) => this.#leaderClosed(code, reason));
    return promise;
  }

  opened(client: ClientSocket): void {
    this.#client = client;
    if (this.#leader === undefined) {
      this.#turnAway("the leader cannot be reached");
      return;
    }
    for (const message of this.#early.splice(0)) this.#fromLeader(message);
  }

  received(message: string | Buffer): void {
    const { drain, bufferBytesMax } = this.#deps;
    const behind = this.#leader?.bufferedAmount ?? 0;
    if (behind + Buffer.byteLength(message) > bufferBytesMax) {
      this.#turnAway("the leader takes frames slower than they come");
    } else {
      this.#leader?.send(drain.mayClaim && !this.#isLeaving ? message : withoutClaim(message));
    }
  }

  drained(): void {
    // The leader's session cannot be told; the bound on unsent bytes holds instead.
  }

  closed(): void {
    this.#deps.siblings.delete(this);
    this.#deps.drain.closed();
    this.#client = undefined;
    this.#dropLeader();
  }

  announceClosing(): void {
    this.#client?.send('{"closing":true}');
  }

  end(code: number, reason: string): void {
    if (this.#client === undefined) this.#refuse("the connection was closed");
    this.#client?.close(code, cutReason(reason));
    this.#dropLeader();
  }

  #fromLeader(message: string | Buffer): void {
    if (typeof message === "string") {
      if (this.#awaitsTakeBack && message === takeBackAnswer) {
        this.#awaitsTakeBack = false;
        return;
      }
      this.#deps.drain.note(message);
    }
    if (this.#client === undefined) this.#early.push(message);
    // Not sent at all: the client would wait in vain.
    else if (this.#client.send(message) === 0) this.#client.terminate();
  }

  /** Codes for which there is no frame stand for a connection that broke. */
  #leaderClosed(code: number, reason: string): void {
    if (this.#leader === undefined) return;
    const isBroken = this.#client === undefined || [1005, 1006, 1015].includes(code);
    if (isBroken) this.#turnAway("the leader cannot be reached");
    else this.end(code, reason);
  }

  /** Not one more job; what is on its way in either direction has a moment. */
  #askToLeave(reason: string): void {
    if (this.#client === undefined) {
      this.#refuse(reason);
      return;
    }
    this.#isLeaving = true;
    this.#awaitsTakeBack = true;
    this.#leader?.send(takeBack);
    this.announceClosing();
    this.#stopTimer = this.#deps.timers.after(leaveMs, () =>
      this.end(closeCodes.restart, `connect again: ${reason}`),
    );
  }

  #turnAway(reason: string): void {
    if (this.#client === undefined) {
      this.#refuse(reason);
      return;
    }
    this.announceClosing();
    this.end(closeCodes.restart, `connect again: ${reason}`);
  }

  #dropLeader(): void {
    const leader = this.#leader;
    this.#leader = undefined;
    this.#stopWatching();
    this.#stopTimer();
    leader?.close(1000);
  }
}

/**
 * Takes the client's credits back. Hardly a client has counted to this number; to one that uses it, this answer is worth the
 * same as its own, which is shown then.
 */
const takeBackId = Number.MAX_SAFE_INTEGER;
const takeBack = `{"id":${takeBackId},"claim":{"queues":["none"],"credits":0}}`;
const takeBackAnswer = `{"id":${takeBackId}}`;

const frameTree = rawTreeOf(ClientFrame);

/** A frame as it came but for its claim. What is no frame goes on as it is: the leader says what is wrong with it. */
function withoutClaim(message: string | Buffer): string | Buffer {
  if (typeof message !== "string" || !message.includes('"claim"')) return message;
  const parsed = parseJson(message, frameTree, requestLimits.jsonDepthMax);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) return message;
  if (!("claim" in parsed.value)) return message;
  const { claim: _, ...frame } = parsed.value;
  return stringifyJson(frame);
}
