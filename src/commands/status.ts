/**
 * `corvo status`: what a server holds and does, as lines for a person. What there is nothing to say about has no line; with
 * `--json` everything is there, as the server sent it.
 */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { formatDuration } from "../base/time.ts";
import { formatBytes } from "./_shared/bytes.ts";
import { command } from "./_shared/command.ts";
import { printFields } from "./_shared/grid.ts";
import { count } from "./_shared/output.ts";

function eventsText({ last, readers, lag }: { last: number; readers: number; lag: number }) {
  const behind = lag === 0 ? "" : `, the slowest ${lag.toLocaleString("en-US")} behind`;
  return `${last.toLocaleString("en-US")}, ${count(readers, "reader")}${behind}`;
}

function textIndexText({ bytes, behind }: { bytes: number; behind: number }) {
  return `${formatBytes(bytes)}, ${behind === 0 ? "up to date" : `${count(behind, "job")} behind`}`;
}

export default command({
  examples: [
    { line: "corvo status", says: "The server at CORVO_SERVER" },
    {
      line: "corvo status --server http://10.0.0.7:8080 --json",
      says: "Another one, for programs",
    },
  ],
  args: {},
  async run(_, { client, output, signal }) {
    if (output.json) {
      output.line(await client().text("status", {}, { signal }));
      return undefined;
    }
    const { jobs, ...status } = await client().status({}, { signal });
    const paused = status.queues_paused === 0 ? "" : `, ${status.queues_paused} paused`;
    printFields(output, [
      [
        "server",
        `${status.server_version}, node ${status.node_id}, ${status.mode}, ${status.role}`,
      ],
      ["cluster", status.cluster],
      [
        "up",
        `${formatDuration(Math.round(status.uptime_ms / 1000) * 1000)}, since ${status.started_at}`,
      ],
      [
        "writes",
        status.read_only ? "refused: read-only" : `accepted, durability ${status.durability}`,
      ],
      ["queues", `${status.queues}${paused}`],
      ...Object.entries(jobs).map(([state, number]): [string, string] => [
        `jobs ${state}`,
        number.toLocaleString("en-US"),
      ]),
      [
        "log",
        `${formatBytes(status.log_bytes)}, applied ${status.applied_index}, checkpoint ${status.checkpoint_index}`,
      ],
      ["state", formatBytes(status.state_bytes)],
      [
        "jobs on disk",
        status.disk_used_bytes === undefined
          ? undefined
          : `${formatBytes(status.disk_used_bytes)} with blobs${
              status.disk_budget_bytes === undefined
                ? ""
                : ` of ${formatBytes(status.disk_budget_bytes)}`
            }`,
      ],
      ["new payloads", status.disk_full === undefined ? undefined : `refused: ${status.disk_full}`],
      ["index of texts", status.text_index && textIndexText(status.text_index)],
      ["memory", formatBytes(status.memory_bytes)],
      ["writes in flight", String(status.pending_proposals)],
      ["deliveries", deliveriesOf(status.deliveries)],
      ["workers waiting", String(status.waiting_workers)],
      [
        "messages between shards",
        status.messages_waiting === undefined ? undefined : String(status.messages_waiting),
      ],
      ["events", status.events && eventsText(status.events)],
    ]);
    return undefined;
  },
});

type Deliveries = NonNullable<ResultOf<Operations["status"]>["deliveries"]>;

/** Undefined while there was never anything to send. */
function deliveriesOf(deliveries: Deliveries | undefined): string | undefined {
  if (deliveries === undefined) return undefined;
  const { waiting, delivered, failed, missed, oldest_waiting_at: oldest } = deliveries;
  if (waiting + delivered + failed + missed === 0) return undefined;
  const since = oldest === undefined ? "" : ` since ${oldest}`;
  return `${waiting} waiting${since}, ${delivered} delivered, ${failed} given up, ${missed} missed`;
}
