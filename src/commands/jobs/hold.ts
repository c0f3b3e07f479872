import { jobAction } from "../_shared/job-action.ts";
import { reasonArgs, requestWithReason } from "../_shared/reason.ts";

export default jobAction({
  action: "hold",
  operation: "holdJob",
  verb: "Hold",
  done: "held",
  args: reasonArgs,
  requestOf: requestWithReason,
  examples: [
    {
      line: "corvo jobs hold job_0193a1b2c3d000000000000001 --reason 'waits for legal'",
      says: "One job, with a reason",
    },
    { line: "corvo jobs hold --state pending --queue payout", says: "All waiting jobs of a queue" },
  ],
});
