/**
 * The nodes of the cluster. The leader is asked, through whichever node is reached, since it alone knows how far the others
 * are; when it does not answer, what the reached node knows is better than nothing, and is said to be that.
 */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { CorvoError, exitCodes } from "../../base/errors.ts";
import { formatDuration } from "../../base/time.ts";
import { pause } from "../../sdk/retry.ts";
import { formatBytes } from "../_shared/bytes.ts";
import { connect, promptRetry } from "../_shared/client.ts";
import type { Style } from "../_shared/colors.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";

type Status = ResultOf<Operations["clusterStatus"]>;
type Member = Status["nodes"][number];

const watchMs = 2000;
/** A node that takes longer to say how it is, is not well. */
const answerMsMax = 10_000;

export default command({
  details: "Exit code 0: the cluster takes writes; 6: it does not, or cannot be reached.",
  examples: [
    { line: "corvo cluster status", says: "Nodes, and how the cluster is" },
    { line: "corvo cluster status --watch", says: "Again every two seconds, until Ctrl-C" },
    {
      line: "corvo cluster status --server 10.0.0.7:8080,10.0.0.8:8080",
      says: "From whichever of two answers",
    },
  ],
  args: {
    watch: { type: "boolean", description: "Show it again every two seconds, until Ctrl-C." },
  },
  async run(args, context) {
    const { system, signal } = context;
    let isAvailable = await show(context);
    while (args.watch === true) {
      await pause(system.timers, watchMs, signal);
      if (!context.output.json) context.output.line("");
      isAvailable = await showIfThere(context);
    }
    return isAvailable ? exitCodes.ok : exitCodes.unavailable;
  },
});

async function show(context: Context): Promise<boolean> {
  const { output } = context;
  const { text, isLed } = await askStatus(context);
  const status = JSON.parse(text) as Status;
  if (output.json) output.line(text);
  else if (output.quiet) for (const node of status.nodes) output.line(node.id);
  else print(context, status);
  return isLed && status.status !== "unavailable";
}

/** Who watches wants to see it come back. */
async function showIfThere(context: Context): Promise<boolean> {
  try {
    return await show(context);
  } catch (error) {
    if (!(error instanceof CorvoError) || !error.retryable) throw error;
    context.output.warn(error.message);
    return false;
  }
}

/** A node that follows may not know yet that its leader is gone; that nobody led when asked counts for more. */
async function askStatus(context: Context): Promise<{ text: string; isLed: boolean }> {
  const call = { signal: context.signal, timeoutMs: answerMsMax };
  const client = connect(context, promptRetry);
  try {
    const query = { consistency: "strong" } as const;
    return { text: await client.text("clusterStatus", { query }, call), isLed: true };
  } catch (error) {
    if (!(error instanceof CorvoError) || error.code !== "UNAVAILABLE") throw error;
    return { text: await client.text("clusterStatus", {}, call), isLed: false };
  }
}

function print({ output }: Context, status: Status): void {
  const { style } = output;
  const rows = status.nodes.map((node) => [
    node.id,
    roleOf(node),
    ...(status.shards === undefined ? [] : [ledBy(node, status.shards)]),
    paint(node.state, style),
    node.lag === undefined ? "-" : node.lag.toLocaleString("en-US"),
    node.last_contact_ms === undefined ? "-" : formatDuration(node.last_contact_ms),
    bytesOf(node.data_bytes),
    bytesOf(node.disk_free_bytes),
    printable(node.version) || "-",
    printable(node.http_url) || "-",
  ]);
  const head = [
    "NODE",
    "ROLE",
    ...(status.shards === undefined ? [] : ["LEADS"]),
    "STATE",
    "LAG",
    "LAST CONTACT",
    "DATA",
    "DISK FREE",
    "VERSION",
    "ADDRESS",
  ];
  printGrid(output, head, rows);
  if (status.leader_id !== status.node_id) {
    output.note(`node ${status.node_id} answered, which does not lead: it does not know the rest`);
  }
  output.line(printable(status.summary));
}

/** What a node said; an older version, or one that was never reached, says nothing. */
function bytesOf(bytes: number | undefined): string {
  return bytes === undefined ? "-" : formatBytes(bytes);
}

/** How many of the shards a node leads. */
function ledBy(node: Member, shards: NonNullable<Status["shards"]>): string {
  return `${shards.filter((shard) => shard.leader_id === node.id).length}/${shards.length}`;
}

/** The role, and whether the node votes where the role does not say it. */
function roleOf(node: Member): string {
  return node.voter || node.role === "learner" ? node.role : `${node.role}, no vote`;
}

function paint(state: string, style: Style): string {
  if (state === "ok") return style.green(state);
  if (state === "unreachable") return style.red(state);
  return state === "catching up" || state === "draining" ? style.yellow(state) : style.dim(state);
}
