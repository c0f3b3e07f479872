/** Chains as clients write and see them. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import { type NewJobBody, NodeRig, neverAborted } from "../support/node-rig.ts";

const call = { signal: neverAborted };

async function begin(rig: NodeRig, body: NewJobBody): Promise<string> {
  const answer = await rig.enqueue(body);
  return "chain_id" in answer ? String(answer.chain_id) : "";
}

async function chain(rig: NodeRig, chain_id: string) {
  const answer = await rig.service.handlers.getChain(
    { params: { chain_id }, query: {}, body: {} },
    call,
  );
  if (!("steps" in answer)) throw new Error("the answer has no body");
  return answer;
}

/** Claims the next job of the queue and acks it in a batch call. */
async function work(rig: NodeRig, queue: string, ack: object = {}) {
  const job = await rig.fetch({ queues: [queue], wait_ms: 0 });
  if (job === undefined) throw new Error(`nothing is ready in ${queue}`);
  const acks = [{ job_id: job.job_id, lease_token: job.lease_token, ...ack }];
  await rig.service.handlers.ackJobs({ params: {}, query: {}, body: { acks } }, call);
  return rig.job(job.job_id);
}

async function refusalOf(rig: NodeRig, body: NewJobBody): Promise<string> {
  try {
    await rig.enqueue(body);
  } catch (error) {
    if (error instanceof CorvoError) return `${error.code} ${error.message}`;
  }
  return "no refusal";
}

test("[F20] steps take over what the first job says of retries, time-out and tags, unless they say otherwise", async () => {
  const rig = new NodeRig();
  const id = await begin(rig, {
    queue: "a",
    payload: new RawJson('{"x":1}'),
    priority: "high",
    max_retries: 7,
    timeout: "2m",
    tags: { site: "42" },
    expire_after: "1h",
    chain: {
      steps: [
        { queue: "a", priority: 4 },
        { queue: "b", max_retries: 2, payload: new RawJson('{"y":2}') },
        { queue: "c", tags: {} },
      ],
    },
  });

  const first = await work(rig, "a", { result: new RawJson("1.50") });
  const second = await work(rig, "b");
  const third = await work(rig, "c");

  expect(first).toMatchObject({ priority: 1, max_retries: 7, chain_id: id, chain_step: 0 });
  expect(second).toMatchObject({
    priority: 1,
    max_retries: 2,
    timeout_ms: 120_000,
    tags: { site: "42" },
  });
  expect(second.expire_at).toBeUndefined();
  expect(second.payload.text).toBe(
    `{"previous_job_id":"${first.id}","previous_result":1.50,"y":2}`,
  );
  expect(third).toMatchObject({ max_retries: 7, tags: {}, chain_step: 2 });
});

test("[F20] [F21] a chain is shown with its steps, those that began and those to come", async () => {
  const rig = new NodeRig();
  const id = await begin(rig, {
    queue: "a",
    chain: { steps: [{ queue: "a" }, { queue: "b" }, { queue: "c" }], on_exit: { queue: "z" } },
  });
  const first = await work(rig, "a");
  const running = await chain(rig, id);
  const second = await work(rig, "b", { step_status: "exit", exit_reason: "enough" });

  expect(running).toMatchObject({ id, state: "running", steps_total: 3, current_step: 1 });
  expect(running.steps).toEqual([
    { step: 0, job_id: first.id, queue: "a", state: "completed" },
    { step: 1, job_id: second.id, queue: "b", state: "pending" },
    { step: 2, queue: "c", state: "waiting" },
  ]);
  const ended = await chain(rig, id);
  expect(ended).toMatchObject({
    state: "exited",
    reason: "enough",
    exit_job: { state: "pending" },
  });
  expect(ended.steps).toHaveLength(2);
  await expect(chain(rig, id.replace("chn_", "job_"))).rejects.toThrow("no chain");
  await expect(chain(rig, `${id.slice(0, -1)}f`)).rejects.toThrow("no chain");
});

