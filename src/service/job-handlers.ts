/** Handlers of operations on jobs by id. */
import type { Handlers } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { parseJobId } from "../base/ids.ts";
import type { ManageAction, ManageJobs } from "../engine/change.ts";
import { isFinished, type Job } from "../engine/job.ts";
import { elsewhere } from "../engine/place.ts";
import type { Node } from "./node.ts";
import { type JobView, jobView } from "./views.ts";

type JobHandlers = Pick<
  Handlers,
  | "getJob"
  | "waitJob"
  | "deleteJob"
  | "retryJob"
  | "cancelJob"
  | "moveJob"
  | "holdJob"
  | "approveJob"
  | "rejectJob"
  | "bulkGetJobs"
>;

const defaultWaitSeconds = 30;

export function createJobHandlers(node: Node): JobHandlers {
  const act = async (
    jobId: string,
    action: ManageAction,
    extra: Partial<Pick<ManageJobs, "queue" | "reason">> = {},
  ) => {
    // A leader that slept may not know that it was replaced, nor of the job.
    if (node.tryFindJob(jobId) === undefined) await node.replica.readBarrier();
    return node.proposeOne({ kind: "manage", action, seqs: [node.seqOf(jobId)], ...extra }, 256);
  };
  return {
    getJob: async ({ params }) => readJob(node, params.job_id),
    waitJob: ({ params, query }, { signal }) =>
      waitJob(node, params.job_id, (query.timeout ?? defaultWaitSeconds) * 1000, signal),
    async deleteJob({ params }) {
      await act(params.job_id, "delete");
      return { status: "deleted" };
    },
    async retryJob({ params }) {
      await act(params.job_id, "retry");
      return { status: "retried" };
    },
    async cancelJob({ params }) {
      const done = await act(params.job_id, "cancel");
      return { status: done.from === "active" ? "cancelling" : "cancelled" };
    },
    async moveJob({ params, body }) {
      node.refuseElsewhere(body.queue);
      await act(params.job_id, "move", { queue: body.queue });
      return { status: "moved" };
    },
    async holdJob({ params, body }) {
      await act(params.job_id, "hold", reasonOf(body));
      return { status: "held" };
    },
    async approveJob({ params }) {
      await act(params.job_id, "approve");
      return { status: "pending" };
    },
    async rejectJob({ params, body }) {
      await act(params.job_id, "reject", reasonOf(body));
      return { status: "dead" };
    },
    async bulkGetJobs({ body }) {
      const jobs: JobView[] = [];
      for (const id of body.job_ids) {
        const job = tryRead(node, id);
        if (job !== undefined) jobs.push(job);
      }
      return { jobs };
    },
  };
}

function reasonOf(body: { reason?: string | null }): { reason?: string } {
  return body.reason == null ? {} : { reason: body.reason };
}

function readJob(node: Node, jobId: string): JobView {
  const job = node.findJob(jobId);
  const view = jobView(jobId, job, node.deps.attemptsOf(job));
  const waitsFor = waitsForIds(node, job);
  if (waitsFor.length > 0) view.waits_for = waitsFor;
  return view;
}

function waitsForIds(node: Node, job: Job): string[] {
  if (job.options.dependsOn === undefined) return [];
  const open = new Set(node.replica.engine.openDependencies(job.seq));
  const { place } = node.replica.engine;
  return job.options.dependsOn.filter((id) =>
    open.has(elsewhere(place, id) === undefined ? (parseJobId(id)?.seq ?? 0) : id),
  );
}

function tryRead(node: Node, jobId: string): JobView | undefined {
  try {
    return readJob(node, jobId);
  } catch (error) {
    if (error instanceof CorvoError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

function waitJob(node: Node, jobId: string, waitMs: number, signal: AbortSignal): Promise<JobView> {
  const job = node.findJob(jobId);
  if (isFinished(job.state) || waitMs === 0 || signal.aborted) {
    return Promise.resolve(readJob(node, jobId));
  }
  return new Promise((resolve, reject) => {
    const end = () => {
      unwatch();
      cancelTimer();
      signal.removeEventListener("abort", end);
      try {
        resolve(readJob(node, jobId));
      } catch (error) {
        reject(error);
      }
    };
    const unwatch = node.watchFinish(job.seq, end);
    const cancelTimer = node.deps.timers.after(waitMs, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
