import { parseTime } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { formatAge, printable } from "../_shared/output.ts";

export default command({
  examples: [
    { line: "corvo queue list", says: "All queues with their counts" },
    { line: "corvo queue list --json", says: "The same for programs" },
  ],
  args: {},
  async run(_, { client, output, signal, system }) {
    if (output.json) {
      output.line(await client().text("listQueues", {}, { signal }));
      return undefined;
    }
    const queues = await client().listQueues({}, { signal });
    if (output.quiet) {
      for (const queue of queues) output.line(queue.name);
      return undefined;
    }
    if (queues.length === 0) {
      output.note("no queue yet; the first job makes one");
      return undefined;
    }
    const { style } = output;
    const nowMs = system.clock.nowMs();
    const counts = [
      "pending",
      "active",
      "scheduled",
      "retrying",
      "held",
      "completed",
      "dead",
    ] as const;
    const rows = queues.map((queue) => [
      printable(queue.name),
      ...counts.map((state) => String(queue[state])),
      queue.oldest_pending_at === undefined
        ? "-"
        : formatAge(nowMs - (parseTime(queue.oldest_pending_at) ?? nowMs)),
      queue.paused
        ? style.yellow("paused")
        : queue.draining === true
          ? style.yellow("draining")
          : "running",
    ]);
    printGrid(
      output,
      ["QUEUE", ...counts.map((state) => state.toUpperCase()), "OLDEST", "MODE"],
      rows,
    );
    return undefined;
  },
});
