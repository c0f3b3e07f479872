/** Brings jobs and settings of queues back into a server that runs. What is there already is left as it is, and said. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { parseJobId } from "../base/ids.ts";
import type { Change } from "../engine/change.ts";
import { nameOf } from "../engine/limits/setting.ts";
import type { Outcome } from "../engine/outcome.ts";
import type { RestoredJob } from "../engine/restored-job.ts";
import { shown } from "../engine/shape.ts";
import { restoredJob } from "../engine/well-formed-restored.ts";
import type { RestoredQueue } from "./backup-lines.ts";
import { ensureBlobs } from "./named-blobs.ts";
import { type Node, shorten } from "./node.ts";
import { packValues } from "./packed-values.ts";
import { type JobDocument, parseRecord, type RestoreBody, toRestored } from "./restored.ts";

export type RestoreResult = ResultOf<Operations["adminRestore"]>;
type QueueDocument = NonNullable<RestoreBody["queues"]>[number];

interface Prepared {
  readonly document: JobDocument;
  readonly job: RestoredJob;
}

export function createRestoreHandlers(node: Node): Pick<Handlers, "adminRestore"> {
  return {
    async adminRestore({ body }) {
      if (body.namespace != null && body.namespace !== "" && body.namespace !== "default") {
        throw new CorvoError(
          "UNSUPPORTED",
          `namespace: this server has only "default", and "${shorten(body.namespace)}" was named`,
        );
      }
      const kept: string[] = [];
      for (const queue of body.queues ?? []) kept.push(...(await restoreQueue(node, queue)));
      const { restored, refused } = await restoreJobs(node, body);
      return { status: "ok", namespace: "default", restored_jobs: restored, refused, kept };
    },
  };
}

async function restoreJobs(
  node: Node,
  { jobs, new_ids }: RestoreBody,
): Promise<{ restored: number; refused: RestoreResult["refused"] }> {
  const refused: RestoreResult["refused"] = [];
  const prepared: Prepared[] = [];
  const refuse = (document: JobDocument, error: { code: string; message: string }) =>
    refused.push({ job_id: document.id ?? "", code: error.code, error: error.message });
  for (const document of jobs ?? []) {
    try {
      const { payload_blob, result_blob } = document;
      if (payload_blob != null || result_blob != null) {
        await ensureBlobs(node, [payload_blob, result_blob]);
      }
      const [job] = packValues(node.packing, [prepare(node, document, new_ids === true)]);
      if (job !== undefined) prepared.push({ document, job });
    } catch (error) {
      if (!(error instanceof CorvoError)) throw error;
      refuse(document, error);
    }
  }
  if (prepared.length === 0) return { restored: 0, refused };
  const change = { kind: "restoreJobs" as const, jobs: prepared.map(({ job }) => job) };
  const outcome = await node.propose(change, JSON.stringify(change).length);
  const results = outcome.kind === "enqueued" ? outcome.results : [];
  results.forEach((result, i) => {
    const document = prepared[i]?.document;
    if (result.kind === "rejected" && document !== undefined) refuse(document, result);
  });
  return { restored: results.filter(({ kind }) => kind === "added").length, refused };
}

function prepare(node: Node, document: JobDocument, hasNewId: boolean): RestoredJob {
  node.refuseElsewhere(document.queue);
  const job = toRestored(document, hasNewId);
  const problem = restoredJob(job);
  if (problem !== undefined) {
    const { path, wanted, value } = problem;
    throw new CorvoError("VALIDATION_ERROR", `${path}: expected ${wanted}, got ${shown(value)}`);
  }
  if (job.queue !== document.queue) {
    throw new CorvoError("VALIDATION_ERROR", `corvo: its queue is "${shorten(job.queue)}"`);
  }
  if (job.seq === undefined) return job;
  const id = parseJobId(document.id ?? "");
  if (id?.seq !== job.seq || id.createdAtMs !== job.createdAtMs) {
    throw new CorvoError("VALIDATION_ERROR", "id: it is not that of the job under corvo");
  }
  if (id.shard === node.options.shard) return job;
  throw new CorvoError(
    "CONFLICT",
    `its id is of shard ${id.shard}, and its queue is in shard ${node.options.shard} here`,
    { hint: "The cluster has another number of shards: restore with new ids." },
  );
}

/** What the queue had and has again; the names of what was there and is left. */
async function restoreQueue(node: Node, document: QueueDocument): Promise<string[]> {
  const { name } = document;
  node.refuseElsewhere(name);
  const { state } = node.replica.engine;
  const isNew = state.getQueue(name) === undefined;
  const kept: string[] = [];
  const restored = restoredOf(document);
  if (isNew) for (const change of changesOf(document, restored)) await submit(node, change);
  else kept.push(`queue ${name}`);
  for (const { target, ...values } of restored.limits) {
    if (state.records("limits").has(nameOf(target))) kept.push(`limit of ${name}`);
    else await submit(node, { kind: "setLimit", target, values });
  }
  for (const { name: schedule, spec, paused } of restored.schedules) {
    if (state.records("schedule").has(schedule)) {
      kept.push(`schedule ${schedule}`);
      continue;
    }
    await submit(node, { kind: "setSchedule", name: schedule, spec });
    if (paused) await submit(node, { kind: "pauseSchedule", name: schedule, paused });
  }
  return kept;
}

function changesOf({ name: queue, paused }: QueueDocument, restored: RestoredQueue): Change[] {
  const { draining, defaults, written, bytes } = restored;
  return [
    { kind: "pauseQueue", queue, paused: paused === true },
    ...(bytes === undefined ? [] : [{ kind: "setQueueBytes" as const, queue, ...bytes }]),
    ...(draining ? [{ kind: "drainQueue" as const, queue, draining }] : []),
    ...(defaults === undefined || written === undefined
      ? []
      : [{ kind: "setQueueDefaults" as const, queue, defaults, written }]),
  ];
}

/** Of 0.3: how many run at once, and how fast. */
function restoredOf(document: QueueDocument): RestoredQueue {
  if (document.corvo != null) {
    const parsed = parseRecord<RestoredQueue>(document.corvo);
    const isLimit = (one: unknown) => isObject(one) && "target" in one && isObject(one.target);
    const { limits, schedules } = parsed;
    const isWhole = Array.isArray(limits) && Array.isArray(schedules);
    if (isWhole && limits.every(isLimit) && schedules.every(isObject)) return parsed;
    throw new CorvoError("VALIDATION_ERROR", "corvo: a queue has limits and schedules");
  }
  const { name: queue, max_concurrency, rate_limit, rate_window_ms } = document;
  const concurrency = max_concurrency != null && max_concurrency > 0 ? max_concurrency : undefined;
  const isLimited = rate_limit != null && rate_limit > 0 && rate_window_ms != null;
  const rate = isLimited
    ? { kind: "sliding" as const, count: rate_limit, windowMs: rate_window_ms }
    : undefined;
  const values = {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(rate === undefined ? {} : { rate }),
  };
  const target = { scope: "queue" as const, queue, name: "" };
  const limits = Object.keys(values).length === 0 ? [] : [{ target, ...values }];
  return { draining: false, limits, schedules: [] };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

async function submit(node: Node, change: Change): Promise<Outcome> {
  return node.propose(change, JSON.stringify(change).length);
}
