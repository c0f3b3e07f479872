import { parseTime } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { formatAge, printable } from "../_shared/output.ts";
import { readQueue } from "../_shared/queue-args.ts";

export default command({
  examples: [
    { line: "corvo workers list", says: "Who takes jobs, and how many each has in hand" },
    { line: "corvo workers list --queue mail", says: "Those of one queue" },
    { line: "corvo workers list --json", says: "For programs" },
  ],
  args: {
    queue: {
      type: "string",
      valueHint: "QUEUE",
      read: readQueue,
      description: "Only workers that take jobs from this queue.",
    },
  },
  async run(args, { client, output, signal, system }) {
    const query = args.queue === undefined ? {} : { queue: args.queue };
    if (output.json) {
      output.line(await client().text("listWorkers", { query }, { signal }));
      return undefined;
    }
    const workers = await client().listWorkers({ query }, { signal });
    if (output.quiet) {
      for (const { id } of workers) output.line(id);
      return undefined;
    }
    if (workers.length === 0) {
      output.note("no worker asked for jobs lately; `corvo worker QUEUE -- COMMAND` is one");
      return undefined;
    }
    const { style } = output;
    const nowMs = system.clock.nowMs();
    const age = (at: string | undefined) =>
      at === undefined ? "-" : formatAge(Math.max(0, nowMs - (parseTime(at) ?? nowMs)));
    const rows = workers.map((worker) => [
      printable(worker.id),
      worker.state === "working" || worker.state === "idle"
        ? worker.state
        : style.yellow(worker.state),
      String(worker.in_hand),
      printable(worker.queues.join(",")),
      printable(
        Object.entries(worker.labels ?? {})
          .map(([name, value]) => `${name}=${value}`)
          .join(",") || "-",
      ),
      printable(worker.hostname ?? "-"),
      printable(worker.client ?? "-"),
      worker.streams > 0 ? "now" : age(worker.last_heartbeat),
      age(worker.started_at),
    ]);
    const titles = [
      "WORKER",
      "STATE",
      "IN HAND",
      "QUEUES",
      "LABELS",
      "HOST",
      "PROGRAM",
      "SEEN",
      "UP",
    ];
    printGrid(output, titles, rows);
    return undefined;
  },
});