test("[F20] a chain that makes no sense is refused with the place of the fault", async () => {
  const rig = new NodeRig();
  const steps = [{ queue: "a" }, { queue: "b", payload: new RawJson("[1]") }];

  expect(await refusalOf(rig, { queue: "x", chain: { steps } })).toBe(
    'VALIDATION_ERROR chain.steps[0].queue: expected "x", the queue of the first job, got "a"',
  );
  expect(await refusalOf(rig, { queue: "a", chain: { steps } })).toStartWith(
    "VALIDATION_ERROR chain.steps[1]: payload: expected an object",
  );
  const waiting = { queue: "b", depends_on: ["job_x"] };
  expect(await refusalOf(rig, { queue: "a", chain: { steps: [{ queue: "a" }, waiting] } })).toBe(
    "VALIDATION_ERROR chain.steps[1]: depends_on: a job that follows others cannot have it",
  );
  expect(
    await refusalOf(rig, {
      queue: "a",
      chain: { steps: [{ queue: "a" }, { queue: "b" }], on_failure: { queue: "f", delay: "soon" } },
    }),
  ).toStartWith("VALIDATION_ERROR chain.on_failure: delay: expected a duration");
  const large = { queue: "b", payload: new RawJson(`{"t":"${"x".repeat(250_000)}"}`) };
  expect(
    await refusalOf(rig, {
      queue: "a",
      chain: { steps: [{ queue: "a" }, ...Array(5).fill(large)] },
    }),
  ).toContain("chainBytesMax");
});

test("[F20] options that no step has are refused, also in the first step, whatever their type", async () => {
  const rig = new NodeRig();
  const options = {
    unique_key: { a: 1 },
    depends_on: 5,
    parent_id: {},
    scheduled_at: 5,
    on_dependency_failure: "explode",
    debounce: "1s",
    checkpoint: { a: 1 },
  };
  for (const [name, value] of Object.entries(options)) {
    const odd: { queue: string } = { queue: "a", ...{ [name]: value } };
    expect(await refusalOf(rig, { queue: "a", chain: { steps: [odd, { queue: "a" }] } })).toBe(
      `VALIDATION_ERROR chain.steps[0]: ${name}: say it of the job itself, outside of the chain`,
    );
    expect(await refusalOf(rig, { queue: "a", chain: { steps: [{ queue: "a" }, odd] } })).toBe(
      `VALIDATION_ERROR chain.steps[1]: ${name}: a job that follows others cannot have it`,
    );
  }
  const withAgent: { queue: string } = { queue: "a", ...{ agent: { max_iterations: 2 } } };
  expect(
    await refusalOf(rig, { queue: "a", chain: { steps: [withAgent, { queue: "a" }] } }),
  ).toStartWith("UNSUPPORTED chain.steps[0]: agent: ");
});

test("a queue has defaults only of what it can have defaults of", async () => {
  const rig = new NodeRig();
  const set = (body: object) =>
    rig.service.handlers.setQueueDefaults({ params: { name: "q" }, query: {}, body }, call);

  for (const [name, value] of Object.entries({
    unique_key: { a: 1 },
    parent_id: 5,
    depends_on: 5,
    tags: 5,
    limit_key: "k",
    priority: 1,
  })) {
    await expect(set({ [name]: value })).rejects.toThrow(
      `${name}: not an option that a queue can have a default of`,
    );
  }
  expect(await set({ max_retries: 5, later_member: 1 })).toEqual({
    queue: "q",
    defaults: { max_retries: 5 },
  });
});

test("[F22] the words that clients of 0.3 send for a handler are understood", async () => {
  const rig = new NodeRig();
  const steps = [{ queue: "a" }, { queue: "b" }];
  const stopped = await begin(rig, {
    queue: "a",
    max_retries: 1,
    chain: { steps, on_failure: "stop", on_exit: null },
  });
  const job = await rig.fetch({ queues: ["a"], wait_ms: 0 });
  if (job !== undefined) await rig.fail(job);

  expect(await chain(rig, stopped)).toMatchObject({
    state: "failed",
    reason: "all 1 attempts failed",
  });
  const going = await begin(rig, {
    queue: "a",
    max_retries: 1,
    chain: { steps, on_failure: "continue" },
  });
  const next = await rig.fetch({ queues: ["a"], wait_ms: 0 });
  if (next !== undefined) await rig.fail(next);
  expect(await chain(rig, going)).toMatchObject({ state: "running", current_step: 1 });
});
