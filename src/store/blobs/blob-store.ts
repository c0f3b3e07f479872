/**
 * Blobs on the disk of one node: files named by the SHA-256 of what they hold, `blobs/ab/abcd…`.
 *
 * A blob is written under another name, made durable, and gets its own name last, so a file with the name of a blob is
 * whole, whenever the process ends. What has another name at a start is left from a run that ended and is removed. The
 * folder of the first two digits is there before anything is written, and a new name is durable when `put` resolves.
 *
 * Which blobs are needed is not known here (`replica/blob-keeper.ts`). So that none is removed while somebody counts on it, each use of one
 * notes the time, and only what nobody used for a while can be removed. Bounds: uploads at once, and bytes of one blob.
 */
import { join } from "node:path";
import { CorvoError } from "../../base/errors.ts";
import type { Clock } from "../../base/ports.ts";
import { isDiskFull } from "../reserve.ts";
import { type BlobFiles, diskFiles } from "./blob-files.ts";

export interface BlobStoreOptions {
  readonly clock: Clock;
  /** Bytes of one blob. */
  readonly blobBytesMax: number;
  /** Blobs that are being written at once. */
  readonly uploadsMax: number;
  readonly files?: BlobFiles;
}

export interface StoredBlob {
  readonly hash: string;
  readonly bytes: number;
}

export interface PutRequest {
  readonly content: AsyncIterable<Uint8Array>;
  /** What the content must be; another one is refused. */
  readonly hash?: string;
  /** Asked before each piece is written, and may refuse it by throwing. */
  readonly admit?: (bytes: number) => void;
}

interface Entry {
  readonly bytes: number;
  /** By the monotonic clock; negative for files from before the start. */
  usedMs: number;
}

const incoming = "incoming";
const hashPattern = /^[0-9a-f]{64}$/;

export class BlobStore {
  readonly #path: string;
  readonly #options: BlobStoreOptions;
  readonly #files: BlobFiles;
  readonly #entries = new Map<string, Entry>();
  readonly #folders = new Set<string>();
  #totalBytes = 0;
  #uploads = 0;
  #nextUpload = 1;

  private constructor(path: string, options: BlobStoreOptions) {
    this.#path = path;
    this.#options = options;
    this.#files = options.files ?? diskFiles;
  }

  /** Opens the folder, which may be missing, and removes what a run that ended left unfinished. */
  static open(path: string, options: BlobStoreOptions): BlobStore {
    const store = new BlobStore(path, options);
    const { clock } = options;
    store.#files.makeFolder(path);
    store.#files.makeFolder(join(path, incoming));
    for (const { name } of store.#files.files(join(path, incoming))) {
      store.#files.remove(join(path, incoming, name));
    }
    const startedMs = clock.nowMs();
    for (const folder of store.#files.folders(path)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const { name, bytes, changedMs } of store.#files.files(join(path, folder))) {
        if (!hashPattern.test(name)) continue;
        const ageMs = Math.max(0, startedMs - changedMs);
        store.#note(name, { bytes, usedMs: clock.monotonicMs() - ageMs });
      }
    }
    return store;
  }

  /** Bytes of all blobs. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  get count(): number {
    return this.#entries.size;
  }

  get uploads(): number {
    return this.#uploads;
  }

  /** Size of a blob that is here, durable; undefined when it is not. Does not count as a use. */
  bytesOf(hash: string): number | undefined {
    return this.#entries.get(hash)?.bytes;
  }

  /** Is it here? Then it stays for a while. */
  use(hash: string): boolean {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return false;
    entry.usedMs = this.#options.clock.monotonicMs();
    return true;
  }

  /** The content; undefined when it is not here. */
  read(hash: string): Blob | undefined {
    return this.use(hash) ? Bun.file(this.#fileOf(hash)) : undefined;
  }

  /** Hashes of all blobs that were not used for so long. */
  unusedFor(ageMs: number): string[] {
    const beforeMs = this.#options.clock.monotonicMs() - ageMs;
    return [...this.#entries].filter(([, { usedMs }]) => usedMs <= beforeMs).map(([hash]) => hash);
  }

  /** Removes a blob, unless it was used since. False when it stays. */
  removeUnused(hash: string, ageMs: number): boolean {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return false;
    if (entry.usedMs > this.#options.clock.monotonicMs() - ageMs) return false;
    this.#files.remove(this.#fileOf(hash));
    this.#entries.delete(hash);
    this.#totalBytes -= entry.bytes;
    return true;
  }

  /** Writes a blob; it is durable here when this resolves. */
  async put(request: PutRequest): Promise<StoredBlob> {
    const { uploadsMax } = this.#options;
    if (this.#uploads >= uploadsMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.#uploads} blobs are being written; the limit uploadsMax is ${uploadsMax}`,
        { retryAfterMs: 500 },
      );
    }
    this.#uploads++;
    const path = join(this.#path, incoming, String(this.#nextUpload++));
    try {
      const written = await this.#write(path, request);
      if (request.hash !== undefined && request.hash !== written.hash) {
        throw new CorvoError(
          "VALIDATION_ERROR",
          `the content has the SHA-256 ${written.hash}, not ${request.hash}`,
        );
      }
      await this.#name(path, written);
      return written;
    } catch (error) {
      this.#files.remove(path);
      throw isDiskFull(error) ? noSpace(error) : error;
    } finally {
      this.#uploads--;
    }
  }

  async #write(path: string, { content, admit }: PutRequest): Promise<StoredBlob> {
    const { blobBytesMax } = this.#options;
    const hasher = new Bun.CryptoHasher("sha256");
    const file = await this.#files.create(path);
    try {
      let bytes = 0;
      for await (const chunk of content) {
        bytes += chunk.length;
        if (bytes > blobBytesMax) throw tooLarge(blobBytesMax);
        admit?.(chunk.length);
        hasher.update(chunk);
        await file.write(chunk);
      }
      await file.sync();
      return { hash: hasher.digest("hex"), bytes };
    } finally {
      await file.close();
    }
  }

  /**
   * Gives it its name. It is noted once that is durable: what is not noted is neither read nor removed, and a file whose name
   * could not be made durable is found by the next start.
   */
  async #name(path: string, { hash, bytes }: StoredBlob): Promise<void> {
    if (this.use(hash)) {
      this.#files.remove(path);
      return;
    }
    const folder = join(this.#path, hash.slice(0, 2));
    if (!this.#folders.has(folder)) {
      this.#files.makeFolder(folder);
      this.#folders.add(folder);
    }
    this.#files.rename(path, this.#fileOf(hash));
    await this.#files.syncFolder(folder);
    // Another upload of the same content may have been first.
    if (this.use(hash)) return;
    this.#note(hash, { bytes, usedMs: this.#options.clock.monotonicMs() });
  }

  #note(hash: string, entry: Entry): void {
    this.#entries.set(hash, entry);
    this.#totalBytes += entry.bytes;
  }

  #fileOf(hash: string): string {
    return join(this.#path, hash.slice(0, 2), hash);
  }
}

function tooLarge(blobBytesMax: number): CorvoError {
  return new CorvoError(
    "PAYLOAD_TOO_LARGE",
    `the content has more than ${blobBytesMax} bytes; that is the limit blobBytesMax (--blob-bytes-max)`,
  );
}

function noSpace(cause: unknown): CorvoError {
  return new CorvoError("DISK_BUDGET", "the disk is full: the blob could not be written", {
    cause,
    retryAfterMs: 1000,
  });
}
