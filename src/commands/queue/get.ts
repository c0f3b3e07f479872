import { formatBytes } from "../_shared/bytes.ts";
import { command } from "../_shared/command.ts";
import { printFields } from "../_shared/grid.ts";
import { queueArg } from "../_shared/queue-args.ts";

export default command({
  examples: [{ line: "corvo queue get mail", says: "Counts of one queue" }],
  args: { queue: queueArg },
  async run(args, { client, output, signal }) {
    const input = { params: { name: args.queue } };
    if (output.json) {
      output.line(await client().text("getQueue", input, { signal }));
      return undefined;
    }
    const queue = await client().getQueue(input, { signal });
    if (output.quiet) {
      output.line(queue.name);
      return undefined;
    }
    const { name, paused, draining, created_at, oldest_pending_at, ...numbers } = queue;
    const { bytes, max_bytes, keep_bytes, ...counts } = numbers;
    output.line(output.style.bold(name));
    output.line("");
    printFields(output, [
      ["mode", modeOf(paused, draining === true)],
      ["created", created_at],
      ["oldest pending", oldest_pending_at],
      ["payloads and results", formatBytes(bytes)],
      ["new jobs up to", max_bytes === undefined ? undefined : formatBytes(max_bytes)],
      ["finished jobs up to", keep_bytes === undefined ? undefined : formatBytes(keep_bytes)],
      ...Object.entries(counts).map(([state, number]): [string, string] => [state, String(number)]),
    ]);
    return undefined;
  },
});

function modeOf(paused: boolean, draining: boolean): string {
  const mode = paused ? "paused" : "running";
  return draining ? `${mode}, takes no new jobs` : mode;
}
