/** Blobs on disk: what has the name of a blob is that blob, whenever and wherever the process ended. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import type { Clock } from "../../src/base/ports.ts";
import { type BlobFiles, diskFiles } from "../../src/store/blobs/blob-files.ts";
import { BlobStore } from "../../src/store/blobs/blob-store.ts";
import { tempDir } from "../support/temp-dir.ts";

class HandClock implements Clock {
  ms = 1_700_000_000_000;
  nowMs = () => this.ms;
  monotonicMs = () => this.ms - 1_600_000_000_000;
}

const options = { blobBytesMax: 10_000, uploadsMax: 3 };

async function* pieces(content: Uint8Array<ArrayBuffer>, size = 1000): AsyncIterable<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

const bytes = (seed: number, length: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255);
const hashOf = (content: Uint8Array) =>
  new Bun.CryptoHasher("sha256").update(content).digest("hex");

async function refusalOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CorvoError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "no refusal";
}

/** Every file under the folder, as path and content. */
function filesUnder(path: string): [string, Uint8Array][] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return [file.slice(path.length + 1), readFileSync(file)];
    });
}

test("[V3] a blob comes back as it was sent, is stored once, and is there after a start", async () => {
  const clock = new HandClock();
  using dir = tempDir();
  const path = join(dir.path, "blobs");
  const store = BlobStore.open(path, { ...options, clock });
  const content = bytes(1, 5000);

  const first = await store.put({ content: pieces(content) });
  const [second, third] = await Promise.all([
    store.put({ content: pieces(content, 77) }),
    store.put({ content: pieces(bytes(2, 0)) }),
  ]);
  const again = BlobStore.open(path, { ...options, clock });

  expect(first).toEqual({ hash: hashOf(content), bytes: 5000 });
  expect(second).toEqual(first);
  expect(third).toEqual({ hash: hashOf(new Uint8Array()), bytes: 0 });
  for (const opened of [store, again]) {
    expect(await opened.read(first.hash)?.bytes()).toEqual(content);
    expect([opened.count, opened.totalBytes]).toEqual([2, 5000]);
  }
  expect(filesUnder(path).map(([name]) => name)).toHaveLength(2);
});

test("[V4] content that is too large, that is not what it should be, or that breaks off leaves nothing", async () => {
  const clock = new HandClock();
  using dir = tempDir();
  const store = BlobStore.open(dir.path, { ...options, clock });
  async function* broken() {
    yield bytes(1, 10);
    throw new CorvoError("PARSE_ERROR", "it ended");
  }

  const large = await refusalOf(store.put({ content: pieces(bytes(1, 10_001)) }));
  const other = await refusalOf(
    store.put({ content: pieces(bytes(1, 10)), hash: hashOf(bytes(2, 10)) }),
  );
  const cut = await refusalOf(store.put({ content: broken() }));
  const refused = await refusalOf(
    store.put({
      content: pieces(bytes(1, 10)),
      admit: () => {
        throw new CorvoError("DISK_BUDGET", "no room");
      },
    }),
  );

  expect(large).toBe(
    "PAYLOAD_TOO_LARGE the content has more than 10000 bytes; that is the limit blobBytesMax (--blob-bytes-max)",
  );
  expect(other).toStartWith("VALIDATION_ERROR the content has the SHA-256 ");
  expect([cut, refused]).toEqual(["PARSE_ERROR it ended", "DISK_BUDGET no room"]);
  expect(filesUnder(dir.path)).toEqual([]);
  expect([store.count, store.uploads]).toEqual([0, 0]);
});

test("[V4] one upload more than may run is refused, and the others go on", async () => {
  using dir = tempDir();
  const store = BlobStore.open(dir.path, { ...options, clock: new HandClock() });
  const { promise: held, resolve: go } = Promise.withResolvers<void>();
  async function* slow(seed: number) {
    await held;
    yield bytes(seed, 10);
  }

  const running = [1, 2, 3].map((seed) => store.put({ content: slow(seed) }));
  const refused = await refusalOf(store.put({ content: slow(4) }));
  go();
  await Promise.all(running);

  expect(refused).toBe("OVERLOADED 3 blobs are being written; the limit uploadsMax is 3");
  expect(store.count).toBe(3);
});

