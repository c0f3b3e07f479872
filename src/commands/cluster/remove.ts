import { clusterAction } from "../_shared/cluster-action.ts";

export default clusterAction({
  operation: "removeNode",
  question: (node) => `Remove node ${node} from the cluster for good?`,
  done: "removed",
  details:
    "A leader hands leadership over first. The node's data directory cannot rejoin under its old id; to move a node, add the new one before removing the old one.",
  examples: [
    { line: "corvo cluster remove 3", says: "After a question" },
    { line: "corvo cluster remove 3 --yes", says: "From a script" },
  ],
});
