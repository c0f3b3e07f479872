import { Priority } from "../../api/schemas.ts";
import { UsageError } from "../_shared/exit.ts";
import { jobAction } from "../_shared/job-action.ts";
import { problemOf } from "../_shared/schema-check.ts";

export default jobAction({
  action: "change_priority",
  verb: "Change the priority of",
  done: "given another priority",
  details: "Waiting jobs only. They go to the end of the line of their new priority.",
  args: {
    to: {
      type: "string",
      valueHint: "PRIORITY",
      description: "critical, high, normal, low, or 0 (first) to 9.",
    },
  },
  requestOf(ids, values) {
    const { to } = values;
    if (typeof to !== "string") {
      throw new UsageError("the new priority is missing", "Name it with --to, as in --to high.");
    }
    const priority = /^\d$/.test(to) ? Number(to) : to;
    const problem = problemOf(Priority, priority, "--to");
    if (problem !== undefined) throw new UsageError(problem);
    return { ids, single: {}, bulk: { priority } };
  },
  examples: [
    { line: "corvo jobs priority job_0193a1b2c3d000000000000001 --to high", says: "One job" },
    {
      line: "corvo jobs priority --queue mail --tag customer=42 --to critical",
      says: "All waiting jobs of a customer, after a question",
    },
  ],
});
