import { jobAction } from "../_shared/job-action.ts";
import { reasonArgs, requestWithReason } from "../_shared/reason.ts";

export default jobAction({
  action: "reject",
  operation: "rejectJob",
  verb: "Reject",
  done: "rejected",
  args: reasonArgs,
  requestOf: requestWithReason,
  examples: [
    {
      line: "corvo jobs reject job_0193a1b2c3d000000000000001 --reason 'amount is wrong'",
      says: "Send one held job to dead, with a reason",
    },
    {
      line: "corvo jobs reject --state held --created-before 30d",
      says: "All that waited a month",
    },
  ],
});
