import { command } from "../_shared/command.ts";
import { callForTarget, instanceArgs } from "../_shared/limit-args.ts";

export default command({
  examples: [{ line: "corvo limit resume --queue calls --key acme", says: "End a pause early" }],
  args: instanceArgs,
  async run(args, { client, output, signal }) {
    const text = await callForTarget(args, {
      resource: (input) => client().text("resumeResource", input, { signal }),
      queue: ({ params, query: body }) =>
        client().text("resumeLimit", { params, body }, { signal }),
    });
    if (output.json) output.line(text);
    else output.note("resumed");
    return undefined;
  },
});
