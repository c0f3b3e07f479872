import { queueAction } from "../_shared/queue-action.ts";

export default queueAction({
  operation: "undrainQueue",
  done: "taking new jobs again",
  examples: [{ line: "corvo queue undrain mail", says: "Take new jobs again" }],
});
