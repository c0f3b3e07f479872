import { expect, test } from "bun:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../../src/net/peer/bytes.ts";
import { encodeFrame, FrameReader, frameTypes } from "../../../src/net/peer/frame.ts";

function readAll(chunks: readonly Uint8Array[], bytesMax = 1000) {
  const reader = new FrameReader(bytesMax);
  const frames: [number, string][] = [];
  for (const chunk of chunks) {
    const fault = reader.push(chunk, (type, payload) => {
      frames.push([type, Buffer.from(payload).toString("hex")]);
      return true;
    });
    if (fault !== undefined) return { frames, fault };
  }
  return { frames, fault: undefined };
}

test("[P1] the bytes of a frame never change", () => {
  const frame = encodeFrame(frameTypes.ping, (writer) => writer.raw(Uint8Array.of(1, 2, 3)));

  expect(Buffer.from(frame).toString("hex")).toBe("04000000e9b61c6311010203");
});

test("[P1] frames come out whole and in order, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.nat(200), { maxLength: 60 }),
      (payloads, cuts) => {
        const stream = Buffer.concat(
          payloads.map((payload) =>
            encodeFrame(frameTypes.messages, (writer) => writer.raw(payload)),
          ),
        );
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(new Uint8Array(stream.subarray(at, at + cut)));
          at += cut;
        }
        chunks.push(new Uint8Array(stream.subarray(at)));

        expect(readAll(chunks)).toEqual({
          frames: payloads.map((payload) => [
            frameTypes.messages,
            Buffer.from(payload).toString("hex"),
          ]),
          fault: undefined,
        });
      },
    ),
  );
});

test("[P2] a byte changed anywhere in a frame is never taken for a frame", () => {
  const frame = encodeFrame(frameTypes.messages, (writer) =>
    writer.raw(new Uint8Array(40).fill(5)),
  );
  fc.assert(
    fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = frame.slice();
      damaged[at] = (damaged[at] ?? 0) ^ flip;

      // A larger length only waits for more; what then comes does not match.
      const { frames, fault } = readAll([damaged, new Uint8Array(1000)]);

      expect(frames).toEqual([]);
      expect(fault).toBeDefined();
    }),
    { numRuns: 500 },
  );
});

test("[P3] a frame beyond the limit is refused by its length alone", () => {
  const writer = new ByteWriter();
  writer.u32(1001);
  writer.u32(0);
  writer.u8(frameTypes.ping);

  expect(readAll([writer.written()]).fault).toBe(
    "a frame of 1001 bytes is larger than the 1000 allowed",
  );
});

test("[P2] unknown types and empty frames are refused", () => {
  const writer = new ByteWriter();
  writer.u32(1);
  writer.u32(Bun.hash.crc32(Uint8Array.of(99)));
  writer.u8(99);

  expect(readAll([writer.written()]).fault).toBe("a frame has the unknown type 99");
  expect(readAll([new Uint8Array(12)]).fault).toBe("a frame is empty");
});

test("[P4] numbers from 0 to 2^53-1 and texts come back", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.maxSafeNat(), fc.string())), (pairs) => {
      const writer = new ByteWriter(1);
      for (const [number, text] of pairs) {
        writer.varint(number);
        writer.text(text);
      }
      const reader = new ByteReader(writer.written());

      const back = pairs.map(() => [reader.varint(), reader.text(10_000)]);

      expect(back).toEqual(pairs.map(([number, text]) => [number, Buffer.from(text).toString()]));
      expect([reader.fault, reader.remaining]).toEqual([undefined, 0]);
    }),
  );
});
