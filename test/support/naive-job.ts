/** A job as the naive model keeps it, and which actions an operator may take in which state. */
import type { JobState } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";

export interface ModelJob {
  readonly seq: number;
  readonly createdAtMs: number;
  readonly options: JobOptions;
  queue: string;
  state: JobState;
  priority: number;
  order: number;
  dueAtMs: number;
  expireAtMs: number;
  attempt: number;
  lostLeases: number;
  token: number;
  leaseMs: number;
  leaseEndsAtMs: number;
  startedAtMs: number;
  result: string | undefined;
  checkpoint: string | undefined;
  progress: string | undefined;
  history: string[];
}

export const waiting: readonly JobState[] = ["pending", "scheduled", "retrying", "held"];
export const sources: Readonly<Record<string, readonly JobState[]>> = {
  retry: ["dead", "cancelled", "completed", "scheduled", "retrying"],
  requeue: ["dead"],
  cancel: ["pending", "scheduled", "retrying", "active", "held"],
  hold: ["pending", "scheduled", "retrying", "active"],
  approve: ["held"],
  reject: ["held"],
};
export const refusals: Readonly<Record<string, string>> = {
  retry: "RETRY_ERROR",
  requeue: "RETRY_ERROR",
  cancel: "CANCEL_ERROR",
  hold: "HOLD_ERROR",
  approve: "APPROVE_ERROR",
  reject: "REJECT_ERROR",
};

export function answerOf(job: ModelJob, from: JobState): string {
  return `${from} to ${job.state}, attempt ${job.attempt}, due ${job.dueAtMs}, lease ${job.leaseEndsAtMs}`;
}
