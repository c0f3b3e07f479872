import { expect, test } from "bun:test";
import fc from "fast-check";
import { BackupDamaged, pieceBytes } from "../../src/store/backup-format.ts";
import { type BackupPart, readBackup } from "../../src/store/backup-reader.ts";
import { encodeBackup } from "../../src/store/backup-writer.ts";

const manifest = {
  version: "1.2.3",
  featureLevel: 3,
  clusterId: "c",
  createdAtMs: 5,
  shards: 2,
};
const contents = [
  [new TextEncoder().encode("first "), new Uint8Array(pieceBytes).fill(7)],
  [],
  [crypto.getRandomValues(new Uint8Array(60_000))],
];

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  return new Uint8Array(Buffer.concat(pieces));
}

function write(): Promise<Uint8Array> {
  async function* sections() {
    for (const [shard, content] of contents.entries()) {
      if (shard === 1) yield "beat" as const;
      const head = { kind: "state" as const, shard, index: 10 + shard, term: 2, bytes: 0 };
      yield { head, content };
    }
  }
  return collect(encodeBackup(manifest, sections()));
}

async function* inChunks(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Uint8Array, size = 10_000): Promise<BackupPart[]> {
  const parts: BackupPart[] = [];
  for await (const part of readBackup(inChunks(bytes, size))) parts.push(part);
  return parts;
}

test("[BU1] what was written is read again, in whatever chunks it comes", async () => {
  const bytes = await write();
  for (const size of [1, 7, 4096, bytes.length]) {
    const parts = await read(bytes, size);

    expect(parts[0]).toEqual({ kind: "manifest", manifest });
    expect(parts.at(-1)).toMatchObject({ kind: "last", end: { sections: 3 } });
    const heads = parts.flatMap((part) => (part.kind === "begin" ? [part.head] : []));
    expect(heads.map((head) => ("shard" in head ? head.shard : -1))).toEqual([0, 1, 2]);
    const data = Buffer.concat(parts.flatMap((part) => (part.kind === "data" ? [part.bytes] : [])));
    expect(data.equals(Buffer.concat(contents.flat()))).toBe(true);
  }
}, 20_000);

test("[BU2] a backup that was cut off anywhere is refused", async () => {
  const bytes = await write();
  for (let end = 0; end < bytes.length; end += end < 400 ? 1 : 997) {
    await expect(read(bytes.subarray(0, end))).rejects.toThrow(BackupDamaged);
  }
  await expect(read(bytes.subarray(0, -1))).rejects.toThrow("cut off");
  await expect(read(new Uint8Array(Buffer.concat([bytes, bytes])))).rejects.toThrow(
    "something follows the end",
  );
});

test("[BU2] a backup of which any byte was changed is refused", async () => {
  const bytes = await write();
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ by;
      await expect(read(changed)).rejects.toThrow(BackupDamaged);
    }),
    { numRuns: 150 },
  );
});

test("[BU2] frames that were left out, doubled or put in another order are refused", async () => {
  const bytes = await write();
  const frames: Uint8Array[] = [];
  for (let at = 12; at < bytes.length; ) {
    const end = at + 9 + new DataView(bytes.buffer, at).getUint32(1, true);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  const head = bytes.subarray(0, 12);
  const put = (order: readonly number[]) =>
    new Uint8Array(Buffer.concat([head, ...order.map((i) => frames[i] ?? new Uint8Array())]));
  const all = frames.map((_, i) => i);
  expect((await read(put(all))).length).toBe(frames.length - 1);
  for (const i of all) {
    await expect(read(put(all.filter((j) => j !== i)))).rejects.toThrow(BackupDamaged);
    await expect(read(put(all.toSpliced(i, 0, i)))).rejects.toThrow(BackupDamaged);
  }
  await expect(read(put([0, 6, 7, 8, 1, 2, 3, 4, 5, ...all.slice(8)]))).rejects.toThrow(
    BackupDamaged,
  );
});
