/**
 * `corvo backup`: everything that a running server or cluster has, as one file. It is checked while it comes, and takes its name only
 * when it is whole; what a crash leaves is `FILE.part`, which the next one replaces.
 */
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import { formatBytes } from "./_shared/bytes.ts";
import { connect, patientRetry } from "./_shared/client.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { UsageError } from "./_shared/exit.ts";
import { printFields } from "./_shared/grid.ts";
import { openInput } from "./_shared/input.ts";
import { createProgress } from "./_shared/progress.ts";
import type { BackupSummary } from "./server/backup-file.ts";

export default command({
  details:
    "The backup has everything that was acknowledged before the command, with one moment for each shard, while the server goes on. `corvo restore` makes a new cluster from it. With --queue it has only these queues with their jobs, settings, limits and schedules, and `corvo restore --server` adds them to a running server.",
  examples: [
    { line: "corvo backup corvo-2026-11-22.backup", says: "Everything" },
    { line: "corvo backup verify corvo-2026-11-22.backup", says: "Is the file whole?" },
    { line: "corvo backup mail.backup --queue mail", says: "One queue" },
    { line: "corvo backup - | age -r KEY > corvo.backup.age", says: "Through another program" },
  ],
  args: {
    file: {
      type: "positional",
      label: "FILE",
      description: "Where it goes; - is standard output. Or `verify`, and then the file.",
    },
    checked: {
      type: "positional",
      required: false,
      label: "FILE",
      description: "After `verify`: the file to check; - is standard input.",
    },
    queue: {
      type: "string",
      repeatable: true,
      valueHint: "NAME",
      description: "Only this queue; several by commas or by repeating the flag.",
    },
    force: { type: "boolean", description: "Replace a file that exists." },
  },
  async run(args, context) {
    if (args.checked !== undefined) {
      if (args.file !== "verify") {
        throw new UsageError(`${args.checked} is one argument too many`, "A backup is one file.");
      }
      return verify(context, args.checked);
    }
    if (args.file === "verify") {
      throw new UsageError("the file to verify is missing", "A backup of that name is ./verify.");
    }
    const queues = args.queue === undefined ? {} : { queues: args.queue.join(",") };
    return save(context, args.file, { mayReplace: args.force === true, query: queues });
  },
});

async function verify(context: Context, file: string): Promise<undefined> {
  const { summarize } = await import("./server/backup-file.ts");
  const { damaged } = await import("./server/restore.ts");
  const total =
    file === "-" ? undefined : await context.system.fileBytes(file).catch(() => undefined);
  const progress = createProgress(context);
  let read = 0;
  try {
    const summary = await summarize(openInput(context.system, file), (chunk) => {
      read += chunk.length;
      progress.update(total === undefined ? undefined : read / total, formatBytes(read));
    });
    progress.done();
    await show(context, "the backup is whole", summary);
  } catch (error) {
    progress.done();
    throw damaged(error);
  }
  return undefined;
}

interface SaveOptions {
  readonly mayReplace: boolean;
  readonly query: { readonly queues?: string };
}

async function save(
  context: Context,
  file: string,
  { mayReplace, query }: SaveOptions,
): Promise<undefined> {
  const { BackupTarget, summarize } = await import("./server/backup-file.ts");
  const { damaged } = await import("./server/restore.ts");
  const target = file === "-" ? undefined : new BackupTarget(file, mayReplace);
  const progress = createProgress(context);
  try {
    const { chunks } = await connect(context, patientRetry).createBackup(
      { query },
      { signal: context.signal },
    );
    let read = 0;
    const summary = await summarize(bytesOf(chunks, context.signal), async (chunk) => {
      read += chunk.length;
      progress.update(undefined, formatBytes(read));
      if (target !== undefined) target.write(chunk);
      else await context.system.writeBytes(chunk);
    });
    target?.finish();
    progress.done();
    if (target !== undefined) await show(context, `${file} is written`, summary);
  } catch (error) {
    progress.done();
    target?.abandon();
    throw damaged(error);
  }
  return undefined;
}

async function* bytesOf(chunks: AsyncIterable<string | Uint8Array>, signal: AbortSignal) {
  try {
    for await (const chunk of chunks) {
      yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    }
  } catch (cause) {
    const isLost = cause instanceof CorvoError && cause.code === "UNAVAILABLE";
    if (!isLost || signal.aborted) throw cause;
    throw new CorvoError("UNAVAILABLE", `the backup broke off: ${cause.message}`, {
      cause,
      hint: "If the server still runs, its log says why: it needs as much free space as its largest shard.",
    });
  }
}

async function show({ output }: Context, says: string, summary: BackupSummary): Promise<void> {
  const { scopeOf, summaryDocument } = await import("./server/backup-file.ts");
  if (output.json) {
    output.line(JSON.stringify(summaryDocument(summary)));
    return;
  }
  if (output.quiet) return;
  const { manifest } = summary;
  output.note(says);
  printFields(output, [
    ["of", scopeOf(manifest)],
    ["made", `${formatTime(manifest.createdAtMs)} by corvo ${manifest.version}`],
    ["cluster", manifest.clusterId],
    ["shards", String(manifest.shards)],
    ["size", `${formatBytes(summary.fileBytes)}, ${formatBytes(summary.bytes)} unpacked`],
    ["sha256", summary.sha256],
  ]);
}
