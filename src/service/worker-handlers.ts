/** Handlers of producers and workers. */

import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf } from "../api/operation.ts";
import { type Handlers, type Operations, Reply } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { EnqueueJobs, NewBatch, NewJob } from "../engine/change.ts";
import type { EnqueueResult, ItemResult, Outcome } from "../engine/outcome.ts";
import { fetchJobs, introductionOf, orderOf } from "./fetch.ts";
import { ensureBlobs } from "./named-blobs.ts";
import { sizeOfBatch, toNewBatch } from "./new-batch.ts";
import { isReadyAtOnce, sizeOf, toNewJob } from "./new-job.ts";
import type { Node } from "./node.ts";
import { packValues } from "./packed-values.ts";
import { refuseScattered } from "./relations.ts";
import { refuseAgentVerdict } from "./unsupported.ts";
import { type ClaimedView, claimedView, enqueueView, itemView } from "./views.ts";
import { sizeOfItems, toAck, toFail, toHeartbeat, toRelease, toSnooze } from "./worker-items.ts";

type WorkerHandlers = Pick<
  Handlers,
  | "enqueueJob"
  | "enqueueJobs"
  | "fetchJob"
  | "fetchJobs"
  | "ackJob"
  | "ackJobs"
  | "failJob"
  | "failJobs"
  | "releaseJob"
  | "snoozeJob"
  | "snoozeJobs"
  | "heartbeat"
>;

export function createWorkerHandlers(node: Node): WorkerHandlers {
  return { ...enqueueHandlers(node), ...fetchHandlers(node), ...finishHandlers(node) };
}

function enqueueHandlers(node: Node): Pick<WorkerHandlers, "enqueueJob" | "enqueueJobs"> {
  return {
    async enqueueJob({ body }) {
      if (body.payload_blob != null) await ensureBlobs(node, [body.payload_blob]);
      const job = toNewJob(body, { index: 0, shard: node.options.shard });
      const { results } = await enqueue(node, { jobs: [job] }, body.idempotency_key);
      const done = accepted(results[0]);
      const view = enqueueView(node.idOf(done), done, job);
      return view.unique_existing ? new Reply(200, view) : view;
    },
    async enqueueJobs({ body }) {
      const { shard } = node.options;
      const blobs = body.jobs.map((job) => job.payload_blob);
      if (blobs.some((hash) => hash != null)) await ensureBlobs(node, blobs);
      const jobs = checkJobs(body, () => shard);
      const call =
        body.batch == null
          ? { jobs, ...(body.part_of != null && { partOf: body.part_of }) }
          : { jobs, batch: toNewBatch(body.batch, shard) };
      const { results, batch } = await enqueue(node, call, body.idempotency_key);
      const views = results.map((result, i) =>
        result.kind === "rejected"
          ? itemView("", result)
          : enqueueView(node.idOf(result), result, jobs[i]),
      );
      return {
        job_ids: views.map((view) => view.job_id),
        results: views,
        ...(batch === undefined ? {} : { batch_id: node.batchIdOf(batch) }),
      };
    },
  };
}

/** The jobs of a batch, or the failure that names the first bad one. */
export function checkJobs(
  body: InputOf<Operations["enqueueJobs"]>["body"],
  shardOf: (queue: string) => number,
): NewJob[] {
  const jobs = body.jobs.map((spec, i) => {
    try {
      const job = toNewJob(spec, { index: i, shard: shardOf(spec.queue) });
      refuseScattered(job, shardOf);
      return job;
    } catch (error) {
      if (!(error instanceof CorvoError)) throw error;
      throw ofJob(i, error);
    }
  });
  if (body.batch != null || body.part_of != null) refuseOtherBatch(body, jobs);
  return jobs;
}

/** What is wrong with one job, with its place in the call before the path of the field. */
function ofJob(index: number, { code, message, details, hint }: CorvoError): CorvoError {
  const at = `jobs[${index}]`;
  const { path } = (details ?? {}) as { readonly path?: string };
  if (path === undefined || !message.startsWith(path)) {
    return new CorvoError(code, `${at}: ${message}`, { hint });
  }
  return new CorvoError(code, `${at}.${message}`, { details: { path: `${at}.${path}` }, hint });
}

/** A job is in one batch, and a call in one as well. */
function refuseOtherBatch(
  { batch, part_of }: InputOf<Operations["enqueueJobs"]>["body"],
  jobs: readonly NewJob[],
): void {
  if (batch != null && part_of != null) {
    throw new CorvoError("VALIDATION_ERROR", "part_of: the call begins a batch of its own");
  }
  const index = jobs.findIndex((job) => job.options?.batchId !== undefined);
  if (index < 0) return;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `jobs[${index}]: batch_id: the call begins a batch of its own, and a job is in one batch`,
  );
}

type Enqueued = Extract<Outcome, { kind: "enqueued" }>;

/**
 * Adds jobs; the workers that wait for them get their claim into the same batch. A key alone belongs to exactly these jobs; one
 * with a fingerprint to every call with that fingerprint.
 */
