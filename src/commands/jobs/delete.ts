import { jobAction } from "../_shared/job-action.ts";

export default jobAction({
  action: "delete",
  operation: "deleteJob",
  verb: "Delete",
  done: "deleted",
  examples: [
    { line: "corvo jobs delete job_0193a1b2c3d000000000000001", says: "One job, in any state" },
    {
      line: "corvo jobs delete --state completed --completed-before 7d",
      says: "What was completed more than a week ago, after a question",
    },
  ],
});
