import { batchAction } from "../_shared/batch-action.ts";

export default batchAction({
  operation: "getBatch",
  examples: [
    { line: "corvo batch status batch_0193a1b2c3d000000000000001", says: "How far it is" },
  ],
});
