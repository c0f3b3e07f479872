/** Forms of payloads and results: what went in comes out, and nothing that lies about its size is unpacked. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  base64Of,
  blobForm,
  blobOf,
  bytesForm,
  bytesValueOf,
  compressForm,
  isPacked,
  jsonOf,
  problemOfForm,
  sizeOfForm,
} from "../../src/base/stored-value.ts";

test("JSON text comes back as it was, compressed or not", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(400), fc.nat(64), (text, times, aboveBytes) => {
      const whole = `[${Array(times + 1)
        .fill(text)
        .join(", ")}]`;

      const form = compressForm(whole, aboveBytes);

      expect(jsonOf(form)).toBe(whole);
      expect(bytesValueOf(form)).toBeUndefined();
      expect(form.length).toBeLessThanOrEqual(whole.length);
    }),
    { numRuns: 300 },
  );
});

test("bytes come back as they were, with their size and type", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), (random, repeats) => {
      const bytes = repeats ? Buffer.concat(Array(9).fill(random)) : Buffer.from(random);
      const base64 = bytes.toString("base64");

      const form = compressForm(bytesForm(base64, bytes.length, "image/png"), 64);

      expect(isPacked(form)).toBe(true);
      expect(jsonOf(form)).toBeUndefined();
      expect(base64Of(form)).toBe(base64);
      expect(bytesValueOf(form)).toEqual({
        bytes: bytes.length,
        type: "image/png",
        blob: undefined,
      });
    }),
    { numRuns: 300 },
  );
});

test("what compresses badly stays as it is", () => {
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(9000))).toString("base64");
  const form = JSON.stringify(noise);

  expect(compressForm(form, 4096)).toBe(form);
  expect(compressForm("[1,1,1,1,1,1]", 0)).toBe("[1,1,1,1,1,1]");
});

test("a compressed value is known by its size: one that would become larger is not unpacked", () => {
  const bomb = Bun.zstdCompressSync(new Uint8Array(50_000_000));

  expect(() => jsonOf(`~j 1000\n${bomb.toString("base64")}`)).toThrow(
    "a packed value of 1000 bytes whose frame says 50000000",
  );
  expect(() => jsonOf("~j 99999999999\nAAAA")).toThrow("a stored value that begins with");
  expect(() => jsonOf("~j 999999999\nAAAA")).toThrow("a packed value of 999999999 bytes");
});

test("a blob is named by its hash and counts with all its bytes", () => {
  const hash = "ab".repeat(32);
  const form = blobForm(hash, 5_000_000, "video/mp4");

  expect(blobOf(form)).toEqual({ hash, bytes: 5_000_000 });
  expect(bytesValueOf(form)).toEqual({ bytes: 5_000_000, type: "video/mp4", blob: hash });
  expect(sizeOfForm(form)).toBe(5_000_000 + form.length);
  expect(blobOf('"r"')).toBeUndefined();
});

test("a form that lacks the line between what it is and its data is refused before anybody reads it", () => {
  for (const form of ["~j 12", "~b 5 image/png", "~r 5 image/png"]) {
    expect(problemOfForm(form)).toBe("the form of a stored value");
  }
});
