import { batchAction } from "../_shared/batch-action.ts";

export default batchAction({
  operation: "sealBatch",
  examples: [
    {
      line: "corvo batch seal batch_0193a1b2c3d000000000000001",
      says: "No more jobs join; it ends when all have ended",
    },
  ],
});
