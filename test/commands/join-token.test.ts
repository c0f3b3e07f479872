/** Join tokens: what goes in comes out, and nothing that is damaged is believed. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatJoinToken, readJoinToken } from "../../src/commands/_shared/join-token.ts";

const tokens = fc.record({
  clusterId: fc.uuid(),
  secret: fc.option(fc.string({ unit: "grapheme", minLength: 1 }), { nil: undefined }),
});

test("a token is one word, and has the cluster and its secret", () => {
  fc.assert(
    fc.property(tokens, (token) => {
      const word = formatJoinToken(token);
      expect(word).toMatch(/^[\w.-]+$/);
      expect(readJoinToken(`${word}\n`)).toEqual(token);
    }),
  );
});

test("one character that is another, or missing, is noticed, and never shown", () => {
  fc.assert(
    fc.property(tokens, fc.nat(), fc.constantFrom("", "x", "0", "."), (token, at, other) => {
      const word = formatJoinToken(token);
      const place = at % word.length;
      const broken = word.slice(0, place) + other + word.slice(place + 1);
      fc.pre(broken !== word);
      let error: unknown;
      try {
        readJoinToken(broken);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).not.toContain(word.slice(8, 40));
    }),
  );
});

test("a format of a later program is named", () => {
  expect(() => readJoinToken("corvo2.abc.00000000")).toThrow("of format corvo2");
  expect(() => readJoinToken("secret")).toThrow("this is no join token");
});
