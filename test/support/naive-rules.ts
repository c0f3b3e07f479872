/** From which states an operator's action goes, and the code of its refusal from all others. */
import type { JobState } from "../../src/engine/job.ts";

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
