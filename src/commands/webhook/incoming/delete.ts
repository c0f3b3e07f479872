import { command } from "../../_shared/command.ts";
import { readQueue } from "../../_shared/queue-args.ts";

export default command({
  examples: [{ line: "corvo webhook incoming delete ci", says: "Any call is taken from now on" }],
  args: {
    queues: {
      type: "positional",
      rest: true,
      label: "QUEUE",
      read: readQueue,
      description: "Queues that expect nothing any more.",
    },
  },
  async run(args, { client, output, signal }) {
    const texts: string[] = [];
    for (const name of args.queues) {
      texts.push(await client().text("deleteIncoming", { params: { name } }, { signal }));
      if (!output.json) output.note(`calls to ${name} are not verified any more`);
    }
    if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
    return undefined;
  },
});
