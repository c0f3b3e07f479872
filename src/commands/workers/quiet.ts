import { workerAction } from "../_shared/worker-action.ts";

export default workerAction({
  operation: "quietWorker",
  done: "is asked to take no more jobs",
  details:
    "The server gives the worker no more jobs, whatever it asks for; those that it has in hand go on. It stays so until `corvo workers resume`.",
  examples: [
    { line: "corvo workers quiet host1-4711-ab12", says: "Before its machine is looked at" },
  ],
});
