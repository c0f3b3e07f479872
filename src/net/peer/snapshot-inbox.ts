/**
 * Receives snapshot files into one directory.
 *
 * A file is written under a name that ends in `.partial`, acknowledged chunk by chunk once written, and only when its size
 * and SHA-256 are right is it synced, renamed, and the directory synced: a name without `.partial` is a whole file,
 * also after a power cut. What is partial when its connection ends, or is found when the inbox is made, is removed.
 * A node sends one at a time; a new one ends the older.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Connection } from "./connection.ts";
import type { PeerDeps } from "./deps.ts";
import { type FrameType, frameTypes } from "./frame.ts";
import type { KnownPeer } from "./handshake.ts";
import { peerLimits } from "./limits.ts";
import {
  decodeBegin,
  decodeChunk,
  encodeAck,
  encodeResult,
  type SnapshotBegin,
  type SnapshotResult,
} from "./snapshot-frames.ts";

export interface ReceivedSnapshot {
  readonly from: number;
  readonly group: number;
  readonly index: number;
  readonly term: number;
  readonly meta: Uint8Array;
  /** Whole, verified and durable. The receiver of this owns the file and removes it. */
  readonly path: string;
}

type OnSnapshot = (snapshot: ReceivedSnapshot) => void;

const partialEnding = ".partial";

export class SnapshotInbox {
  readonly #deps: PeerDeps;
  readonly #directory: string;
  readonly #onSnapshot: OnSnapshot;
  readonly #receiving = new Map<number, Connection>();
  #sequence = 0;