export function enqueue(
  node: Node,
  call: Pick<EnqueueJobs, "jobs" | "batch" | "partOf">,
  idempotency: string | NonNullable<EnqueueJobs["idempotency"]> | null | undefined,
): Promise<Enqueued> {
  const { jobs, batch, partOf } = call;
  return new Promise((resolve, reject) => {
    let bytes = 64 + (batch === undefined ? 0 : sizeOfBatch(batch));
    for (const job of jobs) {
      node.refuseJobElsewhere(job);
      bytes += sizeOf(job);
    }
    if (batch !== undefined) node.refuseBatchElsewhere(batch);
    const jobsOnly = enqueueChange(node, jobs);
    const change =
      batch === undefined && partOf === undefined
        ? jobsOnly
        : inBatch(node, jobsOnly, { batch, partOf });
    const withKey: EnqueueJobs =
      idempotency == null
        ? change
        : {
            ...change,
            idempotency:
              typeof idempotency === "string"
                ? { key: idempotency, fingerprint: fingerprintOf(node, call) }
                : idempotency,
          };
    const expected = expectedIn(jobs);
    try {
      node.replica.propose(withKey, bytes, (outcome, fault) => {
        for (const [queue, count] of expected) node.claims.arrived(queue, count);
        if (outcome === undefined) reject(fault);
        else if (outcome.kind === "enqueued") resolve(outcome);
        else if (outcome.kind === "rejected") {
          reject(new CorvoError(outcome.code, outcome.message));
        }
      });
    } catch (error) {
      reject(error);
      return;
    }
    for (const [queue, count] of expected) node.claims.expect(queue, count);
  });
}

function fingerprintOf(
  node: Node,
  { jobs, batch, partOf }: Pick<EnqueueJobs, "jobs" | "batch" | "partOf">,
): string {
  const isPlain = batch === undefined && partOf === undefined;
  return node.deps.fingerprint(JSON.stringify(isPlain ? jobs : { jobs, batch, partOf }));
}

export function enqueueChange(node: Node, given: readonly NewJob[]): EnqueueJobs {
  const { shard, shards } = node.options;
  const jobs = packValues(node.packing, given);
  const { disk } = node.deps;
  if (disk !== undefined) disk.admit(jobs.reduce((bytes, job) => bytes + job.payload.length, 0));
  if (shards === 1) return { kind: "enqueue", jobs };
  const change = { kind: "enqueue" as const, jobs, ...node.acrossOf(jobs) };
  return shard === 0 ? change : { ...change, shard };
}

/** The jobs of a call that begins a batch, or a part of them. */
function inBatch(
  node: Node,
  change: EnqueueJobs,
  { batch, partOf }: { batch: NewBatch | undefined; partOf: string | undefined },
): EnqueueJobs {
  const { onSuccess, onFailure, onComplete, parts } = batch ?? {};
  const isSplit = partOf !== undefined || parts !== undefined;
  const across = isSplit
    ? { across: true as const }
    : node.acrossOf([onSuccess, onFailure, onComplete]);
  return {
    ...change,
    ...across,
    ...(batch !== undefined && { batch }),
    ...(partOf !== undefined && { partOf }),
  };
}

/** Jobs per queue that will be ready at once. */
export function expectedIn(jobs: readonly NewJob[]): Map<string, number> {
  const expected = new Map<string, number>();
  for (const job of jobs) {
    if (!isReadyAtOnce(job)) continue;
    expected.set(job.queue, (expected.get(job.queue) ?? 0) + 1);
  }
  return expected;
}

export function accepted(
  result: EnqueueResult | undefined,
): Exclude<EnqueueResult, { kind: "rejected" }> {
  if (result === undefined) throw new Error("every job has a result");
  if (result.kind === "rejected") throw new CorvoError(result.code, result.message);
  return result;
}

function fetchHandlers(node: Node): Pick<WorkerHandlers, "fetchJob" | "fetchJobs"> {
  return {
    async fetchJob({ body }, { signal }) {
      const [job] = await fetchJobs(node, body, 1, signal);
      return job === undefined
        ? new Reply<ClaimedView>(204, undefined)
        : claimedView(node.idOf(job), job);
    },
    async fetchJobs({ body }, { signal }) {
      const count = Math.min(limits.batchItemsMax, Math.max(1, body.count ?? 1));
      const jobs = await fetchJobs(node, body, count, signal);
      const order = orderOf(node, introductionOf(body));
      return {
        jobs: jobs.map((job) => claimedView(node.idOf(job), job)),
        ...(order === undefined ? {} : { order }),
      };
    },
  };
}

function finishHandlers(
  node: Node,
): Pick<
  WorkerHandlers,
  | "ackJob"
  | "ackJobs"
  | "failJob"
  | "failJobs"
  | "releaseJob"
  | "snoozeJob"
  | "snoozeJobs"
  | "heartbeat"
