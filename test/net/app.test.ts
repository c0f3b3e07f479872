/** The HTTP surface over a real socket: what a client sees of routes, statuses, headers and failures. */
import { expect, test } from "bun:test";
import { Reply } from "../../src/api/operations.ts";
import { AssertionError } from "../../src/base/assert.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import { httpFixture } from "../support/http-app.ts";
import { exchange } from "../support/socket.ts";

const post = (body: unknown): RequestInit => ({
  method: "POST",
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const enqueued = { job_id: "job_1", status: "pending", unique_existing: false } as const;

test("a body reaches its handler and the result comes back with the status of the table", async () => {
  await using fixture = httpFixture({ handlers: { enqueueJob: async () => enqueued } });
  const url = fixture.listen();

  const reply = await fetch(`${url}/api/v1/enqueue`, post({ queue: "mail", payload: { a: 1 } }));

  expect(reply.status).toBe(201);
  expect(reply.headers.get("content-type")).toBe("application/json");
  expect(await reply.json()).toEqual(enqueued);
  expect(fixture.calls).toEqual([
    {
      name: "enqueueJob",
      input: { params: {}, query: {}, body: { queue: "mail", payload: new RawJson('{"a":1}') } },
    },
  ]);
});

test("[A3] a payload arrives byte for byte", async () => {
  await using fixture = httpFixture({ handlers: { enqueueJob: async () => enqueued } });
  const url = fixture.listen();
  const payloads = [
    '{"n":12345678901234567890,"b":1.0,"a":"é"}',
    '{ "x" : [ 1.0 , 2e3 ],\n\t"payload":{"payload":"\\u00e9\\ud83d\\ude00\\/"} }',
    '"\\ud800"',
    "-0.0",
    '[{"payload":1,"result":2,"tags":{"payload":null}}]',
  ];

  for (const payload of payloads) {
    const text = `{"queue":"q","tags":{"payload":"p","result":"r"}, "payload" : ${payload} ,"x":{"payload":1}}`;
    expect((await fetch(`${url}/api/v1/enqueue`, post(text))).status).toBe(201);
  }

  const bodies = fixture.calls.map((call) => (call.input as { body: { payload: RawJson } }).body);
  expect(bodies.map((body) => body.payload.text)).toEqual(payloads);
});

test("a handler may answer with another status, or with none of a body", async () => {
  await using fixture = httpFixture({
    handlers: {
      enqueueJob: async () => new Reply(200, { ...enqueued, status: "duplicate" as const }),
      fetchJob: async () => new Reply<never>(204, undefined),
    },
  });
  const url = fixture.listen();

  const duplicate = await fetch(`${url}/api/v1/enqueue`, post({ queue: "q" }));
  const nothing = await fetch(`${url}/api/v1/fetch`, post({ queues: ["q"] }));

  expect(duplicate.status).toBe(200);
  expect(await duplicate.json()).toMatchObject({ status: "duplicate" });
  expect(nothing.status).toBe(204);
  expect(await nothing.text()).toBe("");
});

test("[A8] every reply carries CORS headers and its duration", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();

  const hash = "0".repeat(64);
  const read = ["/openapi.json", "/metrics", "/api/v1/metrics", `/api/v1/blobs/${hash}`];
  for (const path of ["/nowhere", "/api/v1/queues/a", ...read]) {
    const reply = await fetch(url + path);
    expect(reply.headers.get("access-control-allow-origin")).toBe("*");
    expect(reply.headers.get("access-control-allow-methods")).toBe(
      "GET, POST, PUT, DELETE, OPTIONS",
    );
    expect(reply.headers.get("server-timing")).toMatch(/^proc;dur=\d+(\.\d+)?$/);
  }
});

test("[A8] OPTIONS is answered with 200 on any path", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();

  for (const path of ["/api/v1/enqueue", "/nowhere", "/"]) {
    const reply = await fetch(url + path, { method: "OPTIONS" });
    expect(reply.status).toBe(200);
    expect(reply.headers.get("access-control-allow-headers")).toContain("X-API-Key");
  }
});

test("[A9] an unknown path is 404 and a wrong method 405 with the methods there are", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();

  const unknown = await fetch(`${url}/api/v1/nothing`);
  const wrong = await fetch(`${url}/api/v1/enqueue`, { method: "DELETE" });

  expect([unknown.status, ((await unknown.json()) as { code: string }).code]).toEqual([
    404,
    "NOT_FOUND",
  ]);
  expect(wrong.status).toBe(405);
  expect(wrong.headers.get("allow")).toBe("OPTIONS, POST");
  expect(await wrong.json()).toMatchObject({ code: "METHOD_NOT_ALLOWED" });
});

test("calls for a namespace are refused, on fixed paths, with names in them, and for streams", async () => {
  await using fixture = httpFixture({ handlers: { enqueueJob: async () => enqueued } });
  const url = fixture.listen();
  const ours = ["/enqueue", "/jobs/job_1", "/stream", "/events", "/blobs/x"];
  const foreign = ["/v1/queues", "/v1/codeq/tasks/job_1", "/v1/codeq/admin/queues"];

  for (const path of [...ours.map((path) => `/api/v1${path}`), ...foreign]) {
    const init = path === "/api/v1/enqueue" ? post({ queue: "q" }) : {};
    const headers = { "x-corvo-namespace": "acme" };
    const reply = await fetch(url + path, { ...init, headers });
    const { code, error } = (await reply.json()) as { code: string; error: string };
    expect([reply.status, code]).toEqual([422, "UNSUPPORTED"]);
    expect(error).toContain('"acme"');
  }
  expect(fixture.calls).toEqual([]);

  const headers = { "x-corvo-namespace": "default" };
  const init = { ...post({ queue: "q" }), headers };
  expect((await fetch(`${url}/api/v1/enqueue`, init)).status).toBe(201);
});

