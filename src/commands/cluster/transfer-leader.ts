import { nodeArg } from "../_shared/cluster-action.ts";
import { command } from "../_shared/command.ts";

export default command({
  details:
    "Before maintenance of the leader. Writes pause for a moment; workers and clients connect again by themselves.",
  examples: [
    { line: "corvo cluster transfer-leader", says: "To the node that is furthest" },
    { line: "corvo cluster transfer-leader 2", says: "To node 2" },
  ],
  args: { node: { ...nodeArg, required: false } },
  async run(args, { client, output, signal }) {
    const body = args.node === undefined ? {} : { node: args.node };
    const text = await client().text("transferLeader", { body }, { signal });
    if (output.json) output.line(text);
    else output.note(`leadership was handed to ${args.node ?? "another node"}`);
    return undefined;
  },
});