test("[V8] what was used lately is not removed, and neither is what somebody used since it was found", async () => {
  const clock = new HandClock();
  using dir = tempDir();
  const store = BlobStore.open(dir.path, { ...options, clock });
  const { hash: old } = await store.put({ content: pieces(bytes(1, 10)) });
  const { hash: used } = await store.put({ content: pieces(bytes(2, 10)) });
  clock.ms += 5000;
  const { hash: young } = await store.put({ content: pieces(bytes(3, 10)) });

  const found = store.unusedFor(5000);
  store.use(used);
  const removed = [old, used, young].map((hash) => store.removeUnused(hash, 5000));

  expect(found).toEqual([old, used]);
  expect(removed).toEqual([true, false, false]);
  expect(store.read(old)).toBeUndefined();
  expect(filesUnder(dir.path)).toHaveLength(2);
});

test("[V8] the age of a blob goes on over a start", async () => {
  const clock = new HandClock();
  using dir = tempDir();
  const { hash } = await BlobStore.open(dir.path, { ...options, clock }).put({
    content: pieces(bytes(1, 10)),
  });
  const writtenS = (clock.ms - 60_000) / 1000;
  utimesSync(join(dir.path, hash.slice(0, 2), hash), writtenS, writtenS);

  const store = BlobStore.open(dir.path, { ...options, clock });

  expect(store.unusedFor(59_000)).toEqual([hash]);
  expect(store.unusedFor(61_000)).toEqual([]);
});

/** The process, and the power with it, ends at a step: what was not made durable by then is lost in the worst way. */
class EndOfWorld extends Error {}

function endingAfter(steps: number): { files: BlobFiles; end: () => void } {
  let left = steps;
  const unsynced = new Map<string, number>();
  const unnamed = new Set<string>();
  const step = () => {
    if (left-- <= 0) throw new EndOfWorld();
  };
  const files: BlobFiles = {
    ...diskFiles,
    async create(path) {
      step();
      const file = await diskFiles.create(path);
      unsynced.set(path, 0);
      return {
        async write(piece) {
          step();
          await file.write(piece);
        },
        async sync() {
          step();
          await file.sync();
          unsynced.delete(path);
        },
        close: () => file.close(),
      };
    },
    rename(from, to) {
      step();
      diskFiles.rename(from, to);
      unnamed.add(to);
      const kept = unsynced.get(from);
      if (kept !== undefined) unsynced.set(to, kept);
      unsynced.delete(from);
    },
    remove(path) {
      step();
      diskFiles.remove(path);
      unsynced.delete(path);
    },
    async syncFolder(path) {
      step();
      await diskFiles.syncFolder(path);
      for (const name of unnamed) if (name.startsWith(path)) unnamed.delete(name);
    },
  };
  const end = () => {
    left = 0;
    for (const [path, bytesKept] of unsynced) {
      try {
        truncateSync(path, bytesKept);
      } catch {
        // It was removed, or never there.
      }
    }
    for (const path of unnamed) rmSync(path, { force: true });
  };
  return { files, end };
}

test("[V3] [V8] wherever the world ends, what was acknowledged is there and whole, and nothing else stays for good", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ seed: fc.nat(3), length: fc.nat(3000) }), { maxLength: 5 }),
      fc.nat(40),
      async (contents, steps) => {
        const clock = new HandClock();
        using dir = tempDir();
        const { files, end } = endingAfter(steps);
        const acknowledged = new Map<string, Uint8Array<ArrayBuffer>>();
        try {
          const store = BlobStore.open(dir.path, { ...options, clock, files });
          for (const { seed, length } of contents) {
            const content = bytes(seed, length);
            const { hash } = await store.put({ content: pieces(content) });
            acknowledged.set(hash, content);
          }
        } catch (error) {
          if (!(error instanceof EndOfWorld)) throw error;
        }
        end();

        const store = BlobStore.open(dir.path, { ...options, clock });
        for (const [hash, content] of acknowledged) {
          expect(await store.read(hash)?.bytes()).toEqual(content);
        }
        for (const [name, content] of filesUnder(dir.path)) {
          expect(name).toBe(join(hashOf(content).slice(0, 2), hashOf(content)));
        }
        clock.ms += 1e9;
        for (const hash of store.unusedFor(1000)) store.removeUnused(hash, 1000);
        expect(filesUnder(dir.path)).toEqual([]);
        expect([store.count, store.totalBytes]).toEqual([0, 0]);
      },
    ),
    { numRuns: 150 },
  );
}, 30_000);
