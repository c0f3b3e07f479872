import { queueAction } from "../_shared/queue-action.ts";

export default queueAction({
  operation: "pauseQueue",
  done: "paused",
  examples: [
    { line: "corvo queue pause mail", says: "One queue" },
    { line: "corvo queue pause mail report", says: "Several" },
  ],
});
