/**
 * Anything may be sent to the executable: it is never answered 500, never ends the program, and what was refused has left
 * no trace in the log. One server takes it all, so damage done by one input would show in the answers to the next.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { TSchema } from "@sinclair/typebox";
import fc from "fast-check";
import type { Operation } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";
import { ClientFrame } from "../../src/api/stream.ts";
import { isErrorCode } from "../../src/base/errors.ts";
import { Place, type Server } from "../support/binary.ts";
import { textFor } from "../support/json-text.ts";
import { streamClient } from "../support/socket.ts";

let place: Place;
let server: Server;

beforeAll(async () => {
  place = await Place.create();
  server = await place.serve();
});

afterAll(async () => {
  await place[Symbol.asyncDispose]();
});

// A node that was told to drain refuses claims, as it should; nothing else here would tell it otherwise.
const all = (Object.entries(operations) as [string, Operation][]).filter(
  ([name]) => name !== "drainNode",
);
const writes = all.filter(([, operation]) => operation.method !== "GET");
/** Those that take JSON. */
const withBody = writes.filter(
  ([, { body, takes }]) => takes === "json" && propertiesOf(body).length > 0,
);

function propertiesOf(schema: TSchema): string[] {
  return Object.keys((schema["properties"] ?? {}) as object);
}

function pathOf(operation: Operation, part = "x"): string {
  return operation.path.replace(/\{\w+\}/g, encodeURIComponent(part));
}

async function appliedIndex(): Promise<number> {
  const { applied_index: index } = await server.json<{ applied_index: number }>(
    "GET",
    "/api/v1/status",
  );
  return index;
}

/** A refusal names one code of the table, and is not the server's fault. */
function expectRefusal(context: string, answer: { status: number; text: string }): void {
  expect([context, answer.status >= 400 && answer.status < 500]).toEqual([context, true]);
  const { code } = JSON.parse(answer.text) as { code: string };
  expect([context, isErrorCode(code)]).toEqual([context, true]);
}

const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;
const malformed: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>> = {
  "cut short": '{"queue":"q"',
  "not JSON": "queue=q&payload=1",
  "a list": "[]",
  "a text": '"q"',
  "a number": "1e999",
  null: "null",
  "too deep": `{"queue":"q","payload":${deep}}`,
  "deep braces": '{"a":'.repeat(5000),
  "half a surrogate": '{"queue":"\\ud800"}',
  "not UTF-8": new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  "a NUL": '{"queue":"q\u0000"}',
  "only spaces": "   ",
};

test.each(Object.entries(malformed))(
  "a body that is %s is refused by every operation and changes nothing",
  async (name, body) => {
    const before = await appliedIndex();

    for (const [operationName, operation] of withBody) {
      const context = `${operationName}: ${name}`;
      const answer = await server.call(operation.method, pathOf(operation), body);
      if (operation.bodyOptional && name === "a NUL") expect(answer.status).toBeLessThan(500);
      else expectRefusal(context, answer);
    }

    expect(await appliedIndex()).toBe(before);
  },
);

test("[A7] names over their length, numbers over their range and batches over their size are refused by name", async () => {
  const before = await appliedIndex();
  const long = "n".repeat(300);
  const cases: readonly [string, unknown, string][] = [
    ["/api/v1/enqueue", { queue: long }, "queue"],
    ["/api/v1/enqueue", { queue: "q", priority: 10 }, "priority"],
    ["/api/v1/enqueue", { queue: "q", max_retries: 1e300 }, "max_retries"],
    ["/api/v1/enqueue", { queue: "q", max_retries: -1 }, "max_retries"],
    ["/api/v1/enqueue", { queue: "q", unique_period: 1.5 }, "unique_period"],
    ["/api/v1/enqueue", { queue: "q", delay: "99999999h" }, "delay"],
    ["/api/v1/enqueue", { queue: "q", scheduled_at: "tomorrow" }, "scheduled_at"],
    ["/api/v1/enqueue", { queue: "q", unique_key: "k".repeat(600) }, "unique_key"],
    ["/api/v1/enqueue", { queue: "q", payload: "p".repeat(300_000) }, "payload"],
    ["/api/v1/enqueue/batch", { jobs: many({ queue: "q" }, 10_001) }, "maxItems"],
    ["/api/v1/enqueue/batch", { jobs: [] }, "jobs"],
    ["/api/v1/ack/batch", { acks: many({ job_id: "job_1" }, 10_001) }, "maxItems"],
    ["/api/v1/fail/batch", { fails: many({ job_id: "job_1", error: "x" }, 10_001) }, "maxItems"],
    ["/api/v1/fetch", { queues: many("q", 10_001) }, "maxItems"],
    ["/api/v1/fetch", { queues: ["q"], lease_ms: 1 }, "lease_ms"],
    ["/api/v1/jobs/bulk-get", { job_ids: many("job_1", 10_001) }, "maxItems"],
  ];

  for (const [path, body, named] of cases) {
    const answer = await server.call("POST", path, JSON.stringify(body));

    expectRefusal(`${path} ${named}`, answer);
    expect(answer.text).toContain(named);
    expect(answer.text.length).toBeLessThan(1200);
  }
  expect(await appliedIndex()).toBe(before);
});

