/**
 * Sends one file to one node, over a connection of its own.
 *
 *   calling -> begin -> chunks, at most a window of them unacknowledged -> end with the SHA-256 of all -> result
 *
 * The file is read a chunk at a time and never held. Whatever goes wrong (no connection, a read error, a peer that stops
 * acknowledging) ends it with a reason; `done` is called once. Nothing is resumed: consensus decides whether this snapshot
 * is still wanted.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { callPeer } from "./caller.ts";
import type { Connection } from "./connection.ts";
import type { PeerAddress, PeerDeps, Traffic } from "./deps.ts";
import { type FrameType, frameTypes } from "./frame.ts";
import { peerLimits } from "./limits.ts";
import {
  decodeAck,
  decodeResult,
  encodeBegin,
  encodeChunk,
  encodeEnd,
  type SnapshotBegin,
} from "./snapshot-frames.ts";

export interface OutgoingSnapshot {
  readonly group: number;
  readonly index: number;
  readonly term: number;
  /** What the receiver needs to know besides the file; at most 1 MiB. */
  readonly meta: Uint8Array;
  readonly path: string;
  readonly sizeBytes: number;
}

export type SnapshotDone = (ok: boolean, reason: string) => void;

interface SnapshotTarget extends PeerAddress {
  readonly nodeId: number;
  readonly traffic: Pick<Traffic, "sentSnapshotBytes">;
}

export class SnapshotSender {
  readonly #deps: PeerDeps;
  readonly #traffic: SnapshotTarget["traffic"];
  readonly #snapshot: OutgoingSnapshot;
  readonly #done: SnapshotDone;
  readonly #cancelCall: () => void;
  #connection: Connection | undefined;
  #stopTimer: (() => void) | undefined;
  #ackedBytes = 0;
  #sentBytes = 0;
  /** Lets the sending go on: the window moved, the connection drained, or all is over. */
  #wake: (() => void) | undefined;
  #isOver = false;

  constructor(
    deps: PeerDeps,
    { traffic, ...target }: SnapshotTarget,
    snapshot: OutgoingSnapshot,
    done: SnapshotDone,
  ) {
    this.#deps = deps;
    this.#traffic = traffic;
    this.#snapshot = snapshot;
    this.#done = done;
    this.#cancelCall = callPeer(
      deps,
      { ...target, purpose: "snapshot" },
      {
        ready: (connection) => this.#start(connection),
        failed: (reason) => this.#finish(false, reason),
      },
    );
  }

  cancel(reason: string): void {
    this.#cancelCall();
    this.#finish(false, reason);
  }

  #start(connection: Connection): void {
    this.#connection = connection;
    connection.events = {
      opened: () => undefined,
      frame: (type, payload) => this.#onFrame(type, payload),
      drained: () => this.#wake?.(),
      ended: (reason) => this.#finish(false, reason),
    };
    this.#restartTimer();
    this.#send(connection).catch((error: unknown) => {
      this.#finish(
        false,
        `the file could not be sent: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  async #send(connection: Connection): Promise<void> {
    const { group, index, term, sizeBytes, meta, path } = this.#snapshot;
    const begin: SnapshotBegin = { group, index, term, sizeBytes, meta };
    await using file = await openFile(path);
    connection.write(encodeBegin(begin));
    const hash = createHash("sha256");
    const chunk = new Uint8Array(peerLimits.snapshotChunkBytes);
    while (this.#sentBytes < sizeBytes && !this.#isOver) {
      if (!this.#maySend(connection)) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const wanted = Math.min(chunk.length, sizeBytes - this.#sentBytes);
      const read = await file.handle.read(chunk, 0, wanted, this.#sentBytes);
      if (read.bytesRead === 0) {
        this.#finish(false, `the file ended after ${this.#sentBytes} of ${sizeBytes} bytes`);
        return;
      }
      const bytes = chunk.subarray(0, read.bytesRead);
      hash.update(bytes);
      connection.write(encodeChunk({ offset: this.#sentBytes, bytes }));
      this.#sentBytes += bytes.length;
    }
    connection.write(encodeEnd(hash.digest()));
  }

  #maySend(connection: Connection): boolean {
    const windowBytes = peerLimits.snapshotWindowChunks * peerLimits.snapshotChunkBytes;
    return !connection.isBlocked && this.#sentBytes - this.#ackedBytes < windowBytes;
  }

  #onFrame(type: FrameType, payload: Uint8Array): void {
    this.#restartTimer();
    if (type === frameTypes.snapshotAck) this.#onAck(payload);
    else if (type === frameTypes.snapshotResult) this.#onResult(payload);
    else this.#finish(false, `a frame of type ${type} came back for a snapshot`);
  }

  #onAck(payload: Uint8Array): void {
    const ack = decodeAck(payload);
    if ("fault" in ack) {
      this.#finish(false, `an acknowledgement is malformed: ${ack.fault}`);
    } else if (ack.value > this.#sentBytes) {
      this.#finish(false, `${ack.value} bytes are acknowledged and ${this.#sentBytes} were sent`);
    } else {
      const ackedBytes = Math.max(this.#ackedBytes, ack.value);
      this.#traffic.sentSnapshotBytes += ackedBytes - this.#ackedBytes;
      this.#ackedBytes = ackedBytes;
      this.#wake?.();
    }
  }

  #onResult(payload: Uint8Array): void {
    const result = decodeResult(payload);
    if ("fault" in result) this.#finish(false, `the result is malformed: ${result.fault}`);
    else this.#finish(result.value.ok, result.value.reason);
  }

  #restartTimer(): void {
    this.#stopTimer?.();
    if (this.#isOver) return;
    this.#stopTimer = this.#deps.timers.after(peerLimits.snapshotIdleMs, () =>
      this.#finish(false, `nothing was acknowledged for ${peerLimits.snapshotIdleMs} ms`),
    );
  }

  #finish(ok: boolean, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer?.();
    this.#wake?.();
    if (ok) this.#connection?.close(reason);
    else this.#connection?.abort(reason);
    this.#done(ok, reason);
  }
}

async function openFile(path: string): Promise<AsyncDisposable & { readonly handle: FileHandle }> {
  const handle = await open(path, "r");
  return { handle, [Symbol.asyncDispose]: () => handle.close() };
}
