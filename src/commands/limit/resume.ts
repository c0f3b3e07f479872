import { command } from "../_shared/command.ts";
import { instanceArgs, readTarget } from "../_shared/limit-args.ts";

export default command({
  examples: [{ line: "corvo limit resume --queue calls --key acme", says: "End a pause early" }],
  args: instanceArgs,
  async run(args, { client, output, signal }) {
    const target = readTarget(args);
    const params = { name: target.name };
    const body = args.key === undefined ? {} : { key: args.key };
    const text =
      target.kind === "resource"
        ? await client().text("resumeResource", { params }, { signal })
        : await client().text("resumeLimit", { params, body }, { signal });
    if (output.json) output.line(text);
    else output.note("resumed");
    return undefined;
  },
});
