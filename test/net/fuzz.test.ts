/** Whatever is sent, the answer is never 500, and nothing that breaks a schema reaches a handler. */
import { expect, test } from "bun:test";
import type { TSchema } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { Value } from "@sinclair/typebox/value";
import fc from "fast-check";
import type { Operation } from "../../src/api/operation.ts";
import { type OperationName, operations } from "../../src/api/operations.ts";
import { ClientFrame } from "../../src/api/stream.ts";
import { isErrorCode } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import { findProblem } from "../../src/net/http/check.ts";
import { httpFixture } from "../support/http-app.ts";
import { jsonText, textFor } from "../support/json-text.ts";

const withBody = (Object.entries(operations) as [OperationName, Operation][]).filter(
  ([, { body, takes }]) =>
    takes === "json" && Object.keys((body["properties"] ?? {}) as object).length > 0,
);
const checks = new Map(
  withBody.map(([name, operation]) => [name, TypeCompiler.Compile(operation.body)]),
);

const prototypeName = new RegExp(Object.getOwnPropertyNames(Object.prototype).join("|"));

/** Would the operation take this body? */
function fits({ body, ignoresUnknown }: Operation, text: string): boolean {
  const value: unknown = JSON.parse(text);
  if (!Value.Check(body, value)) return false;
  return ignoresUnknown || Bun.deepEquals(Value.Clean(body, JSON.parse(text)), value);
}

const fixture = httpFixture({ limits: { payloadBytesMax: 400, jsonDepthMax: 20 } });

/** One request to an app that serves all of these tests; only this call's traces are in the fixture afterwards. */
async function send(operation: Operation, body: string | Uint8Array<ArrayBuffer>) {
  fixture.calls.length = 0;
  const path = operation.path.replace(/\{\w+\}/, "x");
  const reply = await fixture.app.handle(
    new Request(`http://localhost${path}`, { method: operation.method, body }),
  );
  const answer = (await reply.json()) as { readonly code: string; readonly error: string };
  return { reply, answer };
}

test("[A2] JSON that mostly fits is served if and only if it fits, and never answered 500", async () => {
  const cases = fc.oneof(
    ...withBody.map(([, operation]) =>
      textFor(operation.body).map((text) => ({ operation, text })),
    ),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ({ operation, text }) => {
      const { answer } = await send(operation, text);

      expect(isErrorCode(answer.code)).toBe(true);
      expect(fixture.lines).toEqual([]);
      const reached = fixture.calls.length === 1;
      if (reached) expect(fits(operation, text)).toBe(true);
      else expect(answer.code).not.toBe("NOT_FOUND");
      // The schema library looks for unknown names in the prototype as well.
      const isOdd = prototypeName.test(JSON.stringify(JSON.parse(text)));
      const plain = text.length * 3 < 400 && !/\\u[dD]/.test(text) && !isOdd;
      if (plain && fits(operation, text)) expect(reached).toBe(true);
      // The message is a sentence about one field, not an echo of the body.
      expect(answer.error.length).toBeLessThan(600);
    }),
    { numRuns: 3000 },
  );
}, 20_000);

test("[A2] arbitrary bytes are refused with 400 or served as the JSON they are", async () => {
  const bodies = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => new Uint8Array(bytes)),
    fc.string({ minLength: 1, maxLength: 60 }),
    jsonText,
    fc.tuple(jsonText, fc.nat(), fc.string({ maxLength: 2 })).map(([text, at, insert]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + insert + text.slice(place + 1);
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...withBody), bodies, async ([name, operation], body) => {
      const { reply } = await send(operation, body);

      expect(reply.status).toBeLessThan(500);
      expect(fixture.lines).toEqual([]);
      for (const call of fixture.calls) {
        const input = call.input as { readonly body: unknown };
        expect(checks.get(name)?.Check(input.body)).toBe(true);
      }
    }),
    { numRuns: 2000 },
  );
});

test("[A3] the payload that reaches the handler is the text that was sent", async () => {
  await fc.assert(
    fc.asyncProperty(jsonText, jsonText, async (payload, other) => {
      const body = `{"x":${other},"queue":"q", "payload" :\n${payload}\t,"tags":{"payload":"1"}}`;
      fc.pre(body.length * 3 < 400);

      await send(operations.enqueueJob as Operation, body);

      const [call] = fixture.calls;
      fc.pre(call !== undefined);
      const sent = (call.input as { readonly body: { readonly payload: unknown } }).body.payload;
      expect(sent).toEqual(payload === "null" ? null : new RawJson(payload));
    }),
    { numRuns: 1000 },
  );
});

