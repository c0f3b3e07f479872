/**
 * Reads a backup as it comes, and takes nothing on trust: every frame has its checksum, every section and the whole have
 * another, and what follows another way than the format has it is refused. What was given out before a `BackupDamaged` must not be
 * used: only `end` says that all of it is there.
 */
import {
  BackupDamaged,
  type BackupEnd,
  type BackupManifest,
  backupVersion,
  frameBytesMax,
  frameHeadBytes,
  frameKinds,
  headBytes,
  magic,
  pieceBytes,
  type SectionEnd,
  type SectionHead,
} from "./backup-format.ts";

export type BackupPart =
  | { readonly kind: "manifest"; readonly manifest: BackupManifest }
  | { readonly kind: "begin"; readonly head: SectionHead }
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly end: SectionEnd }
  | { readonly kind: "last"; readonly end: BackupEnd };

interface Frame {
  readonly kind: number;
  readonly content: Uint8Array;
  /** With its head, as it stood in the file. */
  readonly bytes: Uint8Array;
}

export async function* readBackup(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<BackupPart, void> {
  const input = new Input(chunks);
  const whole = new Bun.CryptoHasher("sha256");
  whole.update(await readHead(input));
  let section: Section | undefined;
  let sections = 0;
  let isBegun = false;
  for (;;) {
    const at = input.at;
    const { kind, content, bytes } = await readFrame(input);
    const misplaced = () => new BackupDamaged(`a frame of kind ${kind} has no place at byte ${at}`);
    if ((kind === frameKinds.manifest) === isBegun) throw misplaced();
    if (kind === frameKinds.last && section === undefined) {
      checkLast(readJson<BackupEnd>(content, at), sections, whole.digest("hex"));
      await input.mustBeOver();
      yield { kind: "last", end: readJson<BackupEnd>(content, at) };
      return;
    }
    whole.update(bytes);
    if (kind === frameKinds.beat && section === undefined) continue;
    if (kind === frameKinds.manifest) {
      isBegun = true;
      yield { kind: "manifest", manifest: readJson<BackupManifest>(content, at) };
    } else if (kind === frameKinds.begin && section === undefined) {
      section = new Section();
      sections++;
      yield { kind: "begin", head: readJson<SectionHead>(content, at) };
    } else if (kind === frameKinds.data && section !== undefined) {
      yield { kind: "data", bytes: await section.take(content, at) };
    } else if (kind === frameKinds.end && section !== undefined) {
      const end = readJson<SectionEnd>(content, at);
      section.check(end, at);
      section = undefined;
      yield { kind: "end", end };
    } else throw misplaced();
  }
}

class Section {
  readonly #hash = new Bun.CryptoHasher("sha256");
  #bytes = 0;

  async take(content: Uint8Array, at: number): Promise<Uint8Array> {
    let piece: Uint8Array;
    try {
      piece = await Bun.zstdDecompress(content);
    } catch (cause) {
      throw new BackupDamaged(`the data at byte ${at} cannot be unpacked`, { cause });
    }
    if (piece.length > pieceBytes) {
      throw new BackupDamaged(`the data at byte ${at} hold ${piece.length} bytes`);
    }
    this.#hash.update(piece);
    this.#bytes += piece.length;
    return piece;
  }

  check({ bytes, sha256 }: SectionEnd, at: number): void {
    if (bytes === this.#bytes && sha256 === this.#hash.digest("hex")) return;
    throw new BackupDamaged(`the section that ends at byte ${at} is not what was written`);
  }
}

function checkLast(end: BackupEnd, sections: number, sha256: string): void {
  if (end.sections === sections && end.sha256 === sha256) return;
  throw new BackupDamaged("its checksum is not that of what it holds");
}

async function readHead(input: Input): Promise<Uint8Array> {
  const head = await input.take(headBytes, "the file is no backup: it is too short");
  if (magic.some((byte, i) => head[i] !== byte)) {
    throw new BackupDamaged("the file is no backup: it does not begin like one");
  }
  const version = new DataView(head.buffer, head.byteOffset).getUint32(magic.length, true);
  if (version !== backupVersion) {
    throw new BackupDamaged(
      `the backup has format ${version}, this program reads format ${backupVersion}; use the version of corvo that made it or a later one`,
    );
  }
  return head;
}

async function readFrame(input: Input): Promise<Frame> {
  const { at } = input;
  const cut = `the backup is cut off: it ends at byte ${at} or later, before its end was written`;
  const head = await input.take(frameHeadBytes, cut);
  const view = new DataView(head.buffer, head.byteOffset);
  const length = view.getUint32(1, true);
  if (length > frameBytesMax) {
    throw new BackupDamaged(`the frame at byte ${at} claims ${length} bytes`);
  }
  const content = await input.take(length, cut);
  if (Bun.hash.crc32(content) !== view.getUint32(5, true)) {
    throw new BackupDamaged(
      `the frame at byte ${at} is not what was written: its checksum differs`,
    );
  }
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return { kind: view.getUint8(0), content, bytes };
}

/** The checksums hold, so the shape is that of the program that wrote it; only what is not JSON at all can still be wrong. */
function readJson<T>(content: Uint8Array, at: number): T {
  try {
    return JSON.parse(new TextDecoder().decode(content)) as T;
  } catch (cause) {
    throw new BackupDamaged(`the frame at byte ${at} cannot be read`, { cause });
  }
}

/** Bytes in the sizes that are asked for, from chunks of any size. */
class Input {
  /** Bytes taken so far. */
  at = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async take(count: number, orElse: string): Promise<Uint8Array> {
    const pieces = [this.#held];
    let length = this.#held.length;
    while (length < count) {
      const { done, value } = await this.#chunks.next();
      if (done === true) throw new BackupDamaged(orElse);
      pieces.push(value);
      length += value.length;
    }
    const all = pieces.length === 1 ? this.#held : joined(pieces, length);
    this.#held = all.subarray(count);
    this.at += count;
    return all.subarray(0, count);
  }

  async mustBeOver(): Promise<void> {
    const isOver = this.#held.length === 0 && (await this.#chunks.next()).done === true;
    if (!isOver) throw new BackupDamaged("something follows the end of the backup");
  }
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
