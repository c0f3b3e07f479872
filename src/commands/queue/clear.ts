import { count } from "../_shared/output.ts";
import { queueRemoval } from "../_shared/queue-removal.ts";

export default queueRemoval({
  operation: "clearQueue",
  details:
    "Waiting jobs are those that are pending, scheduled or retrying; active and finished ones stay.",
  question: (queue) => {
    const waiting = queue.pending + queue.scheduled + queue.retrying;
    return `Delete ${count(waiting, "waiting job")} of ${queue.name}?`;
  },
  typed: false,
  report: (name, deleted) => `${deleted} of ${name} deleted`,
  examples: [
    { line: "corvo queue clear mail", says: "After a question" },
    { line: "corvo queue clear mail --yes", says: "From a script" },
  ],
});
