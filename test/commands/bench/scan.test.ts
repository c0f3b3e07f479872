import { expect, test } from "bun:test";
import { formatJobId } from "../../../src/base/ids.ts";
import { JobShape, payloadBytesMin } from "../../../src/commands/bench/job-shape.ts";
import { readAnswer, readJobs } from "../../../src/commands/bench/scan.ts";

const shape = new JobShape("mail", 100);
const idOf = (seq: number) => formatJobId(seq, 1_700_000_000_000, 0);
const payloadOf = (number: number) =>
  JSON.stringify((JSON.parse(shape.text(number)) as { payload: unknown }).payload);

function pushed(numbers: readonly number[], payload = payloadOf): string {
  const jobs = numbers.map(
    (number) =>
      `{"job_id":"${idOf(number + 1)}","queue":"mail","payload":${payload(number)},"attempt":1,"lease_token":"k${number}","priority":2}`,
  );
  return `{"jobs":[${jobs.join(",")}]}`;
}

const neverProblem = (text: string) => {
  throw new Error(text);
};

test("a job is valid JSON, and its payload has the bytes that were asked for, whatever its number", () => {
  for (const bytes of [payloadBytesMin, 100, 5000]) {
    const sized = new JobShape("mail", bytes, (number) => `,"priority":${number % 10}`);
    for (const number of [0, 7, 9_999_999]) {
      const job = JSON.parse(sized.text(number)) as { payload: { n: number }; queue: string };
      expect(JSON.stringify(job.payload)).toHaveLength(bytes);
      expect(job.queue).toBe("mail");
    }
    expect(JSON.parse(`[${sized.list(3, 4)}]`)).toHaveLength(4);
  }
});

test("pushed jobs are read with number, id and token", () => {
  const jobs = readJobs(pushed([0, 12, 999]), shape, neverProblem);

  expect(jobs).toEqual(
    [0, 12, 999].map((number) => ({ number, id: idOf(number + 1), token: `k${number}` })),
  );
});

test("pushed jobs with members in another order are read the same", () => {
  const { jobs } = JSON.parse(pushed([3, 4])) as { jobs: Record<string, unknown>[] };
  const turned = jobs.map((job) => Object.fromEntries(Object.entries(job).reverse()));

  expect(readJobs(JSON.stringify({ jobs: turned }), shape, neverProblem)).toEqual(
    readJobs(pushed([3, 4]), shape, neverProblem),
  );
});

test("a payload that came back with one byte changed is told", () => {
  const problems: string[] = [];
  const text = pushed([3, 4, 5], (number) =>
    number === 4 ? payloadOf(number).replace("abc", "abd") : payloadOf(number),
  );

  const jobs = readJobs(text, shape, (problem) => problems.push(problem));

  expect(jobs.map(({ number }) => number)).toEqual([3, 5]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toStartWith(`the payload of ${idOf(5)} came back altered`);
});

const acks = [8, 9].map((number) => ({ number, id: idOf(number + 1), token: "t" }));
const enqueued = (seq: number, status = "pending") =>
  `{"job_id":"${idOf(seq)}","status":"${status}","unique_existing":false}`;
const acked = (id: string) => `{"job_id":"${id}","status":"ok"}`;

test("an answer is read item by item", () => {
  const text = `{"id":41,"enqueue":[${enqueued(5)},${enqueued(255, "scheduled")}],"ack":[${acks.map(({ id }) => acked(id)).join(",")}]}`;

  expect(readAnswer(text, () => ({ count: 2, acks }))).toEqual({
    id: 41,
    enqueue: [5, 255],
    ack: [0, 0],
    refusal: undefined,
  });
});

test("an item that was refused is seen among those that were not", () => {
  const refused = `{"job_id":"${acks[1]?.id}","status":"error","code":"LEASE_LOST","error":"über"}`;
  const text = `{"id":41,"enqueue":[${enqueued(5)}],"ack":[${acked(acks[0]?.id ?? "")},${refused}]}`;
  const latin = Buffer.from(text).toString("latin1");

  expect(readAnswer(latin, () => ({ count: 1, acks }))).toEqual({
    id: 41,
    enqueue: [5],
    ack: [0, { code: "LEASE_LOST", error: "über" }],
    refusal: undefined,
  });
});

test("an answer about other jobs than were acked is not taken for theirs", () => {
  const text = `{"id":1,"ack":[${acked(acks[1]?.id ?? "")},${acked(acks[0]?.id ?? "")}]}`;

  const answer = readAnswer(text, () => ({ count: 0, acks }));

  expect(answer.ack).toEqual([
    { code: "MISMATCH", error: `the answer is about ${acks[1]?.id}` },
    { code: "MISMATCH", error: `the answer is about ${acks[0]?.id}` },
  ]);
});

test("a duplicate is not taken for a new job", () => {
  const text = `{"id":1,"enqueue":[{"job_id":"${idOf(5)}","status":"duplicate","unique_existing":true}]}`;

  expect(readAnswer(text, () => ({ count: 1, acks: [] })).enqueue).toEqual([
    { code: "MISMATCH", error: "the answer says duplicate" },
  ]);
});

test("a refused frame gives its code and when to come again", () => {
  const text = '{"id":3,"error":"too much","code":"OVERLOADED","retry_after_ms":10}';

  expect(readAnswer(text, () => ({ count: 1, acks: [] }))).toEqual({
    id: 3,
    enqueue: undefined,
    ack: undefined,
    refusal: { code: "OVERLOADED", error: "too much", retryAfterMs: 10 },
  });
});
