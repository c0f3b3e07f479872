/**
 * codeQ's calls in terms of ours. A command is a queue; a worker is the subject of its token, and only it may end or extend
 * what it has claimed. An attempt counts once, `maxAttempts` is what it says, and retries wait as codeQ's do by default: five
 * seconds doubled each time up to 15 minutes, anywhere up to that by chance.
 */
import type { InputOf } from "../../../api/operation.ts";
import { Reply } from "../../../api/operations.ts";
import { CorvoError } from "../../../base/errors.ts";
import type { Clock } from "../../../base/ports.ts";
import { formatTime, parseTime } from "../../../base/time.ts";
import type { RequestContext } from "../../http/admission.ts";
import { type Call, type ForeignCall, foreign, priorityOf } from "../foreign.ts";
import { codeqAdminCalls } from "./admin.ts";
import { codeqRows as rows } from "./calls.ts";
import { workerOf } from "./identity.ts";
import { codeqSubscriptionCalls } from "./subscriptions.ts";
import { claimedTask, type JobView, resultOf, resultWith, type TaskView, taskOf } from "./views.ts";

type NewTask = InputOf<typeof rows.create>["body"];
type ResultBody = InputOf<typeof rows.result>["body"];

const backoff = {
  retry_backoff: "exponential",
  retry_base_delay: "5s",
  retry_max_delay: "15m",
  retry_jitter_mode: "full",
} as const;
const maxAttemptsDefault = 5;
const leaseSecondsDefault = 300;
const waitSecondsMax = 30;
const resultWaitSecondsMax = 60;

export function codeqCalls(call: Call, clock: Clock): ForeignCall[] {
  return [
    ...producerCalls(call),
    ...workerCalls(call, clock),
    ...codeqSubscriptionCalls(call),
    ...codeqAdminCalls(call, clock),
  ];
}

function producerCalls(call: Call): ForeignCall[] {
  return [
    foreign(rows.create, ({ body }, context) => create(call, body, context)),
    foreign(rows.createBatch, async ({ body }, context) => {
      const results = await Promise.all(
        body.tasks.map((task) =>
          create(call, task, context).then((made) => ({ task: made }), asError),
        ),
      );
      return { results };
    }),
    foreign(rows.get, async ({ params }, context) => taskOf(await find(call, params.id, context))),
    foreign(rows.getResult, async ({ params, query }, context) => {
      const timeout = Math.min(query.waitSeconds ?? 0, resultWaitSecondsMax);
      const job =
        timeout === 0
          ? await find(call, params.id, context)
          : await call("waitJob", { params: { job_id: params.id }, query: { timeout } }, context);
      const result = job === undefined ? undefined : resultOf(job);
      if (job === undefined || result === undefined) {
        throw new CorvoError("NOT_FOUND", `task ${params.id} has no result yet`);
      }
      return { task: taskOf(job), result };
    }),
  ];
}

async function create(call: Call, task: NewTask, context: RequestContext): Promise<TaskView> {
  const { command, payload, runAt, delaySeconds, idempotencyKey, webhook } = task;
  const maxAttempts = task.maxAttempts || (await defaultOf(call, command, context));
  const later =
    runAt == null || runAt === ""
      ? delaySeconds == null || delaySeconds === 0
        ? {}
        : { delay: `${delaySeconds}s` }
      : { scheduled_at: runAt };
  const job = {
    queue: command,
    payload,
    priority: priorityOf(task.priority ?? 0),
    ...(maxAttempts === undefined ? {} : { max_retries: maxAttempts }),
    ...backoff,
    ...later,
    ...(webhook == null || webhook === "" ? {} : { callback_url: webhook }),
    ...(idempotencyKey == null || idempotencyKey === "" ? {} : { idempotency_key: idempotencyKey }),
  };
  const added = await call("enqueueJob", { body: job }, context);
  return taskOf(await readBack(call, added?.job_id ?? "", context));
}

/** What codeQ would take, unless the queue has a default of its own: then that holds. */
async function defaultOf(
  call: Call,
  command: string,
  context: RequestContext,
): Promise<number | undefined> {
  const found = await call("getQueueDefaults", { params: { name: command } }, context);
  return found?.defaults?.max_retries == null ? maxAttemptsDefault : undefined;
}

async function find(call: Call, job_id: string, context: RequestContext): Promise<JobView> {
  const job = await call("getJob", { params: { job_id } }, context);
  if (job === undefined) throw new CorvoError("NOT_FOUND", `no task ${job_id}`);
  return job;
}

/** What was written just now. A refusal to read it must not say that nothing was done. */
async function readBack(call: Call, job_id: string, context: RequestContext): Promise<JobView> {
  try {
    return await find(call, job_id, context);
  } catch (thrown) {
    if (!(thrown instanceof CorvoError) || !thrown.retryable) throw thrown;
    const message = `task ${job_id} was written and could not be read back: ${thrown.message}`;
    throw new CorvoError("OUTCOME_UNKNOWN", message, { cause: thrown });
  }
}

function asError(error: unknown): { error: string } {
  if (error instanceof CorvoError) return { error: error.message };
  throw error;
}

