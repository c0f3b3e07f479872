import { queueAction } from "../_shared/queue-action.ts";

export default queueAction({
  operation: "resumeQueue",
  done: "running",
  examples: [
    { line: "corvo queue resume mail", says: "One queue" },
    { line: "corvo queue resume mail report", says: "Several" },
  ],
});
