import { count } from "../_shared/output.ts";
import { queueRemoval } from "../_shared/queue-removal.ts";

export default queueRemoval({
  operation: "deleteQueue",
  details: "Refused while jobs of the queue are active.",
  question: (queue) => `Delete ${queue.name} with all its ${count(queue.enqueued, "job")}?`,
  typed: true,
  report: (name, deleted) => `${name} and ${deleted} deleted`,
  examples: [
    { line: "corvo queue delete old-mail", says: "After its name was typed" },
    { line: "corvo queue delete old-mail --yes", says: "From a script" },
  ],
});
