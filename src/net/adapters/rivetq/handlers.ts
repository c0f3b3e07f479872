/**
 * RivetQ's calls in terms of ours. A lease id is a lease token, headers are tags, `tries` are the attempts before this one,
 * and retries wait as RivetQ's do: 100 ms, doubled each time, up to a minute, a tenth of it by chance.
 */
import { requestLimits as limits } from "../../../api/limits.ts";
import { CorvoError } from "../../../base/errors.ts";
import { RawJson } from "../../../base/json.ts";
import type { RequestContext } from "../../http/admission.ts";
import { type Call, type ForeignCall, foreign, priorityOf } from "../foreign.ts";
import { rivetqRows as rows } from "./calls.ts";

const backoff = {
  retry_backoff: "exponential",
  retry_base_delay: "100ms",
  retry_max_delay: "1m",
  retry_jitter: 0.1,
} as const;
const maxRetriesDefault = 3;
const visibilityMsDefault = 30_000;
const claimMax = 512;
/** A rate that is not whole is counted over about so many seconds. */
const longWindowSeconds = 60;

export function rivetqCalls(call: Call): ForeignCall[] {
  return [...jobCalls(call), ...queueCalls(call)];
}

function jobCalls(call: Call): ForeignCall[] {
  return [
    foreign(rows.enqueue, async ({ params, body }, context) => {
      const maxRetries = body.max_retries ?? 0;
      const job = {
        queue: params.queue,
        payload: body.payload ?? new RawJson("null"),
        priority: priorityOf(body.priority ?? 0),
        max_retries: maxRetries === 0 ? maxRetriesDefault : maxRetries,
        ...backoff,
        ...(body.headers == null ? {} : { tags: body.headers }),
        ...(body.delay_ms == null ? {} : { delay: `${body.delay_ms}ms` }),
        ...(body.idempotency_key == null || body.idempotency_key === ""
          ? {}
          : { idempotency_key: body.idempotency_key }),
      };
      const added = await call("enqueueJob", { body: job }, context);
      return { job_id: added?.job_id ?? "" };
    }),
    foreign(rows.lease, async ({ params, body }, context) => {
      const claim = {
        queues: [params.queue],
        count: Math.min(claimMax, body.max_jobs ?? 1),
        lease_ms: body.visibility_ms ?? visibilityMsDefault,
        wait_ms: 0,
        client: "rivetq",
      };
      const claimed = await call("fetchJobs", { body: claim }, context);
      return {
        jobs: (claimed?.jobs ?? []).map((job) => ({
          id: job.job_id,
          queue: job.queue,
          payload: job.payload,
          ...(job.tags === undefined ? {} : { headers: job.tags }),
          priority: 9 - job.priority,
          tries: job.attempt - 1,
          lease_id: job.lease_token,
        })),
      };
    }),
    foreign(rows.ack, async ({ body: { job_id, lease_id } }, context) => {
      await call("ackJob", { params: { job_id }, body: { lease_token: lease_id } }, context);
      return { success: true };
    }),
    foreign(rows.nack, async ({ body: { job_id, lease_id, reason } }, context) => {
      const error = reason == null || reason === "" ? "nack" : reason;
      await call(
        "failJob",
        { params: { job_id }, body: { lease_token: lease_id, error } },
        context,
      );
      return { success: true };
    }),
  ];
}

function queueCalls(call: Call): ForeignCall[] {
  const list = async (_: unknown, context: RequestContext) => {
    const queues = await call("listQueues", {}, context);
    return { queues: (queues ?? []).map(({ name }) => name) };
  };
  return [
    foreign(rows.stats, async ({ params }, context) => {
      const queue = await call("getQueue", { params: { name: params.queue } }, context);
      if (queue === undefined) throw new CorvoError("NOT_FOUND", `no queue "${params.queue}"`);
      const { pending, scheduled, retrying, active, dead } = queue;
      return { ready: pending + scheduled + retrying, inflight: active, dlq: dead };
    }),
    foreign(rows.list, list),
    foreign(rows.listSlash, list),
    foreign(rows.setRate, async ({ params, body }, context) => {
      const name = params.queue;
      const rate = { ...rateOf(body.refill_rate), burst: Math.round(body.capacity) };
      // Ours is set as a whole, and theirs has nothing to say of how many run at once.
      const limit = await call("getLimit", { params: { name } }, context);
      const concurrency = limit?.concurrency ?? null;
      await call("setLimit", { params: { name }, body: { rate, concurrency } }, context);
      return { success: true };
    }),
    foreign(rows.getRate, async ({ params }, context) => {
      const limit = await call("getLimit", { params: { name: params.queue } }, context);
      const rate = limit?.rate;
      if (rate === undefined) return { capacity: 0, refill_rate: 0, exists: false };
      return {
        capacity: rate.burst ?? rate.count,
        refill_rate: (rate.count * 1000) / rate.window_ms,
        exists: true,
      };
    }),
  ];
}

/** Whole units in a window of whole milliseconds that are so many a second. */
function rateOf(perSecond: number): { count: number; window: string } {
  if (Number.isInteger(perSecond)) return { count: perSecond, window: "1s" };
  const wanted = Math.min(limits.limitUnitsMax, Math.round(perSecond * longWindowSeconds));
  const count = Math.max(1, wanted);
  return { count, window: `${Math.round((count * 1000) / perSecond)}ms` };
}
