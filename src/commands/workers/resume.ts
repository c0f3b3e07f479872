import { workerAction } from "../_shared/worker-action.ts";

export default workerAction({
  operation: "resumeWorker",
  done: "may take jobs again",
  examples: [{ line: "corvo workers resume host1-4711-ab12", says: "After it was quiet" }],
});
