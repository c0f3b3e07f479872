import { expect, test } from "bun:test";
import { httpFixture } from "../support/http-app.ts";

const job = { queue: "q", payload: {} };
const refused: readonly (readonly [string, string, object, string])[] = [
  [
    "PUT",
    "/limits/queues/q",
    { rate: { count: 1, window: "1s", knd: "leaky" } },
    "rate.knd is not known here; did you mean kind?",
  ],
  [
    "PUT",
    "/limits/resources/r",
    { key: "k", concurrency: 1 },
    "key is not known here; there are concurrency, rate",
  ],
  [
    "PUT",
    "/schedules/s",
    { every: "1h", job: { ...job, max_retry: 1 } },
    "job.max_retry is not known here; did you mean max_retries?",
  ],
  [
    "POST",
    "/batches",
    { queue: "q", on_success: { ...job, delayed: "1s" } },
    "on_success.delayed is not known here; did you mean delay?",
  ],
  [
    "POST",
    "/fail/batch",
    {
      fails: [
        { job_id: "j", error: "e" },
        { job_id: "j", error: "e", retriable: true },
      ],
    },
    "fails[1].retriable is not known here; did you mean retryable?",
  ],
  ["GET", "/schedules?prefx=a", {}, '"prefx" in the query is not known here; did you mean prefix?'],
];

for (const [method, path, body, error] of refused) {
  test(`[A2] [A6] ${method} ${path.split("?")[0]} refuses what it does not know: ${error}`, async () => {
    const { app, calls } = httpFixture();
    const request = method === "GET" ? { method } : { method, body: JSON.stringify(body) };

    const reply = await app.handle(new Request(`http://localhost/api/v1${path}`, request));

    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({ code: "VALIDATION_ERROR", error });
    expect(calls).toEqual([]);
  });
}

test("[A2] calls of 0.3 to which its clients send more ignore it, at any depth", async () => {
  const sent: readonly (readonly [string, object])[] = [
    ["/enqueue", { ...job, trace: "t" }],
    ["/enqueue/batch", { jobs: [{ ...job, trace: "t" }] }],
    ["/fetch", { queues: ["q"], namespace: "n" }],
    ["/ack/j", { usage: { input_tokens: 1 } }],
    ["/fail/j", { error: "e", usage: {} }],
    ["/heartbeat", { jobs: { j: { stream_delta: "d" } } }],
    ["/jobs/search", { payload_sql: "x" }],
  ];
  for (const [path, body] of sent) {
    const { app, calls } = httpFixture();
    const request = { method: "POST", body: JSON.stringify(body) };

    await app.handle(new Request(`http://localhost/api/v1${path}`, request));

    expect([path, calls.length]).toEqual([path, 1]);
  }
});
