import { clusterAction } from "../_shared/cluster-action.ts";

export default clusterAction({
  operation: "promoteNode",
  question: (node) => `Let node ${node} vote?`,
  done: "a voter",
  details:
    "A voter counts for the majority that every write needs. A node that has joined is promoted by itself once it has caught up; this is for one that was demoted.",
  examples: [{ line: "corvo cluster promote 3 --yes", says: "From a script" }],
});
