import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import { jobStates } from "../../src/engine/job.ts";
import { filterLimits } from "../../src/engine/limits.ts";
import type { JobFilter, PayloadCondition } from "../../src/engine/query.ts";
import { filter as filterShape } from "../../src/engine/well-formed-filter.ts";
import { parseFilter } from "../../src/service/filter/parse.ts";
import { parseJq } from "../../src/service/filter/payload-jq.ts";
import { printFilter } from "../../src/service/filter/print.ts";

const nowMs = Date.parse("2030-06-15T12:00:00Z");
const hourMs = 3_600_000;
const env = { nowMs, toStoredPrefix: (prefix: string) => prefix };

function parsed(text: string): JobFilter {
  return parseFilter(text, env).filter;
}

function fault(text: string): CorvoError {
  return faultOf(() => parseFilter(text, env));
}

function faultOf(read: () => unknown): CorvoError {
  try {
    read();
  } catch (error) {
    if (error instanceof CorvoError) return error;
    throw error;
  }
  throw new Error("it was read");
}

describe("a filter as text", () => {
  test.each<[string, JobFilter]>([
    ["", {}],
    ["  ", {}],
    ["queue:mail state:dead,retrying", { queue: "mail", states: ["dead", "retrying"] }],
    ['tag.env:prod tag."a.b"="x y"', { tags: { env: "prod", "a.b": "x y" } }],
    ["attempt>=3 attempt<10", { attemptMin: 3, attemptMax: 9 }],
    ["attempt:2", { attemptMin: 2, attemptMax: 2 }],
    ["created<2h", { createdAfterMs: nowMs - 2 * hourMs }],
    ["created>2h", { createdBeforeMs: nowMs - 2 * hourMs }],
    ["scheduled<2h", { scheduledBeforeMs: nowMs + 2 * hourMs }],
    ["expires>1h30m", { expireAfterMs: nowMs + 1.5 * hourMs }],
    ["created>2030-06-01", { createdAfterMs: Date.parse("2030-06-01") }],
    [
      "completed>=2030-06-01T10:00:00Z",
      { completedAfterMs: Date.parse("2030-06-01T10:00:00Z") - 1 },
    ],
    [
      "started:2030-06-01",
      { startedAfterMs: Date.parse("2030-06-01") - 1, startedBeforeMs: Date.parse("2030-06-02") },
    ],
    ["payload.user.id=42", { payloadWhere: [{ path: ["user", "id"], operator: "=", value: 42 }] }],
    ['payload.name="42"', { payloadWhere: [{ path: ["name"], operator: "=", value: "42" }] }],
    ["payload.a!=null", { payloadWhere: [{ path: ["a"], operator: "!=", value: null }] }],
    ["payload.a^=ab", { payloadWhere: [{ path: ["a"], operator: "startsWith", value: "ab" }] }],
    ["payload.a~ab", { payloadWhere: [{ path: ["a"], operator: "contains", value: "ab" }] }],
    ["payload.a#>2", { payloadWhere: [{ path: ["a"], operator: ">", of: "length", value: 2 }] }],
    ['payload~"time out"', { payloadContains: "time out" }],
    ['error~"timeout"', { errorContains: "timeout" }],
    ['"free words" timeout', { words: ["free words", "timeout"] }],
    ["-state:completed", { states: jobStates.filter((state) => state !== "completed") }],
    ["-queue:mail", { not: [{ queue: "mail" }] }],
    ["queue!=mail", { not: [{ queue: "mail" }] }],
    ["NOT (queue:a timeout)", { not: [{ queue: "a", words: ["timeout"] }] }],
    ["-has:errors", { hasErrors: false }],
    [
      "worker:w1 unique:k batch:b chain:c parent:p id:job_0",
      {
        workerId: "w1",
        uniqueKey: "k",
        batchId: "b",
        chainId: "c",
        parentId: "p",
        jobIdPrefix: "job_0",
      },
    ],
    ["priority:high", { priority: expect.any(Number) as unknown as number }],
    ["queue:a,b", { any: [[{ queue: "a" }, { queue: "b" }]] }],
    ["queue:a OR state:dead", { any: [[{ queue: "a" }, { states: ["dead"] }]] }],
    ["(queue:a OR queue:b) AND x", { any: [[{ queue: "a" }, { queue: "b" }]], words: ["x"] }],
    ['payload."a[0]"=1', { payloadWhere: [{ path: ["a[0]"], operator: "=", value: 1 }] }],
    ["at.line[3] 12:30", { words: ["at.line[3]", "12:30"] }],
    ["12:30 u@example.com a-b ORDER", { words: ["12:30", "u@example.com", "a-b", "ORDER"] }],
    ["state:dead,held state:held", { states: ["held"] }],
    ["queue:a queue:b", { queue: "a", any: [[{ queue: "b" }]] }],
    ["created<2h created>2030-06-15T11:30:00Z", { createdAfterMs: nowMs - hourMs / 2 }],
  ])("reads %s", (text, filter) => {
    expect(parsed(text)).toEqual(filter);
  });

  test("says the order, once and outside of brackets", () => {
    expect(parseFilter("queue:a sort:completed.asc", env)).toEqual({
      filter: { queue: "a" },
      sort: "completed_at",
      order: "asc",
    });
    expect(fault("(sort:created)").message).toContain("outside of brackets");
    expect(fault("sort:created sort:attempt").message).toContain("one order");
    expect(fault("sort:size").message).toContain("priority");
  });

  test.each([
    ["quue:mail", 1, "did you mean queue?"],
    ["state:dead stat:x", 12, "did you mean state?"],
    ["http://example.com", 1, 'there is no field "http"'],
    ["state:deaf", 7, "states are"],
    ['queue:"mail', 7, "not closed"],
    ["queue:", 7, "a value is missing"],
    ["(queue:a", 1, "not closed"],
    ["queue:a)", 8, "closes nothing"],
    ["queue:a OR", 11, "missing"],
    ["()", 2, "missing"],
    ["attempt:many", 9, "no number of attempts"],
    ["created:2h", 9, "compared with < or >"],
    ["-payload.keep==true", 15, "begins with = stands in quotes"],
    ["payload.n:>5", 11, "begins with > stands in quotes"],
    ["payload.a.items[0].x!=1", 11, "named as in payload.items.0"],
    ["queue:a,=b", 9, "begins with = stands in quotes"],
    ["created<yesterday", 9, "is no time"],
    ["queue>mail", 7, "operator > does not go"],
    ["queue.x:mail", 1, "has no members"],
    ["tag:x", 5, "name the tag"],
    ["attempt:1,2", 10, "one value only"],
    ["priority:99", 10, "is no priority"],
    ['""', 1, "nothing between the quotes"],
    ["--x", 2, "must follow a minus"],
    ['"a\\q"', 1, "escape"],
    ["a ".repeat(101), 201, "filterPartsMax"],
    [`${"(".repeat(9)}a`, 8, "filterDepthMax"],
    [`payload${".a".repeat(40)}=1`, 73, "filterPathMax"],
  ])("refuses %s at position %d", (text, position, message) => {
    const error = fault(text);

    expect(error.code).toBe("SEARCH_ERROR");
    expect(error.message).toContain(`filter, position ${position} (`);
    expect(error.message).toContain(message);
  });

  test("reads back as the filter that it was printed from, and such a filter may reach the log", () => {
    fc.assert(
      fc.property(filterArbitrary, (filter) => {
        const text = printFilter(filter);

        expect(parsed(text)).toEqual(filter);
        expect(filterShape(JSON.parse(JSON.stringify(filter)))).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  test("is shown as a filter also where it has as many values or brackets as it may", () => {
    const values = Array.from({ length: filterLimits.partsMax }, (_, i) => `q${i}`);
    const deep = `${"-(x ".repeat(filterLimits.depthMax)}queue:a,b w${")".repeat(filterLimits.depthMax)}`;
    for (const text of [`queue:${values.join(",")}`, deep]) {
      expect(parsed(printFilter(parsed(text)))).toEqual(parsed(text));
    }
    expect(printFilter(parsed("queue!=a,b"))).toBe('-(queue:"a","b")');
  });

  test("never does anything but read or refuse, whatever it is", () => {
    const pieces = fc.constantFrom(
      ...["queue:", "(", ")", "-", "OR", " ", '"', "\\", "payload.", "a", "#>", "1", ",", "~", "="],
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.array(pieces, { maxLength: 30 }).map((all) => all.join("")),
        ),
        (text) => {
          try {
            const { filter } = parseFilter(text, env);
            expect(parsed(printFilter(filter))).toEqual(filter);
          } catch (error) {
            if (!(error instanceof CorvoError)) throw error;
          }
        },
      ),
      { numRuns: 3000 },
    );
  }, 60_000);
});

describe("payload_jq", () => {
  test.each<[string, PayloadCondition]>([
    [".a.b == 5", { path: ["a", "b"], operator: "=", value: 5 }],
    ['.a!="x y"', { path: ["a"], operator: "!=", value: "x y" }],
    [".a == null", { path: ["a"], operator: "=", value: null }],
    [" .a >= -1.5e3 ", { path: ["a"], operator: ">=", value: -1500 }],
    ['.a | startswith("x\\"y")', { path: ["a"], operator: "startsWith", value: 'x"y' }],
    ['.a|contains("x")', { path: ["a"], operator: "contains", value: "x" }],
    [".a.b | length < 3", { path: ["a", "b"], operator: "<", of: "length", value: 3 }],
  ])("reads %s", (text, condition) => {
    expect(parseJq(text)).toEqual(condition);
  });

  test.each([
    ".",
    ".a",
    ".a < null",
    ".a[0] == 1",
    ".a == .b",
    ".a == 1 and .b == 2",
    '.a | test("x")',
    ".a | contains(1)",
    "a == 1",
    '."a b" == 1',
    '.a == "\\x"',
  ])("refuses %s", (text) => {
    expect(() => parseJq(text)).toThrow("payload_jq");
  });

  test("what the hint of a refusal says to write is understood", () => {
    const hintOf = () => {
      try {
        parseJq(".a == 1 and .b == 2");
      } catch (thrown) {
        if (thrown instanceof CorvoError) return thrown.hint;
      }
      throw new Error("nothing was refused");
    };
    const written = /^Write (.+), (.+), (.+) or (.+), one of them; .* such as (.+)\.$/.exec(
      hintOf(),
    );
    const [, ...examples] = written ?? [];
    const ofFilter = examples.pop() ?? "";
    expect(examples.map((example) => parseJq(example))).toHaveLength(4);
    expect(parsed(ofFilter).payloadWhere).toHaveLength(2);
  });
});

const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8 }),
  fc.constantFrom("a b", '"', "\\", "a:b", "x,y", "(", "OR", "-", "é\u{1f600}", "\n"),
);
const word = text.filter((one) => one.trim() !== "");
const timeMs = fc.integer({ min: 0, max: 4_000_000_000_000 });
const condition: fc.Arbitrary<PayloadCondition> = fc.oneof(
  fc.record({
    path: fc.array(text, { maxLength: 3 }),
    operator: fc.constantFrom("=", "!=", "<", "<=", ">", ">="),
    value: fc.oneof(
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((one) => !Object.is(one, -0)),
      fc.boolean(),
      fc.constant(null),
    ),
  }),
  fc.record({
    path: fc.array(text, { maxLength: 3 }),
    operator: fc.constantFrom("startsWith", "contains"),
    value: text,
  }),
  fc.record({
    path: fc.array(text, { maxLength: 2 }),
    operator: fc.constantFrom("=", "!=", "<", "<=", ">", ">="),
    of: fc.constant("length" as const),
    value: fc.nat(),
  }),
);

