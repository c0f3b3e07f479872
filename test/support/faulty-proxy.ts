/**
 * A TCP proxy that behaves like a bad network, for anything that speaks over a socket.
 *
 * Each direction has its own faults, which apply to open connections and to later ones until they are changed:
 *
 * - `hold`: bytes stay where they are and the sender feels back-pressure, as in a partition that heals: set it back and
 *   they arrive.
 * - `swallow`: bytes are read and thrown away, as by a firewall that forgot the connection. A connection that lost bytes
 *   never gets well: later bytes would not be what was sent, so it goes on losing all of them.
 * - `delayMs`: every chunk arrives that much later, in order.
 * - `corrupt`: called with each chunk to change its bytes (or only to look at them), the position of the first one in
 *   the stream, and the number of the connection, counted from 1.
 *
 * `cut` ends all connections abruptly; `refuse` turns new ones away. Nothing here is random: tests choose what happens.
 */
import { createConnection, createServer, type Socket } from "node:net";

interface LinkFaults {
  readonly hold?: boolean;
  readonly swallow?: boolean;
  readonly delayMs?: number;
  readonly corrupt?: (chunk: Uint8Array, position: number, connection: number) => void;
}

interface ProxyFaults {
  /** From who connects to the target. */
  readonly toTarget?: LinkFaults;
  /** From the target to who connects. */
  readonly toCaller?: LinkFaults;
  readonly refuse?: boolean;
}

export interface FaultyProxy {
  readonly port: number;
  readonly connectionCount: number;
  /** Accepted since the proxy was opened. */
  readonly acceptedCount: number;
  readonly bytesToTarget: number;
  readonly bytesToCaller: number;
  /** Replaces all faults; an empty object is a good network. */
  set(faults: ProxyFaults): void;
  cut(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One direction of one connection. */
class Direction {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #connection: number;
  readonly #onBytes: (count: number) => void;
  #faults: LinkFaults = {};
  #position = 0;
  #hasLost = false;
  /** Chunks on their way, when there is a delay. */
  readonly #waiting: (() => void)[] = [];
  readonly #delayed = new Set<ReturnType<typeof setTimeout>>();
  #lastDueMs = 0;

  constructor(source: Socket, sink: Socket, connection: number, onBytes: (count: number) => void) {
    this.#connection = connection;
    this.#source = source;
    this.#sink = sink;
    this.#onBytes = onBytes;
    source.on("data", (chunk) => this.#onData(new Uint8Array(Buffer.from(chunk))));
    source.on("end", () => this.#later(() => sink.end()));
    sink.on("drain", () => this.#resume());
  }

  set(faults: LinkFaults): void {
    this.#faults = faults;
    if (faults.hold === true) this.#source.pause();
    else this.#resume();
  }

  stop(): void {
    for (const timer of this.#delayed) clearTimeout(timer);
    this.#delayed.clear();
  }

  #resume(): void {
    if (this.#faults.hold !== true && !this.#sink.writableNeedDrain) this.#source.resume();
  }

  #onData(chunk: Uint8Array): void {
    const position = this.#position;
    this.#position += chunk.length;
    if (this.#faults.swallow === true) this.#hasLost = true;
    if (this.#hasLost) return;
    this.#faults.corrupt?.(chunk, position, this.#connection);
    this.#later(() => {
      this.#onBytes(chunk.length);
      if (this.#sink.destroyed || this.#sink.write(chunk)) return;
      this.#source.pause();
    });
  }

  #later(act: () => void): void {
    const { delayMs = 0 } = this.#faults;
    if (delayMs === 0 && this.#delayed.size === 0) {
      act();
      return;
    }
    this.#lastDueMs = Math.max(performance.now() + delayMs, this.#lastDueMs);
    this.#waiting.push(act);
    // Timers of nearly the same time may fire in any order, chunks must not: each timer lets the oldest go.
    const timer = setTimeout(
      () => {
        this.#delayed.delete(timer);
        this.#waiting.shift()?.();
      },
      Math.max(0, this.#lastDueMs - performance.now()),
    );
    this.#delayed.add(timer);
  }
}

interface Pair {
  readonly caller: Socket;
  readonly target: Socket;
  readonly toTarget: Direction;
  readonly toCaller: Direction;
}

/** Opens a proxy to `port` on this machine. */
export async function openFaultyProxy(targetPort: number): Promise<FaultyProxy> {
  const pairs = new Set<Pair>();
  const counts = { accepted: 0, toTarget: 0, toCaller: 0 };
  let faults: ProxyFaults = {};
  const apply = (pair: Pair) => {
    pair.toTarget.set(faults.toTarget ?? {});
    pair.toCaller.set(faults.toCaller ?? {});
  };
  const end = (pair: Pair) => {
    pairs.delete(pair);
    pair.toTarget.stop();
    pair.toCaller.stop();
    pair.caller.destroy();
    pair.target.destroy();
  };
  const server = createServer({ allowHalfOpen: true }, (caller) => {
    if (faults.refuse === true) {
      caller.destroy();
      return;
    }
    counts.accepted += 1;
    const target = createConnection({ host: "127.0.0.1", port: targetPort, allowHalfOpen: true });
    caller.setNoDelay(true);
    target.setNoDelay(true);
    const pair: Pair = {
      caller,
      target,
      toTarget: new Direction(caller, target, counts.accepted, (count) => {
        counts.toTarget += count;
      }),
      toCaller: new Direction(target, caller, counts.accepted, (count) => {
        counts.toCaller += count;
      }),
    };
    pairs.add(pair);
    for (const socket of [caller, target]) {
      socket.on("error", () => end(pair));
      socket.on("close", () => {
        if (caller.destroyed && target.destroyed) end(pair);
      });
    }
    apply(pair);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    port: address.port,
    get connectionCount() {
      return pairs.size;
    },
    get acceptedCount() {
      return counts.accepted;
    },
    get bytesToTarget() {
      return counts.toTarget;
    },
    get bytesToCaller() {
      return counts.toCaller;
    },
    set(next) {
      faults = next;
      for (const pair of pairs) apply(pair);
    },
    cut() {
      for (const pair of [...pairs]) end(pair);
    },
    async [Symbol.asyncDispose]() {
      for (const pair of [...pairs]) end(pair);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
