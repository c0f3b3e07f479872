import { workerAction } from "../_shared/worker-action.ts";

export default workerAction({
  operation: "stopWorker",
  done: "is asked to finish its jobs and to end",
  details:
    "A worker on a stream, as `corvo worker` is, ends as if it had got one signal. One that asks by HTTP is given no more jobs, and is told so where the answer has room for it.",
  examples: [{ line: "corvo workers stop host1-4711-ab12", says: "Let one worker end in peace" }],
});