test("a query, a trailing slash or a short host name do not change the route", async () => {
  await using fixture = httpFixture({ handlers: { enqueueJob: async () => enqueued } });
  const url = fixture.listen();

  for (const path of ["/api/v1/enqueue?x=1", "/api/v1/enqueue/", "/api/v1/enqueue/?"]) {
    const text = await exchange(
      url,
      `POST ${path} HTTP/1.1\r\nHost: q\r\nContent-Length: 13\r\n\r\n{"queue":"q"}`,
    );
    expect(text).toStartWith("HTTP/1.1 201");
  }
});

test("[A4] HEAD is answered like GET, without the body", async () => {
  await using fixture = httpFixture({ handlers: { health: async () => ({ status: "ok" }) } });
  const url = fixture.listen();

  const reply = await fetch(`${url}/healthz`, { method: "HEAD" });

  expect([reply.status, await reply.text()]).toEqual([200, ""]);
});

test("[A5] path parameters are decoded, so a queue name may hold a slash", async () => {
  await using fixture = httpFixture({
    handlers: { pauseQueue: async () => ({ status: "paused" }) },
  });
  const url = fixture.listen();

  const reply = await fetch(`${url}/api/v1/queues/a%2Fb%3Ac/pause`, { method: "POST" });

  expect(reply.status).toBe(200);
  expect(fixture.calls[0]?.input).toMatchObject({ params: { name: "a/b:c" } });
});

test("[A5] a path that does not decode is refused with 400", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();

  for (const path of ["/api/v1/queues/%FF", "/api/v1/queues/%zz", "/api/v1/queues/%E0%A4/pause"]) {
    const method = path.endsWith("pause") ? "POST" : "GET";
    const text = await exchange(
      url,
      `${method} ${path} HTTP/1.1\r\nHost: q\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(text).toStartWith("HTTP/1.1 400");
  }
  expect(fixture.calls).toEqual([]);
});

test("[A6] query numbers are read and checked", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();

  await fetch(`${url}/api/v1/search/fulltext?limit=5&q=a+b%20%C3%A9&unknown=%FF&limit=9`);
  const wrong = await fetch(`${url}/api/v1/search/fulltext?q=x&limit=five`);
  const missing = await fetch(`${url}/api/v1/search/fulltext`);

  expect(fixture.calls).toMatchObject([{ input: { query: { limit: 5, q: "a b é" } } }]);
  expect(await wrong.json()).toMatchObject({
    code: "VALIDATION_ERROR",
    error: 'limit: expected a number of 1 to 500, got "five"',
  });
  expect(missing.status).toBe(400);
});

test("[A6] a removal with a parameter that nobody knows is refused, since it would remove more than is meant", async () => {
  await using fixture = httpFixture();
  const url = fixture.listen();
  const path = `${url}/api/v1/limits/queues/q`;

  const wrong = await fetch(`${path}?kee=a`, { method: "DELETE" });

  expect(wrong.status).toBe(400);
  expect(await wrong.json()).toMatchObject({
    error: '"kee" in the query is not known here; did you mean key?',
  });
  expect(fixture.calls).toEqual([]);
});

test("[A10] a failure has the status, hint and waiting time of its code", async () => {
  const failures = [
    new CorvoError("OVERLOADED", "too much", { retryAfterMs: 3 }),
    new CorvoError("OUTCOME_UNKNOWN", "who knows"),
    new CorvoError("LEASE_LOST", "too late", { details: { token: "t" } }),
  ];
  await using fixture = httpFixture({
    handlers: { enqueueJob: () => Promise.reject(failures.shift()) },
  });
  const url = fixture.listen();

  const overloaded = await fetch(`${url}/api/v1/enqueue`, post({ queue: "q" }));
  const unknown = await fetch(`${url}/api/v1/enqueue`, post({ queue: "q" }));
  const lost = await fetch(`${url}/api/v1/enqueue`, post({ queue: "q" }));

  expect([overloaded.status, overloaded.headers.get("retry-after")]).toEqual([429, "0.003"]);
  expect(await overloaded.json()).toMatchObject({ error: "too much", retry_after_ms: 3 });
  expect([unknown.status, unknown.headers.get("retry-after")]).toEqual([503, null]);
  expect(await lost.json()).toEqual({
    error: "too late",
    code: "LEASE_LOST",
    details: { token: "t" },
    hint: "The lease of this attempt is over; stop working on the job.",
  });
});

test("[A11] an unexpected failure is logged once and tells the caller only an id", async () => {
  await using fixture = httpFixture({
    handlers: {
      enqueueJob: () => {
        throw new Error("secret detail");
      },
      health: () => Promise.reject(new AssertionError("a guarantee is broken")),
    },
  });
  const url = fixture.listen();

  const reply = await fetch(`${url}/api/v1/enqueue`, post({ queue: "q" }));
  const text = await reply.text();
  await fetch(`${url}/healthz`);

  expect(reply.status).toBe(500);
  expect(text).not.toContain("secret");
  expect(fixture.lines).toHaveLength(2);
  expect(String(fixture.lines[0]?.fields?.["error"])).toContain("secret detail");
  expect(text).toContain(String(fixture.lines[0]?.fields?.["request_id"]));
  expect(fixture.bugs.map((bug) => bug.message)).toEqual(["a guarantee is broken"]);
});