test("[A5] [A6] arbitrary paths and queries are never answered 500", async () => {
  const piece = fc.oneof(
    fc
      .string({ unit: "binary", maxLength: 300 })
      .map((text) => encodeURIComponent(text.toWellFormed())),
    fc.constantFrom(
      "%",
      "%FF",
      "%C3%28",
      "%2F",
      "%00",
      "..",
      "%2e%2e",
      "a;b",
      "+",
      "&",
      "=&=",
      "?",
    ),
    fc.stringMatching(/^[!-~]{0,20}$/),
  );
  const paths = fc.constantFrom(
    ...new Set(Object.values(operations).map((operation) => operation.path)),
  );
  const { app, lines } = httpFixture();
  await fc.assert(
    fc.asyncProperty(paths, piece, piece, piece, async (path, param, name, value) => {
      const url = `http://localhost${path.replace(/\{\w+\}/, () => param)}?limit=${value}&${name}=${value}`;
      fc.pre(URL.canParse(url));

      for (const method of ["GET", "DELETE", "OPTIONS", "PATCH"]) {
        const reply = await app.handle(new Request(url, { method }));
        expect(reply.status).toBeLessThan(500);
      }
      expect(lines).toEqual([]);
    }),
    { numRuns: 1500 },
  );
});

test("every operation of the table is served by its own handler", async () => {
  for (const [name, operation] of Object.entries(operations) as [OperationName, Operation][]) {
    const text = fc
      .sample(textFor(operation.body), 500)
      .filter((candidate) => Value.Check(operation.body, JSON.parse(candidate)))
      .map((candidate) => JSON.stringify(Value.Clean(operation.body, JSON.parse(candidate))))
      .find((candidate) => candidate.length < 2000 && !/\\u|__proto__|constructor/.test(candidate));
    fixture.calls.length = 0;

    const path = operation.path.replace(/\{\w+\}/, "x");
    const { method } = operation;
    const query = Object.hasOwn(operation.query.properties, "q") ? "?q=x" : "";
    await fixture.app.handle(
      new Request(`http://localhost${path}${query}`, {
        method,
        ...(method === "GET" || text === undefined ? {} : { body: text }),
      }),
    );

    expect(fixture.calls.map((call) => call.name)).toEqual([name]);
  }
}, 20_000);

test("the worded check and the compiled one give the same verdict", () => {
  const schemas: TSchema[] = [
    ...withBody.map(([, operation]) => operation.body),
    ...Object.values(operations).flatMap((operation: Operation) => [
      operation.params,
      operation.query,
    ]),
    ClientFrame,
  ];
  const compiled = schemas.map((schema) => ({ schema, check: TypeCompiler.Compile(schema) }));
  const cases = fc.oneof(
    ...compiled.map(({ schema, check }) =>
      textFor(schema).map((text) => ({ schema, check, text })),
    ),
  );
  fc.assert(
    fc.property(cases, ({ schema, check, text }) => {
      const value: unknown = JSON.parse(text);

      expect(findProblem(schema, value, "") === undefined).toBe(check.Check(value));
    }),
    { numRuns: 5000 },
  );
}, 30_000);

