import { queueAction } from "../_shared/queue-action.ts";

export default queueAction({
  operation: "drainQueue",
  done: "draining",
  examples: [
    { line: "corvo queue drain mail", says: "One queue" },
    { line: "corvo queue drain mail report", says: "Several" },
  ],
});