> {
  return {
    async ackJob({ params, body }) {
      refuseAgentVerdict(body);
      if (body.result_blob != null) await ensureBlobs(node, [body.result_blob]);
      const items = packValues(node.packing, [toAck(node, { ...body, job_id: params.job_id })]);
      await node.proposeOne({ kind: "ack", items }, sizeOfItems(items));
      node.disownLease(items[0]?.token);
      return { status: "ok" };
    },
    async ackJobs({ body }) {
      const blobs = body.acks.map((item) => item.result_blob);
      if (blobs.some((hash) => hash != null)) await ensureBlobs(node, blobs);
      const items = packValues(
        node.packing,
        body.acks.map((item) => toAck(node, item)),
      );
      const results = await node.proposeItems({ kind: "ack", items }, sizeOfItems(items));
      for (const item of items) node.disownLease(item.token);
      return {
        acked: countDone(results),
        results: results.map((result, i) => itemView(body.acks[i]?.job_id ?? "", result, "ok")),
      };
    },
    async failJob({ params, body }) {
      const item = toFail(node, { ...body, job_id: params.job_id });
      const done = await node.proposeOne({ kind: "fail", items: [item] }, sizeOfItems([item]));
      node.disownLease(item.token);
      return {
        status: done.state === "dead" ? "dead" : "retrying",
        attempt: done.attempt,
        ...(done.dueAtMs === 0 ? {} : { next_attempt_at: formatTime(done.dueAtMs) }),
        attempts_remaining: done.state === "dead" ? 0 : done.attemptsLeft,
      };
    },
    async failJobs({ body }) {
      const items = body.fails.map((item) => toFail(node, item));
      const results = await node.proposeItems({ kind: "fail", items }, sizeOfItems(items));
      for (const item of items) node.disownLease(item.token);
      return {
        failed: countDone(results),
        results: results.map((result, i) => itemView(body.fails[i]?.job_id ?? "", result)),
      };
    },
    async releaseJob({ params, body }) {
      const item = toRelease(node, { ...body, job_id: params.job_id });
      const done = await node.proposeOne({ kind: "release", items: [item] }, 128);
      node.disownLease(item.token);
      return { status: done.state };
    },
    async snoozeJob({ params, body }) {
      const item = toSnooze(node, { ...body, job_id: params.job_id });
      const done = await node.proposeOne({ kind: "snooze", items: [item] }, sizeOfItems([item]));
      node.disownLease(item.token);
      return { status: done.state, next_attempt_at: formatTime(done.dueAtMs) };
    },
    async snoozeJobs({ body }) {
      const items = body.snoozes.map((item) => toSnooze(node, item));
      const results = await node.proposeItems({ kind: "snooze", items }, sizeOfItems(items));
      items.forEach((item, i) => {
        if (results[i]?.kind === "done") node.disownLease(item.token);
      });
      return {
        snoozed: countDone(results),
        results: results.map((result, i) => itemView(body.snoozes[i]?.job_id ?? "", result)),
      };
    },
    heartbeat: ({ body }) => heartbeat(node, body.jobs),
  };
}

type HeartbeatHandler = Handlers["heartbeat"];

async function heartbeat(
  node: Node,
  jobs: Parameters<HeartbeatHandler>[0]["body"]["jobs"],
): Promise<Exclude<Awaited<ReturnType<HeartbeatHandler>>, Reply<unknown>>> {
  const ids = Object.keys(jobs);
  if (ids.length > limits.batchItemsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `jobs: ${ids.length} items; at most ${limits.batchItemsMax} (batchItemsMax)`,
    );
  }
  const items = ids.map((id) => toHeartbeat(node, { ...jobs[id], job_id: id }));
  const results =
    items.length === 0
      ? []
      : await node.proposeItems({ kind: "heartbeat", items }, sizeOfItems(items));
  const answers: Record<string, { status: string; lease_expires_at?: string }> = {};
  const lists = { acked: [] as string[], unknown: [] as string[], canceled: [] as string[] };
  ids.forEach((id, i) => {
    const result = results[i];
    if (result?.kind === "done") {
      answers[id] = { status: "ok", lease_expires_at: formatTime(result.leaseExpiresAtMs) };
      lists.acked.push(id);
      return;
    }
    const isUnknown = result?.code === "NOT_FOUND";
    lists[isUnknown ? "unknown" : "canceled"].push(id);
    answers[id] = { status: heartbeatRefusal(node, id, items[i]?.token) };
  });
  return { jobs: answers, ...lists };
}

/** `lost` when another attempt may be running; else `cancel`, which is also all that clients without tokens know. */
function heartbeatRefusal(node: Node, jobId: string, token: number | undefined): string {
  if (token === undefined) return "cancel";
  try {
    const { state } = node.findJob(jobId);
    return state === "cancelled" || state === "held" ? "cancel" : "lost";
  } catch {
    return "cancel";
  }
}

function countDone(results: readonly ItemResult[]): number {
  return results.filter((result) => result.kind === "done").length;
}