  /** Makes the directory, and removes what an earlier process left unfinished. */
  constructor(deps: PeerDeps, directory: string, onSnapshot: OnSnapshot) {
    this.#deps = deps;
    this.#directory = directory;
    this.#onSnapshot = onSnapshot;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      if (name.endsWith(partialEnding)) rmSync(join(directory, name), { force: true });
    }
  }

  receive(connection: Connection, peer: KnownPeer): void {
    this.#receiving.get(peer.nodeId)?.abort("a newer snapshot came");
    this.#receiving.set(peer.nodeId, connection);
    this.#sequence += 1;
    const transfer = new Transfer({
      connection,
      deps: this.#deps,
      peer,
      directory: this.#directory,
      partialPath: join(this.#directory, `${peer.nodeId}-${this.#sequence}${partialEnding}`),
      onSnapshot: this.#onSnapshot,
    });
    connection.events = {
      opened: () => undefined,
      frame: (type, payload) => transfer.onFrame(type, payload),
      ended: (reason) => {
        if (this.#receiving.get(peer.nodeId) === connection) this.#receiving.delete(peer.nodeId);
        transfer.onEnded(reason);
      },
    };
  }
}

interface TransferOptions {
  readonly connection: Connection;
  readonly deps: PeerDeps;
  readonly peer: KnownPeer;
  readonly directory: string;
  readonly partialPath: string;
  readonly onSnapshot: OnSnapshot;
}

class Transfer {
  readonly #options: TransferOptions;
  readonly #hash = createHash("sha256");
  #begin: SnapshotBegin | undefined;
  #file: FileHandle | undefined;
  #receivedBytes = 0;
  /** Steps on the disk run one after the other. */
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;
  #isOver = false;
  #stopTimer = () => {};

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#restartTimer();
  }

  onFrame(type: FrameType, payload: Uint8Array): void {
    this.#restartTimer();
    const fault = this.#take(type, payload);
    if (fault !== undefined) this.#fail(fault);
  }

  onEnded(reason: string): void {
    this.#stopTimer();
    if (!this.#isOver) this.#options.deps.logger.warn(this.#say(`was not received: ${reason}`));
    this.#isOver = true;
    this.#work = this.#work.then(() => this.#discard());
  }

  #take(type: FrameType, payload: Uint8Array): string | undefined {
    if (this.#isOver) return undefined;
    if (type === frameTypes.snapshotBegin) return this.#onBegin(payload);
    if (type === frameTypes.snapshotChunk) return this.#onChunk(payload);
    if (type === frameTypes.snapshotEnd) return this.#onEnd(payload.slice());
    return `a frame of type ${type} does not belong to a snapshot`;
  }

  #onBegin(payload: Uint8Array): string | undefined {
    if (this.#begin !== undefined) return "it began twice";
    const begin = decodeBegin(payload);
    if ("fault" in begin) return `its beginning is malformed: ${begin.fault}`;
    this.#begin = begin.value;
    this.#enqueue(async () => {
      this.#file = await open(this.#options.partialPath, "wx");
    });
    return undefined;
  }

  #onChunk(payload: Uint8Array): string | undefined {
    const chunk = decodeChunk(payload);
    if ("fault" in chunk) return `a chunk is malformed: ${chunk.fault}`;
    if (this.#begin === undefined) return "a chunk came before its beginning";
    const { offset } = chunk.value;
    if (offset !== this.#receivedBytes) {
      return `a chunk is for byte ${offset} and byte ${this.#receivedBytes} is next`;
    }
    const bytes = chunk.value.bytes.slice();
    const end = offset + bytes.length;
    if (end > this.#begin.sizeBytes)
      return `it is longer than the ${this.#begin.sizeBytes} bytes announced`;
    if (
      bytes.length > peerLimits.snapshotChunkBytes ||
      this.#waiting > peerLimits.snapshotWindowChunks
    ) {
      return "the sender goes beyond the window";
    }
    this.#receivedBytes = end;
    this.#hash.update(bytes);
    this.#enqueue(async () => {
      await writeAll(this.#file, bytes, offset);
      if (!this.#isOver) this.#options.connection.write(encodeAck(end));
    });
    return undefined;
  }

  #onEnd(sha256: Uint8Array): string | undefined {
    if (this.#begin === undefined) return "its end came before its beginning";
    const begin = this.#begin;
    if (this.#receivedBytes !== begin.sizeBytes) {
      return `it ended after ${this.#receivedBytes} of ${begin.sizeBytes} bytes`;
    }
    if (!this.#hash.digest().equals(sha256)) return "its SHA-256 does not match what was received";
    this.#enqueue(() => this.#complete(begin));
    return undefined;
  }

  async #complete(begin: SnapshotBegin): Promise<void> {
    const { directory, partialPath, peer, onSnapshot } = this.#options;
    const path = join(
      directory,
      `group-${begin.group}-term-${begin.term}-index-${begin.index}-from-${peer.nodeId}`,
    );
    await this.#file?.sync();
    await this.#file?.close();
    this.#file = undefined;
    if (this.#isOver) return;
    await rename(partialPath, path);
    await syncDirectory(directory);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answer({ ok: true, reason: "received" });
    const { group, index, term, meta } = begin;
    // Not from within this chain of promises, which would take a bug in the receiver for a fault of the disk.
    queueMicrotask(() => onSnapshot({ from: peer.nodeId, group, index, term, meta, path }));
  }

  #enqueue(step: () => Promise<void>): void {
    this.#waiting += 1;
    this.#work = this.#work
      .then(() => (this.#isOver ? undefined : step()))
      .catch((error: unknown) => this.#fail(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.deps.logger.warn(this.#say(`was refused: ${reason}`));
    this.#answer({ ok: false, reason });
  }

  /**
   * The sender ends the connection once it has read this. Ending it here, with chunks still unread, would make the kernel
   * throw the answer away.
   */
  #answer(result: SnapshotResult): void {
    const { connection, deps } = this.#options;
    connection.write(encodeResult(result));
    this.#stopTimer();
    this.#stopTimer = deps.timers.after(peerLimits.snapshotIdleMs, () =>
      connection.abort("the sender did not take the result"),
    );
  }

  #say(what: string): string {
    const about =
      this.#begin === undefined
        ? ""
        : ` of group ${this.#begin.group} at index ${this.#begin.index}`;
    return `a snapshot${about} from node ${this.#options.peer.nodeId} ${what}`;
  }

  #restartTimer(): void {
    this.#stopTimer();
    if (this.#isOver) return;
    this.#stopTimer = this.#options.deps.timers.after(peerLimits.snapshotIdleMs, () =>
      this.#fail(`nothing came for ${peerLimits.snapshotIdleMs} ms`),
    );
  }

  async #discard(): Promise<void> {
    const { partialPath, deps } = this.#options;
    try {
      await this.#file?.close();
      this.#file = undefined;
      await rm(partialPath, { force: true });
    } catch (error) {
      deps.logger.warn(
        `${partialPath} could not be removed: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

async function writeAll(
  file: FileHandle | undefined,
  bytes: Uint8Array,
  offset: number,
): Promise<void> {
  let written = 0;
  while (file !== undefined && written < bytes.length) {
    const result = await file.write(bytes, written, bytes.length - written, offset + written);
    written += result.bytesWritten;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