const refusals: readonly {
  readonly what: string;
  readonly name: OperationName;
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly status: number;
  readonly code: string;
  readonly error: string | RegExp;
}[] = [
  {
    what: "no body",
    name: "enqueueJob",
    body: "",
    status: 400,
    code: "PARSE_ERROR",
    error: "the body is empty; a JSON object was expected",
  },
  {
    what: "broken JSON",
    name: "ackJob",
    body: "{",
    status: 400,
    code: "PARSE_ERROR",
    error: /^not valid JSON: /,
  },
  {
    what: "bytes that are not UTF-8",
    name: "enqueueJob",
    body: new Uint8Array([0x22, 0xff, 0x22]),
    status: 400,
    code: "PARSE_ERROR",
    error: "the body of 3 bytes is not valid UTF-8",
  },
  {
    what: "deep nesting",
    name: "enqueueJob",
    body: `{"queue":"q","payload":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    status: 400,
    code: "PARSE_ERROR",
    error: "the JSON is nested deeper than 20 levels (limit jsonDepthMax)",
  },
  {
    what: "an array for an object",
    name: "ackJob",
    body: "[]",
    status: 400,
    code: "VALIDATION_ERROR",
    error: "the body: expected an object, got an array of 0",
  },
  {
    what: "a missing field",
    name: "enqueueJobs",
    body: '{"jobs":[{"queue":"q"},{}]}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "jobs[1].queue: is required and was not sent",
  },
  {
    what: "a field that only the prototype has",
    name: "enqueueJob",
    body: '{"__proto__":{"queue":"q"}}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "queue: is required and was not sent",
  },
  {
    what: "a key in another case",
    name: "enqueueJob",
    body: '{"Queue":"q"}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "queue: is required and was not sent",
  },
  {
    what: "a wrong enum",
    name: "enqueueJob",
    body: '{"queue":"q","retry_backoff":"often"}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: 'retry_backoff: expected "none" or "fixed" or "linear" or "exponential", got "often"',
  },
  {
    what: "a number out of range",
    name: "enqueueJob",
    body: '{"queue":"q","priority":12}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "priority: expected an integer of 0 to 9, got 12",
  },
  {
    what: "a number beyond all numbers",
    name: "enqueueJob",
    body: '{"queue":"q","max_retries":1e999}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "max_retries: expected an integer of 0 to 1000000, got Infinity",
  },
  {
    what: "a fraction for an integer",
    name: "enqueueJob",
    body: '{"queue":"q","max_retries":1.5}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "max_retries: expected an integer of 0 to 1000000, got 1.5",
  },
  {
    what: "a long queue name",
    name: "enqueueJob",
    body: `{"queue":"${"q".repeat(256)}"}`,
    status: 400,
    code: "VALIDATION_ERROR",
    error: /^queue: expected a string of 1 to 255 characters.*…" \(256 characters\)$/,
  },
  {
    what: "a tag that is no text",
    name: "enqueueJob",
    body: '{"queue":"q","tags":{"a b":1}}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: 'tags["a b"]: expected a string of at most 256 characters, got 1',
  },
  {
    what: "a tag name with a line break and a bad value",
    name: "enqueueJob",
    body: '{"queue":"q","tags":{"a\\nb":1}}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: 'tags["a\\nb"]: expected a string of at most 256 characters, got 1',
  },
  {
    what: "half a surrogate pair",
    name: "enqueueJob",
    body: '{"queue":"q","tags":{"a":"\\ud800"}}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: 'tags.a: half of a surrogate pair is not text, got "�"',
  },
  {
    what: "half a surrogate pair in a name",
    name: "enqueueJob",
    body: '{"queue":"q","tags":{"\\udc00":"x"}}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: 'tags: half of a surrogate pair is not text, got "�"',
  },
  {
    what: "a large payload",
    name: "enqueueJob",
    body: `{"queue":"q","payload":"${"é".repeat(200)}"}`,
    status: 413,
    code: "PAYLOAD_TOO_LARGE",
    error: "payload has 402 bytes; the limit payloadBytesMax (--max-payload-size) is 400",
  },
  {
    what: "too many jobs",
    name: "enqueueJobs",
    body: JSON.stringify({ jobs: Array.from({ length: 10_001 }, () => ({ queue: "q" })) }),
    status: 400,
    code: "LIMIT_EXCEEDED",
    error: "jobs: at most 10000 items (maxItems) in one call, got 10001",
  },
  {
    what: "too many tags",
    name: "enqueueJob",
    body: JSON.stringify({
      queue: "q",
      tags: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [i, "x"])),
    }),
    status: 400,
    code: "LIMIT_EXCEEDED",
    error: "tags: at most 64 members (maxProperties) in one call, got 65",
  },
  {
    what: "too few items",
    name: "ackJobs",
    body: '{"acks":[]}',
    status: 400,
    code: "VALIDATION_ERROR",
    error: "acks: expected at least 1 item, got 0",
  },
];

for (const { what, name, body, status, code, error } of refusals) {
  test(`[${code === "LIMIT_EXCEEDED" ? "A7" : "A2"}] ${what} is refused with ${code}`, async () => {
    const { reply, answer } = await send(operations[name] as Operation, body);

    if (typeof error === "string") expect(answer.error).toBe(error);
    else expect(answer.error).toMatch(error);
    expect([reply.status, answer.code]).toEqual([status, code]);
    expect(fixture.calls).toEqual([]);
  });
}

test("[A2] null and unknown members and an empty optional body are fine", async () => {
  const cases: [OperationName, string, unknown][] = [
    ["ackJob", "", {}],
    ["ackJob", "{}", {}],
    ["ackJob", '{"result":null,"usage":{"a":1}}', { result: null, usage: { a: 1 } }],
    [
      "enqueueJob",
      '{"queue":"q","tags":null,"delay":null}',
      { queue: "q", tags: null, delay: null },
    ],
    [
      "enqueueJob",
      '{"queue":"p","queue":"q","payload":1,"payload":2}',
      { queue: "q", payload: new RawJson("2") },
    ],
    ["enqueueJob", '{"queue":"q","payload":1,"payload":null}', { queue: "q", payload: null }],
    ["enqueueJob", '\ufeff{"queue":"q"}', { queue: "q" }],
  ];

  for (const [name, body, expected] of cases) {
    await send(operations[name] as Operation, body);
    expect(fixture.calls).toMatchObject([{ name, input: { body: expected } }]);
  }
});