function workerCalls(call: Call, clock: Clock): ForeignCall[] {
  const claim = async (
    body: { commands?: string[] | null; leaseSeconds?: number | null },
    { count, waitMs }: { count: number; waitMs: number },
    context: RequestContext,
  ) => {
    const queues = body.commands ?? [];
    if (queues.length === 0) {
      throw new CorvoError("VALIDATION_ERROR", "commands: name at least one command");
    }
    const worker_id = workerOf(context.header("authorization"));
    const lease_ms = (body.leaseSeconds || leaseSecondsDefault) * 1000;
    const ask = { queues, worker_id, lease_ms, count, wait_ms: waitMs, client: "codeq" };
    const claimed = await call("fetchJobs", { body: ask }, context);
    const nowText = formatTime(clock.nowMs());
    return (claimed?.jobs ?? []).map((job) => claimedTask(job, worker_id, nowText));
  };
  return [
    foreign(rows.claim, async ({ body }, context) => {
      const waitMs = Math.min(body.waitSeconds ?? 0, waitSecondsMax) * 1000;
      const [task] = await claim(body, { count: 1, waitMs }, context);
      return task ?? new Reply(204, undefined);
    }),
    foreign(rows.claimBatch, async ({ body }, context) => {
      const tasks = await claim(body, { count: body.count, waitMs: 0 }, context);
      return tasks.length === 0 ? new Reply(204, undefined) : { tasks };
    }),
    foreign(rows.heartbeat, async ({ params, body }, context) => {
      const refusal = await refuseStranger(call, params.id, context);
      if (refusal !== undefined) return refusal;
      const lease_ms = (body.extendSeconds || leaseSecondsDefault) * 1000;
      const beat = await call(
        "heartbeat",
        { body: { jobs: { [params.id]: { lease_ms } } } },
        context,
      );
      // The lease may have ended since it was looked at; a worker that is told "ok" would go on.
      return beat?.jobs[params.id]?.status === "ok"
        ? { ok: true, status: "ok" }
        : notInProgress(params.id);
    }),
    foreign(rows.abandon, async ({ params }, context) => {
      const refusal = await refuseStranger(call, params.id, context);
      if (refusal !== undefined) return refusal;
      await call("releaseJob", { params: { job_id: params.id } }, context);
      return { status: "requeued" };
    }),
    foreign(rows.nack, async ({ params, body }, context) => {
      const refusal = await refuseStranger(call, params.id, context);
      if (refusal !== undefined) return refusal;
      const { reason } = body;
      // Its clients send 0 for none, and a task that came back at once would use up its attempts at once.
      const delaySeconds = body.delaySeconds || undefined;
      const failure = {
        error: reason == null || reason === "" ? "nack" : reason,
        ...(delaySeconds === undefined ? {} : { delay: `${delaySeconds}s` }),
      };
      const done = await call("failJob", { params: { job_id: params.id }, body: failure }, context);
      if (done?.status === "dead") return { status: "dlq", delaySeconds: 0 };
      const atMs = parseTime(done?.next_attempt_at ?? "") ?? clock.nowMs();
      const waitSeconds = delaySeconds ?? Math.max(0, Math.ceil((atMs - clock.nowMs()) / 1000));
      return { status: "requeued", delaySeconds: waitSeconds };
    }),
    foreign(rows.result, ({ params, body }, context) => end(call, params.id, body, context)),
    foreign(rows.resultBatch, async ({ body }, context) => {
      const results = await Promise.all(
        body.results.map(async ({ taskId, ...result }) => {
          const done = await end(call, taskId, result, context).catch(asError);
          if (done instanceof Reply) return { taskId, ...(done.body as { error: string }) };
          return "error" in done && !("taskId" in done)
            ? { taskId, error: done.error }
            : { taskId, result: done };
        }),
      );
      return { results } as never;
    }),
  ];
}

/** The answer to one who does not hold the lease; undefined for its holder. */
async function refuseStranger(
  call: Call,
  taskId: string,
  context: RequestContext,
): Promise<Reply<unknown> | undefined> {
  const job = await find(call, taskId, context);
  if (job.state !== "active") return notInProgress(taskId);
  if (job.worker_id === workerOf(context.header("authorization"))) return undefined;
  return new Reply(403, { error: `task ${taskId} is leased to another worker`, code: "NOT_OWNER" });
}

function notInProgress(taskId: string): Reply<unknown> {
  return new Reply(409, { error: `task ${taskId} is not in progress`, code: "LEASE_LOST" });
}

async function end(call: Call, taskId: string, body: ResultBody, context: RequestContext) {
  const refusal = await refuseStranger(call, taskId, context);
  if (refusal !== undefined) return refusal;
  const params = { job_id: taskId };
  if (body.status === "COMPLETED") {
    const result = resultWith(body);
    await call("ackJob", { params, body: result === undefined ? {} : { result } }, context);
  } else {
    const error = body.error == null || body.error === "" ? "FAILED" : body.error;
    await call("failJob", { params, body: { error, retryable: false } }, context);
  }
  const result = resultOf(await readBack(call, taskId, context));
  if (result === undefined) throw new CorvoError("CONFLICT", `task ${taskId} did not end`);
  return result;
}
