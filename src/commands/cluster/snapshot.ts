import { formatDuration } from "../../base/time.ts";
import { formatBytes } from "../_shared/bytes.ts";
import { nodeArg } from "../_shared/cluster-action.ts";
import { command } from "../_shared/command.ts";

/** A large state takes its time to copy. The server ends connections that are silent for longer than this. */
const answerMs = 120_000;

export default command({
  details:
    "Nodes store their state and shorten their logs by themselves; this is for now: before a copy of the data directory, or when the disk is short. The snapshot is kept for a minute, for members that are too far behind for the log. The log keeps what members in touch still lack, and its last 1,000 entries.",
  examples: [
    { line: "corvo cluster snapshot", says: "Of the leader" },
    { line: "corvo cluster snapshot 3", says: "Of node 3" },
  ],
  args: { node: { ...nodeArg, required: false } },
  async run(args, { client, output, signal }) {
    const body = args.node === undefined ? {} : { node: args.node };
    const call = { signal, timeoutMs: answerMs };
    if (output.json) {
      output.line(await client().text("makeSnapshot", { body }, call));
      return undefined;
    }
    const made = await client().makeSnapshot({ body }, call);
    output.line(
      `node ${made.node_id}: snapshot at entry ${made.index.toLocaleString("en-US")}, ${formatBytes(made.bytes)}, in ${formatDuration(made.duration_ms)}; the log begins at entry ${made.log_first.toLocaleString("en-US")}`,
    );
    return undefined;
  },
});
