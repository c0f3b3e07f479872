import { clusterAction } from "../_shared/cluster-action.ts";

export default clusterAction({
  operation: "demoteNode",
  question: (node) => `Make node ${node} a learner, which does not vote?`,
  done: "a learner",
  details:
    "A learner keeps a copy of everything and does not count for the majority: for maintenance, or to keep the number of voters odd.",
  examples: [{ line: "corvo cluster demote 4", says: "After a question" }],
});
