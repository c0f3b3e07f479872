/** Writes a backup, piece by piece, as fast as it is read: nothing of it is held in memory but the piece under way. */
import {
  type BackupEnd,
  type BackupManifest,
  backupVersion,
  frameHeadBytes,
  frameKinds,
  headBytes,
  magic,
  type SectionEnd,
  type SectionHead,
} from "./backup-format.ts";

export interface BackupSection {
  readonly head: SectionHead;
  /** In pieces of any size up to `pieceBytes`. */
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Sections are asked for one after the other: each is made when the one before it is out. A beat stands for "not yet". */
export async function* encodeBackup(
  manifest: BackupManifest,
  sections: AsyncIterable<BackupSection | "beat">,
): AsyncGenerator<Uint8Array> {
  const whole = new Bun.CryptoHasher("sha256");
  const noted = (bytes: Uint8Array) => {
    whole.update(bytes);
    return bytes;
  };
  yield noted(headOf());
  yield noted(jsonFrame(frameKinds.manifest, manifest));
  let count = 0;
  for await (const section of sections) {
    if (section === "beat") {
      yield noted(frame(frameKinds.beat, new Uint8Array(0)));
      continue;
    }
    const { head, content } = section;
    count++;
    yield noted(jsonFrame(frameKinds.begin, head));
    const hash = new Bun.CryptoHasher("sha256");
    let bytes = 0;
    for await (const piece of content) {
      hash.update(piece);
      bytes += piece.length;
      yield noted(frame(frameKinds.data, await Bun.zstdCompress(piece, { level: 1 })));
    }
    const end: SectionEnd = { bytes, sha256: hash.digest("hex") };
    yield noted(jsonFrame(frameKinds.end, end));
  }
  const last: BackupEnd = { sections: count, sha256: whole.digest("hex") };
  yield jsonFrame(frameKinds.last, last);
}

function headOf(): Uint8Array {
  const head = new Uint8Array(headBytes);
  head.set(magic);
  new DataView(head.buffer).setUint32(magic.length, backupVersion, true);
  return head;
}

function jsonFrame(kind: number, value: object): Uint8Array {
  return frame(kind, new TextEncoder().encode(JSON.stringify(value)));
}

function frame(kind: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(frameHeadBytes + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, content.length, true);
  view.setUint32(5, Bun.hash.crc32(content), true);
  bytes.set(content, frameHeadBytes);
  return bytes;
}
