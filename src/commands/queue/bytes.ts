import { formatBytes } from "../_shared/bytes.ts";
import { command } from "../_shared/command.ts";
import { UsageError } from "../_shared/exit.ts";
import { printFields } from "../_shared/grid.ts";
import { queueArg } from "../_shared/queue-args.ts";
import { readBytes } from "../_shared/readers.ts";

export default command({
  details: [
    "Without flags the command shows how many bytes the payloads and results of the queue take up, blobs included. With flags",
    "it replaces both bounds: beyond --max new jobs are refused with QUEUE_FULL_BYTES, beyond --keep finished jobs are",
    "removed, the oldest first.",
  ].join(" "),
  examples: [
    { line: "corvo queue bytes scans --max 2GiB --keep 500MiB", says: "Set both bounds" },
    { line: "corvo queue bytes scans", says: "Show what is there" },
    { line: "corvo queue bytes scans --remove", says: "Remove the bounds" },
  ],
  args: {
    queue: queueArg,
    max: {
      type: "string",
      description: "Bytes beyond which the queue takes no new jobs.",
      valueHint: "BYTES",
      read: readBytes,
    },
    keep: {
      type: "string",
      description: "Bytes of finished jobs that are kept.",
      valueHint: "BYTES",
      read: (text) => (text === "0" ? 0 : readBytes(text)),
    },
    remove: { type: "boolean", description: "Remove both bounds." },
  },
  async run(args, { client, output, signal }) {
    const params = { name: args.queue };
    const bounds = {
      ...(args.max === undefined ? {} : { max_bytes: args.max }),
      ...(args.keep === undefined ? {} : { keep_bytes: args.keep }),
    };
    const isSetting = Object.keys(bounds).length > 0;
    if (args.remove === true && isSetting) {
      throw new UsageError("--remove and bounds are both given");
    }
    const text =
      isSetting || args.remove === true
        ? await client().text("setQueueBytes", { params, body: bounds }, { signal })
        : await client().text("getQueueBytes", { params }, { signal });
    if (output.json) {
      output.line(text);
      return;
    }
    const shown = JSON.parse(text) as Readonly<Record<string, number | undefined>>;
    const size = (name: string) => {
      const bytes = shown[name];
      return bytes === undefined ? undefined : formatBytes(bytes);
    };
    printFields(output, [
      ["payloads and results", size("bytes")],
      ["of finished jobs", size("finished_bytes")],
      ["new jobs up to", size("max_bytes")],
      ["finished jobs up to", size("keep_bytes")],
    ]);
  },
});
