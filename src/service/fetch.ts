/** Long-polling claims: one waiter per call, ended by jobs, by time, or by the caller going away. */

import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import type { CorvoError } from "../base/errors.ts";
import type { Job } from "../engine/job.ts";
import type { Order } from "../engine/worker-orders.ts";
import { type ClaimRequest, Waiter } from "../replica/claims.ts";
import { toLabels } from "./labels.ts";
import type { Node } from "./node.ts";
import { toTime } from "./values.ts";
import type { Introduction, OrderListener } from "./worker-registry.ts";

type FetchBody = InputOf<Operations["fetchJobs"]>["body"];

const defaultWaitMs = 30_000;
const defaultLeaseMs = 60_000;
/** Clients that wait as long for the answer as they ask the server to wait would hang up on a job just claimed. */
const earlyMs = 1500;

/** Up to `count` jobs; empty when none came in time, or the worker was asked to take none. */
export function fetchJobs(
  node: Node,
  body: FetchBody,
  count: number,
  signal: AbortSignal,
): Promise<readonly Job[]> {
  if (signal.aborted) return Promise.resolve([]);
  const worker = introductionOf(body);
  if (worker !== undefined) node.workers.introduce(worker);
  return new Promise((resolve, reject) => {
    let ended = false;
    const end = (jobs: readonly Job[], fault: CorvoError | undefined) => {
      // The caller has gone while the claim was in the log's hands: the jobs go back, the attempt is not spent.
      if (ended) return giveBack(node, jobs);
      ended = true;
      node.claims.remove(waiter);
      stopOrders();
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      if (fault !== undefined) reject(fault);
      else resolve(jobs);
    };
    const onAbort = () => end([], undefined);
    // A claim that is in the log's hands when the time is over decides: not to wait is not to come away empty-handed.
    const onTimeOver = () => {
      node.claims.remove(waiter);
      if (!waiter.claiming) onAbort();
    };
    const waiter = new Waiter(claimRequestOf(body), count, (jobs, fault) => end(jobs, fault));
    const cancelTimer = node.deps.timers.after(waitMsOf(body), onTimeOver);
    signal.addEventListener("abort", onAbort, { once: true });
    const obey: OrderListener = (order) => {
      if (order === undefined) node.claims.add(waiter);
      else node.claims.remove(waiter);
    };
    const stopOrders =
      worker === undefined ? () => {} : node.workers.onOrder(worker.workerId, obey);
    obey(orderOf(node, worker));
  });
}

/** What an operator asks of who made this call. */
export function orderOf(node: Node, worker: Introduction | undefined): Order | undefined {
  return worker === undefined
    ? undefined
    : node.workers.orderOf(worker.workerId, worker.startedAtMs);
}

/** What a worker says of itself; undefined when it gives no id. */
export function introductionOf(body: ClaimFields): Introduction | undefined {
  if (body.worker_id == null || body.worker_id === "") return undefined;
  return {
    workerId: body.worker_id,
    hostname: body.hostname ?? undefined,
    client: body.client ?? undefined,
    queues: [...new Set(body.queues)],
    labels: labelsOf(body.labels).labels ?? [],
    startedAtMs: body.started_at == null ? 0 : toTime("started_at", body.started_at),
  };
}

/** Returns jobs that nobody will work on. */
export function giveBack(node: Node, jobs: readonly Job[]): void {
  if (jobs.length === 0) return;
  const items = jobs.map((job) => ({ seq: job.seq, token: job.token }));
  // A refusal is no loss: the leases end by themselves.
  node.replica.submit({ kind: "release", items }).catch(() => undefined);
}

/** The members that claims of all kinds have. */
interface ClaimFields {
  queues: string[];
  worker_id?: string | null;
  hostname?: string | null;
  client?: string | null;
  started_at?: string | null;
  lease_ms?: number | null;
  timeout?: number | null;
  labels?: Readonly<Record<string, string>> | null;
}

export function claimRequestOf(body: ClaimFields): ClaimRequest {
  const seconds = body.timeout ?? 0;
  const leaseMs = body.lease_ms ?? (seconds > 0 ? Math.round(seconds * 1000) : defaultLeaseMs);
  return {
    queues: [...new Set(body.queues)],
    leaseMs: Math.min(limits.leaseMsMax, Math.max(limits.leaseMsMin, leaseMs)),
    ...(body.worker_id == null ? {} : { workerId: body.worker_id }),
    ...(body.hostname == null ? {} : { hostname: body.hostname }),
    ...labelsOf(body.labels),
  };
}

function labelsOf(given: Readonly<Record<string, string>> | null | undefined): {
  labels?: readonly string[];
} {
  const labels = given == null ? [] : toLabels("labels", given);
  return labels.length === 0 ? {} : { labels };
}

export function waitMsOf(body: FetchBody): number {
  if (body.wait_ms != null) return body.wait_ms;
  const seconds = body.timeout ?? 0;
  const askedMs = seconds > 0 ? Math.min(seconds * 1000, limits.waitMsMax) : defaultWaitMs;
  return askedMs >= 5000 ? askedMs - earlyMs : askedMs;
}
