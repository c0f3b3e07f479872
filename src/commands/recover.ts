/** `corvo recover`: for a cluster whose majority is gone for good. Works on the data directory of a stopped server. */
import { CorvoError, exitCodes } from "../base/errors.ts";
import { command } from "./_shared/command.ts";
import { confirm } from "./_shared/confirm.ts";
import type { Context } from "./_shared/context.ts";
import { printFields } from "./_shared/grid.ts";
import { printable } from "./_shared/output.ts";
import type { Recoverable } from "./server/recover.ts";

export default command({
  details:
    "A cluster that has lost the majority of its voters for good takes no writes, and cannot remove them either. This makes the node of --data-dir the only one: it keeps what its own log has, and goes on alone. What the lost nodes acknowledged without this one is lost. Jobs that ran may run again.\nThe recovery is counted (recovery epoch), and nodes of the cluster as it was are refused from then on: empty their data directories and let them join again. Choose the node with the highest last term, then the highest last entry; without --unsafe the command only shows both. Start no old node on its own: two of them may still form a majority of the cluster as it was.",
  examples: [
    { line: "corvo recover --data-dir /var/lib/corvo", says: "See what this node has" },
    {
      line: "corvo recover --unsafe --data-dir /var/lib/corvo",
      says: "Make it the only node, after the cluster's id was typed",
    },
  ],
  args: {
    "data-dir": {
      type: "string",
      description: "Folder of the stopped server.",
      valueHint: "DIR",
      default: "./data",
    },
    unsafe: { type: "boolean", description: "Do it, although it may lose what others had." },
    "yes-i-lose-data": {
      type: "string",
      description: "Do it without asking. The cluster's id, so that it is the right directory.",
      valueHint: "CLUSTER-ID",
    },
  },
  async run(args, context) {
    const { openForRecovery, inspect, recover } = await import("./server/recover.ts");
    const storage = await openForRecovery(args["data-dir"], context.log);
    try {
      const found = inspect(storage);
      show(context, found);
      if (found.others.length === 0) {
        const itself = "Start its server: it leads at once.";
        throw new CorvoError(
          "CONFLICT",
          `node ${found.identity.nodeId} is the only member of its cluster; there is nothing to recover`,
          { hint: itself },
        );
      }
      if (args.unsafe !== true) {
        if (context.output.json) context.output.line(JSON.stringify(documentOf(found)));
        context.output.note("nothing was changed; --unsafe makes this node the only one");
        return undefined;
      }
      if (!(await isMeant(context, found, args["yes-i-lose-data"]))) return exitCodes.failed;
      const epoch = await recover(storage, found, context.system.clock);
      report(context, found, epoch);
      return undefined;
    } finally {
      await storage.close();
    }
  },
});

async function isMeant(
  context: Context,
  { identity, others }: Recoverable,
  given: string | undefined,
): Promise<boolean> {
  const { clusterId } = identity;
  if (given !== undefined && given !== clusterId) {
    throw new CorvoError(
      "CONFLICT",
      `the directory belongs to cluster ${clusterId}, and --yes-i-lose-data names ${given}`,
      { hint: "Is it the right --data-dir? Nothing was changed." },
    );
  }
  return confirm(context, {
    message: `Remove ${namesOf(others)} for good and lose what only they have?`,
    yes: given === clusterId,
    yesFlag: `--yes-i-lose-data ${clusterId}`,
    typed: clusterId,
  });
}

function show({ output }: Context, found: Recoverable): void {
  if (output.json || output.quiet) return;
  const { identity, members, others } = found;
  const behind = found.lastIndex - found.commitIndex;
  printFields(output, [
    ["cluster", identity.clusterId],
    ["node", `${identity.nodeId}, recovery epoch ${identity.recoveryEpoch}`],
    ["last entry", `${found.lastIndex} of term ${found.lastTerm}`],
    ["committed", `${found.commitIndex}, as far as this node knows; ${behind} more are kept`],
    ["voters", found.voters.join(", ")],
    ...others.map((id): [string, string] => {
      const url = members.find((member) => member.id === id)?.httpUrl;
      return ["to be removed", `node ${id}${url === undefined ? "" : `, ${printable(url)}`}`];
    }),
  ]);
}

/** What decides which node to keep, for programs. */
function documentOf(found: Recoverable): object {
  const { identity } = found;
  return {
    cluster_id: identity.clusterId,
    node_id: String(identity.nodeId),
    recovery_epoch: identity.recoveryEpoch,
    last_term: found.lastTerm,
    last_index: found.lastIndex,
    committed_index: found.commitIndex,
    voters: found.voters.map(String),
    to_be_removed: found.others.map(String),
  };
}

function report({ output }: Context, { identity, others }: Recoverable, epoch: number): void {
  if (output.json) {
    const answer = {
      cluster_id: identity.clusterId,
      node_id: String(identity.nodeId),
      recovery_epoch: epoch,
      removed: others.map(String),
    };
    output.line(JSON.stringify(answer));
    return;
  }
  output.line(
    `node ${identity.nodeId} is the only node of its cluster now, recovery epoch ${epoch}`,
  );
  output.note(
    `start its server by its usual command line; before ${namesOf(others)} come back, empty their data directories and start them with --join`,
  );
}

function namesOf(ids: readonly number[]): string {
  return ids.map((id) => `node ${id}`).join(", ");
}
