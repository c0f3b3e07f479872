import { jobAction } from "../_shared/job-action.ts";

export default jobAction({
  action: "cancel",
  operation: "cancelJob",
  verb: "Cancel",
  done: "cancelled",
  details: "The worker of an active job is told at its next heartbeat.",
  examples: [
    { line: "corvo jobs cancel job_0193a1b2c3d000000000000001", says: "One job" },
    {
      line: "corvo jobs cancel --state pending,scheduled --tag customer=42",
      says: "All waiting jobs of a customer, after a question",
    },
  ],
});
