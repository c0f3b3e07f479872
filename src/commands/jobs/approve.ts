import { jobAction } from "../_shared/job-action.ts";

export default jobAction({
  action: "approve",
  operation: "approveJob",
  verb: "Approve",
  done: "approved",
  examples: [
    { line: "corvo jobs approve job_0193a1b2c3d000000000000001", says: "Let one held job run" },
    { line: "corvo jobs approve --state held --queue payout", says: "All held jobs of a queue" },
  ],
});
