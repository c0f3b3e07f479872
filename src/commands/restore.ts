/**
 * `corvo restore`: what the file holds decides. A backup of everything becomes a new cluster of one node, in a directory that no server
 * has; a backup of queues, or a JSON document, is added to a running server.
 */
import { exitCodes } from "../base/errors.ts";
import { formatBytes } from "./_shared/bytes.ts";
import { connect, connectBytes, patientRetry } from "./_shared/client.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { UsageError } from "./_shared/exit.ts";
import { printFields } from "./_shared/grid.ts";
import { openInput, readText } from "./_shared/input.ts";
import { count } from "./_shared/output.ts";
import { createProgress } from "./_shared/progress.ts";
import type { openBackup } from "./server/restore.ts";
import type { QueuesRestored } from "./server/restore-queues.ts";

type Opened = Awaited<ReturnType<typeof openBackup>>;

/** All of a document is held in memory; backups of queues have no such bound. */
const documentBytesMax = 512 * 1024 * 1024;
const defaultDir = "./data";
const refusedShownMax = 20;

export default command({
  details:
    "A backup of everything goes into a directory that is empty or new; nothing is ever overwritten. It becomes that of a cluster of one node with an id of its own, in which all jobs are as they were, with their ids; jobs that were active run again once their leases end. Start it with `corvo server`, and let further nodes join. Restore a backup into one cluster only, or the same jobs run twice.\nA backup of queues (`corvo backup --queue`) or a document of `GET /api/v1/admin/backup` is added to the running server of --server. Jobs keep state, attempts, times and ids; one whose id is taken is refused and named, and exit code 7 says so. Queues, limits and schedules that are there are left as they are.",
  examples: [
    {
      line: "corvo restore corvo-2026-11-22.backup --data-dir /var/lib/corvo",
      says: "Everything, into a new directory",
    },
    { line: "age -d corvo.backup.age | corvo restore - --data-dir ./data", says: "From a pipe" },
    {
      line: "corvo restore mail.backup --server http://127.0.0.1:8080",
      says: "A queue, into a running server",
    },
  ],
  args: {
    file: { type: "positional", label: "FILE", description: "The backup; - is standard input." },
    "data-dir": {
      type: "string",
      description: `Folder of the server that will be started. Default ${defaultDir}.`,
      valueHint: "DIR",
    },
    "new-ids": {
      type: "boolean",
      description: "Give jobs of queues new ids, as if they were made now.",
    },
  },
  async run(args, context) {
    const dir = args["data-dir"];
    const restore = await import("./server/restore.ts");
    const head = await peek(context, args.file);
    if (head?.isDocument !== true) {
      const opened = await restore.openBackup(head?.chunks ?? openInput(context.system, args.file));
      if (opened.manifest.queues === undefined) {
        if (args["new-ids"] === true) {
          throw new UsageError("--new-ids is for backups of queues", "Leave it out.");
        }
        return intoDirectory(context, opened, dir ?? defaultDir);
      }
      restore.refuseUnknown(opened.manifest);
    }
    if (dir !== undefined) {
      throw new UsageError(
        "the backup is not of everything, and --data-dir is for those",
        "Start a server, and name it with --server.",
      );
    }
    if (args.file === "-") {
      throw new UsageError(
        "a backup of queues is looked through before it is used, and so cannot come from a pipe",
        "Save it to a file.",
      );
    }
    return intoServer(context, args.file, {
      isDocument: head?.isDocument === true,
      hasNewIds: args["new-ids"] === true,
    });
  },
});

interface Head {
  readonly isDocument: boolean;
  /** All of it, the beginning included. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Looks at the first byte. Undefined when there is none. */
async function peek({ system }: Context, file: string): Promise<Head | undefined> {
  const chunks = openInput(system, file)[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done === true) return undefined;
  async function* all() {
    yield first.value as Uint8Array;
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  const open = "{".charCodeAt(0);
  return { isDocument: first.value[0] === open, chunks: all() };
}

async function intoDirectory(context: Context, opened: Opened, dir: string): Promise<undefined> {
  const { restoreWhole } = await import("./server/restore.ts");
  const { output, system, log } = context;
  const progress = createProgress(context);
  try {
    const restored = await restoreWhole(opened, dir, {
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
      return undefined;
    }
    output.note(`${dir} is restored; start it: corvo server --data-dir ${dir}`);
    if (output.quiet) return undefined;
    printFields(output, [
      ["cluster", `${clusterId}, which was ${manifest.clusterId}`],
      ["node", String(nodeId)],
      ["shards", String(manifest.shards)],
      ["queues", String(queues)],
      ["jobs", String(jobs)],
    ]);
    return undefined;
  } finally {
    progress.done();
  }
}

async function intoServer(
  context: Context,
  file: string,
  how: { readonly isDocument: boolean; readonly hasNewIds: boolean },
): Promise<number | undefined> {
  const { summarize } = await import("./server/backup-file.ts");
  const { damaged } = await import("./server/restore.ts");
  const { restoreBackup, restoreDocument } = await import("./server/restore-queues.ts");
  const { system, signal } = context;
  const open = () => openInput(system, file);
  const progress = createProgress(context);
  const target = {
    client: connect(context, patientRetry),
    bytes: connectBytes(context),
    signal,
    hasNewIds: how.hasNewIds,
    onProgress: (jobs: number) => progress.update(undefined, count(jobs, "job")),
  };
  try {
    if (how.isDocument) {
      return report(
        context,
        await restoreDocument(await readText(open(), file, documentBytesMax), target),
      );
    }
    await summarize(open(), () => undefined);
    return report(context, await restoreBackup(open, target));
  } catch (error) {
    throw damaged(error);
  } finally {
    progress.done();
  }
}

function report({ output, log }: Context, restored: QueuesRestored): number | undefined {
  const { jobs, queues, refused, refusedCount, kept } = restored;
  if (output.json) {
    output.line(JSON.stringify({ jobs, queues, refused: refusedCount, refusals: refused, kept }));
  } else {
    output.note(`${count(jobs, "job")} of ${count(queues, "queue")} came back`);
    for (const name of kept) output.note(`${name} is there already, and was left as it is`);
    for (const { job_id, error } of refused.slice(0, refusedShownMax)) {
      log.error(`${job_id}: ${error}`);
    }
  }
  if (refusedCount === 0) return undefined;
  output.warn(`${count(refusedCount, "job")} did not come back`);
  return exitCodes.partial;
}
