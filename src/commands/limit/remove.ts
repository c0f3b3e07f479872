import { command } from "../_shared/command.ts";
import { callForTarget, targetArgs } from "../_shared/limit-args.ts";

export default command({
  examples: [
    { line: "corvo limit remove --queue mail", says: "The queue has no limit of its own any more" },
    { line: "corvo limit remove --queue calls --key acme", says: "The key is as each other one" },
  ],
  args: targetArgs,
  async run(args, { client, output, signal }) {
    const text = await callForTarget(args, {
      resource: (input) => client().text("removeResource", input, { signal }),
      queue: (input) => client().text("removeLimit", input, { signal }),
    });
    if (output.json) output.line(text);
    else output.note("removed");
    return undefined;
  },
});
