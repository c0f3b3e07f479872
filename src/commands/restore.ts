/** `corvo restore`: a new cluster of one node from a backup of everything. Works on a directory that no server has. */

import { formatBytes } from "./_shared/bytes.ts";
import { command } from "./_shared/command.ts";
import { printFields } from "./_shared/grid.ts";
import { openInput } from "./_shared/input.ts";
import { createProgress } from "./_shared/progress.ts";

export default command({
  details:
    "The directory must be empty or new; nothing is ever overwritten. It becomes that of a cluster of one node with an id of its own, in which all jobs are as they were, with their ids; jobs that were active run again once their leases end. Start it with `corvo server`, and let further nodes join. Restore a backup into one cluster only, or the same jobs run twice.",
  examples: [
    {
      line: "corvo restore corvo-2026-11-22.backup --data-dir /var/lib/corvo",
      says: "Everything, into a new directory",
    },
    { line: "age -d corvo.backup.age | corvo restore - --data-dir ./data", says: "From a pipe" },
  ],
  args: {
    file: { type: "positional", label: "FILE", description: "The backup; - is standard input." },
    "data-dir": {
      type: "string",
      description: "Folder of the server that will be started.",
      valueHint: "DIR",
      default: "./data",
    },
  },
  async run(args, context) {
    const { restoreWhole } = await import("./server/restore.ts");
    const { output, system, log } = context;
    const progress = createProgress(context);
    try {
      const restored = await restoreWhole(openInput(system, args.file), args["data-dir"], {
        clock: system.clock,
        logger: log,
        onProgress: (bytes) => progress.update(undefined, `${formatBytes(bytes)} unpacked`),
      });
      progress.done();
      const { manifest, clusterId, nodeId, queues, jobs } = restored;
      if (output.json) {
        const { shards } = manifest;
        const ids = { cluster_id: clusterId, node_id: String(nodeId), from: manifest.clusterId };
        output.line(JSON.stringify({ ...ids, shards, queues, jobs }));
        return;
      }
      const dir = args["data-dir"];
      output.note(`${dir} is restored; start it: corvo server --data-dir ${dir}`);
      if (output.quiet) return;
      printFields(output, [
        ["cluster", `${clusterId}, which was ${manifest.clusterId}`],
        ["node", String(nodeId)],
        ["shards", String(manifest.shards)],
        ["queues", String(queues)],
        ["jobs", String(jobs)],
      ]);
    } finally {
      progress.done();
    }
  },
});
