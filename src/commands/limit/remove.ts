import { command } from "../_shared/command.ts";
import { readTarget, targetArgs } from "../_shared/limit-args.ts";

export default command({
  examples: [
    { line: "corvo limit remove --queue mail", says: "The queue has no limit of its own any more" },
    { line: "corvo limit remove --queue calls --key acme", says: "The key is as each other one" },
  ],
  args: targetArgs,
  async run(args, { client, output, signal }) {
    const target = readTarget(args);
    const params = { name: target.name };
    const text =
      target.kind === "resource"
        ? await client().text("removeResource", { params }, { signal })
        : await client().text("removeLimit", { params, query: target.part }, { signal });
    if (output.json) output.line(text);
    else output.note("removed");
    return undefined;
  },
});