const plain: fc.Arbitrary<JobFilter> = fc
  .record(
    {
      queue: text,
      states: fc.subarray([...jobStates], { minLength: 1 }),
      priority: fc.integer({ min: 0, max: 9 }),
      tags: fc.dictionary(text, fc.string({ maxLength: 5 }), {
        minKeys: 1,
        maxKeys: 2,
        noNullPrototype: true,
      }),
      payloadContains: text,
      errorContains: text,
      createdAfterMs: timeMs,
      scheduledBeforeMs: timeMs,
      startedAfterMs: timeMs,
      completedBeforeMs: timeMs,
      expireAfterMs: timeMs,
      attemptMin: fc.nat(1000),
      attemptMax: fc.nat(1000),
      uniqueKey: text,
      workerId: text,
      parentId: text,
      batchId: text,
      chainId: text,
      hasErrors: fc.boolean(),
      jobIdPrefix: text,
      errorGroup: text,
      payloadWhere: fc.array(condition, { minLength: 1, maxLength: 2 }),
      words: fc.array(word, { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .chain((all) => {
    const entries = Object.entries(all);
    const chosen = fc.subarray(entries, {
      minLength: Math.min(1, entries.length),
      maxLength: Math.min(4, entries.length),
    });
    return chosen.map((some) => Object.fromEntries(some) as JobFilter);
  })
  .filter((filter) => Object.keys(filter).length > 0);

/** Small enough for the bound on conditions. */
const filterArbitrary = fc
  .letrec<{ filter: JobFilter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 2 },
      plain,
      fc
        .record({
          base: plain,
          any: fc.array(fc.array(tie("filter"), { minLength: 2, maxLength: 3 }), { maxLength: 1 }),
          not: fc.array(tie("filter"), { maxLength: 2 }),
        })
        .map(({ base, any, not }) => ({
          ...base,
          ...(any.length === 0 ? {} : { any }),
          ...(not.length === 0 ? {} : { not }),
        })),
    ),
  }))
  .filter.filter((filter) => JSON.stringify(filter).length < 1500);
