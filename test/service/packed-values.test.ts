/** Payloads and results that are large, or no JSON: what the log holds of them, and what clients get back. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { parseJobId } from "../../src/base/ids.ts";
import { RawJson } from "../../src/base/json.ts";
import { isPacked } from "../../src/base/stored-value.ts";
import { claimedText } from "../../src/service/claimed-text.ts";
import { type NewJobBody, NodeRig, neverAborted } from "../support/node-rig.ts";

const call = { signal: neverAborted };
const long = JSON.stringify({ text: "a line that is there again and again. ".repeat(300), n: 1.0 });
const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7) % 251));
const base64 = bytes.toString("base64");

function stored(rig: NodeRig, id: string) {
  const job = rig.replica.engine.state.getJob(parseJobId(id)?.seq ?? 0);
  if (job === undefined) throw new Error(`no job ${id}`);
  return job;
}

async function claimAndAck(rig: NodeRig, ack: object) {
  const job = await rig.fetch({ queues: ["q"], wait_ms: 0 });
  if (job === undefined) throw new Error("nothing is ready");
  const acks = [{ job_id: job.job_id, lease_token: job.lease_token, ...ack }];
  await rig.service.handlers.ackJobs({ params: {}, query: {}, body: { acks } }, call);
  return job;
}

async function refusalOf(rig: NodeRig, body: NewJobBody): Promise<string> {
  try {
    await rig.enqueue(body);
  } catch (error) {
    if (error instanceof CorvoError) return `${error.code} ${error.message}`;
  }
  return "no refusal";
}

test("a long payload is kept compressed and given back as it was sent", async () => {
  const rig = new NodeRig();

  const { job_id: id } = await rig.enqueue({ queue: "q", payload: new RawJson(long) });
  const claimed = await claimAndAck(rig, { result: new RawJson(long) });
  const job = await rig.job(id);

  expect(stored(rig, id).payload.length).toBeLessThan(long.length / 10);
  expect(isPacked(stored(rig, id).result ?? "")).toBe(true);
  expect(claimed.payload.text).toBe(long);
  expect(job.payload.text).toBe(long);
  expect(job.result?.text).toBe(long);
  expect("content_type" in job).toBe(false);
});

test("bytes come back with their content type; their JSON is null", async () => {
  const rig = new NodeRig();

  const { job_id: id } = await rig.enqueue({
    queue: "q",
    payload_base64: base64,
    content_type: "image/png",
  });
  const claimed = await claimAndAck(rig, { result_base64: "AAEC", result_type: "audio/x" });
  const job = await rig.job(id);

  const facts = { content_type: "image/png", payload_bytes: 3000, payload_base64: base64 };
  expect(claimed).toMatchObject(facts);
  expect(claimed.payload.text).toBe("null");
  expect(job).toMatchObject(facts);
  expect(job).toMatchObject({ result_base64: "AAEC", result_type: "audio/x", result_bytes: 3 });
});

test("a streaming worker gets of bytes what the HTTP claim gives", async () => {
  const rig = new NodeRig();
  const { job_id: id } = await rig.enqueue({ queue: "q", payload_base64: base64 });
  await rig.enqueue({ queue: "q", payload: new RawJson(long) });

  const claimed = await rig.fetch({ queues: ["q"], wait_ms: 0 });
  const other = await rig.fetch({ queues: ["q"], wait_ms: 0 });
  const parsed = (jobId: string) => JSON.parse(claimedText(jobId, stored(rig, jobId)));

  expect(parsed(id)).toEqual({ ...claimed, payload: null });
  expect(parsed(other?.job_id ?? "").payload).toEqual(JSON.parse(long));
});

test("what contradicts itself is refused before the log", async () => {
  const rig = new NodeRig();
  const refuse = (body: Omit<NewJobBody, "queue">) => refusalOf(rig, { queue: "q", ...body });

  expect(await refuse({ payload: new RawJson("1"), payload_base64: "AAEC" })).toBe(
    "VALIDATION_ERROR payload, payload_base64, payload_blob: only one of them can be given",
  );
  expect(await refuse({ payload: new RawJson("1"), content_type: "a/b" })).toBe(
    "VALIDATION_ERROR content_type: it goes with payload_base64 or payload_blob; a JSON payload has none",
  );
  for (const text of ["AAE", "AA==x", "A-_C", "AAF=", "AA E"]) {
    expect(await refuse({ payload_base64: text })).toStartWith(
      "VALIDATION_ERROR payload_base64: expected base64",
    );
  }
  const large = Buffer.alloc(256 * 1024 + 1).toString("base64");
  expect(await refuse({ payload_base64: large })).toBe(
    "PAYLOAD_TOO_LARGE payload_base64 has 262145 bytes; the limit payloadBytesMax (--max-payload-size) is 262144",
  );
  expect(await refuse({ payload_blob: "0".repeat(64) })).toStartWith("BLOB_NOT_FOUND");
  expect(rig.log.entries).toEqual([]);
});

test("payloads are joined whatever their form, and bytes are not", async () => {
  const rig = new NodeRig();
  const unique = { unique_key: "k", on_conflict: "replace", merge: "shallow" } as const;
  const { job_id: id } = await rig.enqueue({
    queue: "q",
    payload: new RawJson(long),
    unique_key: "k",
  });
  await rig.enqueue({ queue: "q", payload: new RawJson('{"more":2}'), ...unique });
  await rig.enqueue({ queue: "q", payload_base64: "AAEC", unique_key: "b" });

  const refusal = await refusalOf(rig, {
    queue: "q",
    payload: new RawJson("{}"),
    ...unique,
    unique_key: "b",
  });

  expect((await rig.job(id)).payload.text).toBe(`${long.slice(0, -1)},"more":2}`);
  expect(refusal).toBe('CONFLICT merge "shallow": the payload of the waiting job is not an object');
});

test("the next step of a chain gets a result in words, whatever its form", async () => {
  const rig = new NodeRig();
  const chain = { steps: [{ queue: "q" }, { queue: "q" }, { queue: "q" }] };
  await rig.enqueue({ queue: "q", chain });

  await claimAndAck(rig, { result: new RawJson(long) });
  const second = await claimAndAck(rig, { result_base64: base64, result_type: "image/png" });
  const third = await rig.fetch({ queues: ["q"], wait_ms: 0 });

  expect(second.payload.text).toContain(`"previous_result":${long}`);
  expect(third?.payload.text).toContain('"previous_result":{"bytes":3000,"type":"image/png"}');
});

test("while there are nodes of an older version, nothing is compressed and bytes are refused", async () => {
  const rig = new NodeRig();
  rig.replica.engine.state.meta.featureLevel = 2;

  const { job_id: id } = await rig.enqueue({ queue: "q", payload: new RawJson(long) });
  const refusal = await refusalOf(rig, { queue: "q", payload_base64: "AAEC" });

  expect(stored(rig, id).payload).toBe(long);
  expect(refusal).toStartWith(
    "UNSUPPORTED a payload or result that is not plain JSON needs feature level 3",
  );
});

test("an idempotent call that is repeated after the form changed is still the same call", async () => {
  const rig = new NodeRig();
  const body = { queue: "q", payload: new RawJson(long), idempotency_key: "once" };
  rig.replica.engine.state.meta.featureLevel = 2;
  const first = await rig.enqueue(body);
  rig.replica.engine.state.meta.featureLevel = 3;

  const again = await rig.enqueue(body);

  expect(again.job_id).toBe(first.job_id);
});

test("jobs come back from a backup of queues with bytes, and with blobs that are there", async () => {
  const rig = new NodeRig();
  const jobs = [
    { queue: "q", payload_base64: base64, content_type: "image/png", result_base64: "AAEC" },
    { queue: "q", payload: new RawJson(long) },
    { queue: "q", payload_blob: "a".repeat(64), content_type: "image/png" },
  ];

  const answer = await rig.service.handlers.adminRestore(
    { params: {}, query: {}, body: { jobs } },
    call,
  );

  expect(answer).toMatchObject({
    restored_jobs: 2,
    refused: [{ code: "BLOB_NOT_FOUND", error: `payload_blob: no blob ${"a".repeat(64)}` }],
  });
  const state = rig.replica.engine.state;
  const [first, second] = Array.from({ length: 8 }, (_, seq) => state.getJob(seq)).filter(
    (job) => job !== undefined,
  );
  expect(isPacked(second?.payload ?? "")).toBe(true);
  expect(await rig.job(rig.node.idOf(first ?? { seq: 0, createdAtMs: 0 }))).toMatchObject({
    payload_base64: base64,
    content_type: "image/png",
    result_base64: "AAEC",
  });
});
