/** The options about unique keys, from the request to what a worker gets, on a node whose clock the test turns. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import { type NewJobBody, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const keyed = (more: Partial<NewJobBody> = {}): NewJobBody => ({
  queue: "q",
  unique_key: "k",
  ...more,
});
const json = (text: string) => new RawJson(text);

async function claim(rig: NodeRig) {
  const job = rig.fetch({ queues: ["q"], wait_ms: 0, lease_ms: 60_000 });
  await settle();
  await rig.time.pass(0);
  return job;
}

function readJob(rig: NodeRig, job_id: string) {
  return rig.service.handlers.getJob(
    { params: { job_id }, query: {}, body: {} },
    { signal: neverAborted },
  );
}

test("[J38] debounce runs the last payload, that long after the last call and not beyond its bound", async () => {
  const rig = new NodeRig();
  const spec = (n: number) =>
    keyed({ debounce: "5s", debounce_max: "12s", payload: json(`{"n":${n}}`) });
  const first = await rig.enqueue(spec(1));
  for (const n of [2, 3]) {
    await rig.time.pass(4000);
    expect(await rig.enqueue(spec(n))).toMatchObject({ job_id: first.job_id, status: "replaced" });
  }

  await rig.time.pass(3999);
  expect(await claim(rig)).toBeUndefined();
  await rig.time.pass(1);
  const job = await claim(rig);
  expect([job?.job_id, job?.payload.text]).toEqual([first.job_id, '{"n":3}']);
  expect(await rig.enqueue(spec(4))).toMatchObject({ status: "scheduled" });
});

test("[J34] throttle answers with the first job for its time, also when that is done", async () => {
  const rig = new NodeRig();
  const first = await rig.enqueue(keyed({ throttle: "1m" }));
  const job = await claim(rig);
  if (job !== undefined) await rig.ack(job);
  await rig.time.pass(59_999);
  expect(await rig.enqueue(keyed({ throttle: "1m" }))).toMatchObject({
    job_id: first.job_id,
    status: "duplicate",
  });

  await rig.time.pass(1);
  expect(await rig.enqueue(keyed({ throttle: "1m" }))).toMatchObject({ status: "pending" });
});

test("[J35] a singleton is skipped, or cancels the one that runs", async () => {
  const rig = new NodeRig();
  const first = await rig.enqueue(keyed({ singleton: "skip" }));
  await rig.time.pass(24 * 3_600_000);
  expect((await rig.enqueue(keyed({ singleton: "skip" }))).status).toBe("duplicate");

  const job = await claim(rig);
  const second = await rig.enqueue(keyed({ singleton: "cancel" }));
  expect(second.status).toBe("pending");
  expect(job?.job_id).toBe(first.job_id);
  expect(await readJob(rig, first.job_id)).toMatchObject({ state: "cancelled" });
  expect((await claim(rig))?.job_id).toBe(second.job_id);
});

test("[J37] keep_last lets one wait beside the one that runs, with the newest payload", async () => {
  const rig = new NodeRig();
  const spec = (n: number) => keyed({ on_conflict: "keep_last", payload: json(`${n}`) });
  await rig.enqueue(spec(1));
  const running = await claim(rig);
  const second = await rig.enqueue(spec(2));
  expect(second.status).toBe("held");
  expect(await rig.enqueue(spec(3))).toMatchObject({ job_id: second.job_id, status: "replaced" });
  expect(await claim(rig)).toBeUndefined();

  if (running !== undefined) await rig.ack(running);
  const next = await claim(rig);
  expect([next?.job_id, next?.payload.text]).toEqual([second.job_id, "3"]);
});

test("[J39] merged payloads keep the texts of their values", async () => {
  const rig = new NodeRig();
  const merge = (merge: "shallow" | "append", payload: string, unique_key: string) =>
    rig.enqueue(keyed({ on_conflict: "replace", merge, payload: json(payload), unique_key }));
  await merge("shallow", '{"a":12345678901234567890, "b":1.0}', "o");
  await merge("shallow", '{"b":2.0,"c":[ 1 ]}', "o");
  await merge("append", "[1.0]", "l");
  await merge("append", '["x",null]', "l");

  expect((await claim(rig))?.payload.text).toBe('{"a":12345678901234567890,"b":2.0,"c":[ 1 ]}');
  expect((await claim(rig))?.payload.text).toBe('[1.0,"x",null]');
});

test("[J39] what cannot be joined is refused and leaves the waiting job as it was", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue(keyed({ payload: json("1") }));
  const list = (length: number) =>
    keyed({ on_conflict: "replace", merge: "append", payload: json(`["${"x".repeat(length)}"]`) });
  await expect(rig.enqueue(list(1))).rejects.toMatchObject({ code: "CONFLICT" });

  await rig.enqueue(keyed({ on_conflict: "replace", payload: json("[]") }));
  await rig.enqueue(list(150_000));
  await expect(rig.enqueue(list(150_000))).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  expect((await readJob(rig, job_id)) as unknown).toMatchObject({
    payload: { text: expect.stringMatching(/^\["x+"\]$/) },
  });
});

test("[J35] one refused job of a batch does not hide what became of the others", async () => {
  const rig = new NodeRig();
  await rig.enqueue(keyed());
  const answer = await rig.service.handlers.enqueueJobs(
    { params: {}, query: {}, body: { jobs: [keyed({ on_conflict: "reject" }), { queue: "q" }] } },
    { signal: neverAborted },
  );

  expect(answer).toMatchObject({
    job_ids: ["", expect.stringMatching(/^job_/)],
    results: [{ status: "error", code: "CONFLICT" }, { status: "pending" }],
  });
});

test("the view shows what was asked about the key", async () => {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue(
    keyed({ debounce: "5s", debounce_max: "1m", merge: "shallow" }),
  );
  expect(await readJob(rig, job_id)).toMatchObject({
    unique_key: "k",
    unique_scope: "waiting",
    on_conflict: "replace",
    debounce_ms: 5000,
    debounce_max_ms: 60_000,
    merge: "shallow",
  });
});

const contradictions: readonly [why: string, body: NewJobBody, field: string][] = [
  ["a rule without a key", { queue: "q", on_conflict: "reject" }, "on_conflict"],
  ["debounce without a key", { queue: "q", debounce: "5s" }, "debounce"],
  ["debounce with a scope", keyed({ debounce: "5s", unique_scope: "done" }), "unique_scope"],
  ["debounce with a delay", keyed({ debounce: "5s", delay: "1s" }), "delay"],
  ["debounce with throttle", keyed({ debounce: "5s", throttle: "1s" }), "throttle"],
  ["debounce of nothing", keyed({ debounce: "0s" }), "debounce"],
  ["a bound without debounce", keyed({ debounce_max: "5s" }), "debounce_max"],
  ["a bound below debounce", keyed({ debounce: "5s", debounce_max: "4s" }), "debounce_max"],
  ["throttle with a period", keyed({ throttle: "5s", unique_period: 3 }), "unique_period"],
  ["throttle with a singleton", keyed({ throttle: "5s", singleton: "skip" }), "singleton"],
  ["a singleton with a rule", keyed({ singleton: "skip", on_conflict: "reject" }), "on_conflict"],
  [
    "keep_last of what waits",
    keyed({ on_conflict: "keep_last", unique_scope: "waiting" }),
    "on_conflict",
  ],
  [
    "keep_last with a period",
    keyed({ on_conflict: "keep_last", unique_period: 5 }),
    "unique_period",
  ],
  [
    "cancelling what is done",
    keyed({ on_conflict: "cancel", unique_scope: "period" }),
    "on_conflict",
  ],
  ["merge without a replacement", keyed({ merge: "shallow" }), "merge"],
  [
    "merge of no object",
    keyed({ merge: "shallow", on_conflict: "replace", payload: json("[]") }),
    "merge",
  ],
  [
    "merge of bytes",
    keyed({ merge: "shallow", on_conflict: "replace", payload_base64: "AAE=" }),
    "merge",
  ],
  [
    "a dependency of what may replace a job",
    keyed({ on_conflict: "replace", depends_on: ["job_00000000000000000000000001"] }),
    "depends_on",
  ],
  [
    "a chain that may replace a job",
    keyed({ debounce: "5s", chain: { steps: [{ queue: "q" }, { queue: "r" }] } }),
    "chain",
  ],
  ["merge of no array", keyed({ merge: "append", on_conflict: "replace" }), "merge"],
];
for (const [why, body, field] of contradictions) {
  test(`${why} is refused with the reason`, async () => {
    const rig = new NodeRig();
    const refusal = await rig.enqueue(body).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(CorvoError);
    expect(refusal).toMatchObject({ code: "VALIDATION_ERROR", details: { path: field } });
  });
}