test("bodies that nearly fit are served or refused, never a fault, and a refusal leaves no trace", async () => {
  const cases = fc.oneof(
    // A node that may join would be called at whatever address chance made up.
    ...withBody
      .filter(([name]) => name !== "joinCluster")
      .map(([, operation]) => textFor(operation.body).map((text) => ({ operation, text }))),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ({ operation, text }) => {
      // Waiting for jobs is no part of this test.
      if (operation.path.startsWith("/api/v1/fetch")) return;
      // Schedules and due times that calls before have made write entries too: so it is asked again.
      for (let turn = 1; ; turn++) {
        const before = await appliedIndex();
        const answer = await server.call(operation.method, pathOf(operation, "job_1"), text);

        expect(answer.status).toBeLessThan(500);
        // What was well-formed but named no such job has passed through the log; all else has not.
        const { code } = JSON.parse(answer.text) as { code?: string };
        const isChecked = ["PARSE_ERROR", "VALIDATION_ERROR", "PAYLOAD_TOO_LARGE"].includes(
          code ?? "",
        );
        const after = await appliedIndex();
        if (!isChecked || after === before) return;
        if (turn === 5) expect(after).toBe(before);
      }
    }),
    { numRuns: 400 },
  );
}, 20_000);

test("paths and queries of any kind are answered without a fault", async () => {
  const piece = fc.oneof(
    fc
      .string({ unit: "binary", maxLength: 300 })
      .map((text) => encodeURIComponent(text.toWellFormed())),
    fc.constantFrom(
      "%FF",
      "%2F",
      "%00",
      "..",
      "a;b",
      "x".repeat(5000),
      "job_00000000000000000000000000",
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...all), piece, piece, async ([, operation], part, query) => {
      if (operation.path.endsWith("/wait")) return;
      const path = operation.path.replace(/\{\w+\}/g, part);
      const answer = await server.call(
        operation.method,
        `${path}?${query}=${query}&limit=${query}`,
        operation.method === "GET" ? undefined : "{",
      );

      expect(answer.status).toBeLessThan(500);
    }),
    { numRuns: 300 },
  );
}, 20_000);

test("frames of any kind are answered or end their connection, and the next connection works", async () => {
  const frames = fc.oneof(
    textFor(ClientFrame),
    fc.string({ maxLength: 60 }),
    fc.constantFrom(...Object.values(malformed).filter((body) => typeof body === "string")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(frames, { minLength: 1, maxLength: 6 }), async (texts) => {
      const client = await streamClient(server.url);
      for (const text of texts) client.socket.send(text);
      const ended = await Promise.race([client.closed, client.next()]);
      client.socket.close();

      if ("code" in ended && "reason" in ended) expect(ended.code).not.toBe(1011);
    }),
    { numRuns: 100 },
  );
  const client = await streamClient(server.url);
  client.socket.send('{"id":1,"enqueue":[{"queue":"alive"}]}');

  expect(await client.next()).toMatchObject({ id: 1, enqueue: [{ status: "pending" }] });
  client.socket.close();
}, 20_000);

test("after all of it the server is healthy, logged no fault, and starts again", async () => {
  expect((await server.call("GET", "/healthz")).status).toBe(200);
  expect(server.stderr).not.toMatch(/"level":"(?:error|fatal)"/);
  expect(await server.stop("SIGKILL")).not.toBe(70);
  server = await place.serve();
  expect((await server.call("GET", "/healthz")).status).toBe(200);
});

function many<T>(item: T, count: number): T[] {
  return Array.from({ length: count }, () => item);
}
