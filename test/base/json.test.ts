/** JSON that keeps raw text: against `JSON.parse` as the oracle for values, and the source text for raw ones. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseJson, RawJson, type RawTree, stringifyJson } from "../../src/base/json.ts";
import { jsonText, keyName, scalarText, stringText } from "../support/json-text.ts";

const payloadTree: RawTree = { members: { payload: "raw" } };

function parsed(text: string, tree: RawTree | undefined = undefined, depthMax = 64): unknown {
  const result = parseJson(text, tree, depthMax);
  if (!result.ok) throw new Error(`${result.problem}: ${result.message}`);
  return result.value;
}

/** Replaces every raw value by what its text means, so that the result can be compared with the oracle. */
function unwrapped(value: unknown): unknown {
  if (value instanceof RawJson) return value.parse();
  if (Array.isArray(value)) return value.map(unwrapped);
  if (typeof value !== "object" || value === null) return value;
  const out = {};
  for (const [key, member] of Object.entries(value)) {
    Object.defineProperty(out, key, {
      value: unwrapped(member),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return out;
}

test("without raw values a document parses as JSON.parse does", () => {
  fc.assert(
    fc.property(jsonText, (text) => {
      expect(parsed(text)).toEqual(JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
});

test("a raw value is exactly the slice of the source", () => {
  const space = fc.constantFrom("", " ", "\n", "\t\r\n ");
  fc.assert(
    fc.property(jsonText, jsonText, jsonText, space, (before, raw, after, gap) => {
      const text = `${gap}{${gap}"a"${gap}:${before},"p\\u0061yload"${gap}:${gap}${raw}${gap},"z":${after}}${gap}`;

      const value = parsed(text, payloadTree) as { readonly payload: unknown };

      expect(value.payload).toEqual(raw === "null" ? null : new RawJson(raw));
    }),
    { numRuns: 1000 },
  );
});

test("whatever stays raw, the document means the same as to JSON.parse, repeated keys included", () => {
  const trees = fc.letrec<{ tree: RawTree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.constant("raw" as const),
      tie("tree").map((elements) => ({ elements })),
      fc
        .dictionary(keyName, tie("tree"), { maxKeys: 4, noNullPrototype: true })
        .map((members) => ({ members })),
    ),
  })).tree;
  // Few distinct keys, so that they meet those of the tree and each other.
  const keys = fc.constantFrom(
    '"payload"',
    '"\\u0070ayload"',
    '"__proto__"',
    '"0"',
    '"length"',
    '"constructor"',
    '"tags"',
  );
  const texts = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      scalarText,
      fc.array(tie("value"), { maxLength: 3 }).map((items) => `[ ${items.join(" ,")}]`),
      fc
        .array(fc.tuple(keys, tie("value")), { maxLength: 5 })
        .map((pairs) => `{${pairs.map(([key, value]) => `${key} :${value}`).join(", ")} }`),
    ),
  })).value;
  fc.assert(
    fc.property(fc.oneof(texts, jsonText), trees, (text, tree) => {
      expect(unwrapped(parsed(text, tree))).toEqual(JSON.parse(text));
    }),
    { numRuns: 5000 },
  );
  expect(Object.keys(Object.prototype)).toEqual([]);
});

test("raw values lie at the members, elements and map values that the tree names, and nowhere else", () => {
  const tree: RawTree = {
    members: { jobs: { elements: { members: { payload: "raw" } } }, by: { elements: "raw" } },
  };

  const value = parsed(
    '{"payload":1,"jobs":[{"payload":[1.0],"x":{"payload":2}},{"y":3},4],"by":{"payload":1e2,"a":null}}',
    tree,
  );

  expect(value).toEqual({
    payload: 1,
    jobs: [{ payload: new RawJson("[1.0]"), x: { payload: 2 } }, { y: 3 }, 4],
    by: { payload: new RawJson("1e2"), a: null },
  });
});

test("the last of repeated keys wins, also when it is null or of another kind", () => {
  expect(parsed('{"payload":1,"payload":null}', payloadTree)).toEqual({ payload: null });
  expect(parsed('{"payload":null,"payload":2}', payloadTree)).toEqual({
    payload: new RawJson("2"),
  });
  const map: RawTree = { members: { m: { elements: "raw" } } };
  expect(parsed('{"m":{"length":7},"m":[1,2]}', map)).toEqual({
    m: [new RawJson("1"), new RawJson("2")],
  });
});

test("__proto__ becomes a member and never a prototype", () => {
  const tree: RawTree = { elements: { elements: "raw" } };

  const value = parsed('{"__proto__":{"polluted":1},"a":{"__proto__":{"b":1.0}}}', tree) as object;
  parsed('{"x":{"__proto__":{"toString":1}},"x":{}}', {
    elements: { elements: { elements: "raw" } },
  });

  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(Object.keys(value)).toEqual(["__proto__", "a"]);
  expect(stringifyJson(value)).toBe('{"__proto__":{"polluted":1},"a":{"__proto__":{"b":1.0}}}');
  expect(({} as { readonly polluted?: unknown }).polluted).toBeUndefined();
  expect(Object.prototype.toString).toBeFunction();
});

