import { jobAction } from "../_shared/job-action.ts";

export default jobAction({
  action: "retry",
  operation: "retryJob",
  verb: "Retry",
  done: "retried",
  details: "Attempts are counted from zero again.",
  examples: [
    { line: "corvo jobs retry job_0193a1b2c3d000000000000001", says: "One job" },
    { line: "corvo jobs retry --state dead --queue mail --dry-run", says: "How many would it be?" },
    {
      line: "corvo jobs retry --state dead --queue mail --yes",
      says: "All of them, from a script",
    },
  ],
});
