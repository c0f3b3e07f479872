import { command } from "../_shared/command.ts";
import { printFields } from "../_shared/grid.ts";
import {
  boundWords,
  instanceArgs,
  readTarget,
  stateWords,
  targetWords,
} from "../_shared/limit-args.ts";

export default command({
  examples: [
    { line: "corvo limit show --queue mail", says: "What holds for a queue, and what is in use" },
    { line: "corvo limit show --queue calls --key acme", says: "One of its keys" },
  ],
  args: instanceArgs,
  async run(args, { client, output, signal }) {
    const target = readTarget(args);
    const params = { name: target.name };
    const query = args.key === undefined ? {} : { key: args.key };
    const limit =
      target.kind === "resource"
        ? await client().getResource({ params }, { signal })
        : await client().getLimit({ params, query }, { signal });
    if (output.json) {
      output.line(JSON.stringify(limit));
      return undefined;
    }
    printFields(output, [
      ["of", targetWords(limit)],
      ["limit", boundWords(limit)],
      ["in use", String(limit.in_use ?? 0)],
      ["state", stateWords(limit)],
    ]);
    return undefined;
  },
});