test("nesting is refused one level beyond the limit, and brackets in strings do not count", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

  expect(parseJson(nested(5), undefined, 5).ok).toBe(true);
  expect(parseJson(nested(6), undefined, 5)).toMatchObject({ ok: false, problem: "depth" });
  expect(parseJson(`["${"[".repeat(50)}\\"[[","\\\\"]`, undefined, 1).ok).toBe(true);
  expect(parseJson(nested(1_000_000), undefined, 128)).toMatchObject({ problem: "depth" });
  expect(parseJson(`{"payload":${nested(9)}}`, payloadTree, 10).ok).toBe(true);
  expect(parseJson(`{"payload":${nested(10)}}`, payloadTree, 10)).toMatchObject({
    problem: "depth",
  });
  expect(parseJson(`{"x":${nested(10)},"payload":1}`, payloadTree, 10)).toMatchObject({
    problem: "depth",
  });
  expect(parseJson(nested(11), "raw", 10)).toMatchObject({ problem: "depth" });
  expect(parseJson(`[[1],${nested(4)}]`, undefined, 5).ok).toBe(true);
});

test("the measured depth is the depth of the value", () => {
  const depthOf = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? 1 + Math.max(0, ...Object.values(value).map(depthOf))
      : 0;
  const trees = fc.constantFrom<RawTree | undefined>(undefined, "raw", payloadTree, {
    elements: { members: { payload: "raw", tags: { elements: "raw" } } },
  });
  fc.assert(
    fc.property(jsonText, trees, fc.nat(5), (text, tree, depthMax) => {
      // A losing duplicate may be deeper than the value that won: it counts, since it was sent.
      const deep = depthOf(JSON.parse(text)) > depthMax;
      const refused = !parseJson(text, tree, depthMax).ok;

      if (deep) expect(refused).toBe(true);
      if (refused && !deep) expect(text).toMatch(/"(\\.|[^"\\])*"\s*:/);
    }),
    { numRuns: 2000 },
  );
});

test("text that is not JSON is refused, never thrown", () => {
  const broken = fc.oneof(
    fc.string(),
    fc.tuple(jsonText, fc.nat()).map(([text, at]) => text.slice(0, at % text.length)),
    fc
      .tuple(jsonText, fc.nat(), fc.string({ minLength: 1, maxLength: 2 }))
      .map(
        ([text, at, more]) => text.slice(0, at % text.length) + more + text.slice(at % text.length),
      ),
  );
  fc.assert(
    fc.property(
      broken,
      fc.constantFrom<RawTree | undefined>(undefined, "raw", payloadTree),
      (text, tree) => {
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }

        expect(parseJson(text, tree, 64).ok).toBe(valid);
      },
    ),
    { numRuns: 2000 },
  );
});

test("a whole raw document keeps its text without the spacing around it", () => {
  expect(parsed(' \n{"a": 1.0}\t', "raw")).toEqual(new RawJson('{"a": 1.0}'));
});

test("stringifyJson writes what JSON.stringify writes", () => {
  const values = fc.oneof(
    jsonText.map((text) => JSON.parse(text) as unknown),
    fc
      .anything({ withNullPrototype: true, maxDepth: 3 })
      .filter((value) => value !== undefined && isPlain(value)),
  );
  fc.assert(
    fc.property(values, (value) => {
      expect(stringifyJson(value)).toBe(JSON.stringify(value));
    }),
    { numRuns: 1000 },
  );
});

test("stringifyJson writes raw values as their text, so what was parsed can be written again", () => {
  fc.assert(
    fc.property(jsonText, stringText(keyName), (raw, key) => {
      fc.pre(key !== '"payload"' && JSON.parse(key) !== "payload" && raw !== "null");
      fc.pre(!/^"(0|1)"$/.test(key));
      const text = `{"payload":${raw},${JSON.stringify(JSON.parse(key))}:1}`;

      expect(stringifyJson(parsed(text, payloadTree))).toBe(text);
    }),
  );
});

test("stringifyJson leaves out undefined members and writes numbers that JSON lacks as null", () => {
  expect(
    stringifyJson({ a: undefined, b: [undefined, Number.NaN], c: Number.POSITIVE_INFINITY }),
  ).toBe('{"b":[null,null],"c":null}');
});

/** Values whose members are all data; functions, dates and such are no business of this writer. */
function isPlain(value: unknown): boolean {
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function")
    return false;
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  if ("toJSON" in value) return false;
  return Object.values(value).every(isPlain);
}

test("the time to parse grows with the length of the text, not with its square", () => {
  const jobs = (count: number) =>
    `[${Array.from({ length: count }, () => '{"queue":"mail","payload":{"n":1.0},"tags":{"a":"b"}}').join(",")}]`;
  const tree: RawTree = { elements: payloadTree };
  const fastestMs = (text: string) => {
    const runs = Array.from({ length: 4 }, () => {
      const startMs = performance.now();
      parsed(text, tree);
      return performance.now() - startMs;
    });
    return Math.min(...runs);
  };
  const small = jobs(2000);
  const large = jobs(40_000);
  fastestMs(small);

  // Twenty times the text: a quadratic parser would need four hundred times as long.
  expect(fastestMs(large) / fastestMs(small)).toBeLessThan(100);
});
