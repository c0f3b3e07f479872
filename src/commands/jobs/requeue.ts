import { jobAction } from "../_shared/job-action.ts";

export default jobAction({
  action: "requeue",
  verb: "Requeue",
  done: "requeued",
  details:
    "Unlike retry, which counts attempts from zero, it leaves them as they are: a job that has none left dies again when it fails once more.",
  examples: [
    { line: "corvo jobs requeue job_0193a1b2c3d000000000000001", says: "One dead job" },
    {
      line: "corvo jobs requeue --state dead --queue mail",
      says: "All dead jobs of a queue, after a question",
    },
  ],
});
