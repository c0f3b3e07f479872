import { command } from "../_shared/command.ts";
import { printFields } from "../_shared/grid.ts";
import {
  boundWords,
  callForTarget,
  stateWords,
  targetArgs,
  targetWords,
} from "../_shared/limit-args.ts";

export default command({
  examples: [
    { line: "corvo limit show --queue mail", says: "What holds for a queue, and what is in use" },
    { line: "corvo limit show --queue calls --key acme", says: "One of its keys" },
  ],
  args: targetArgs,
  async run(args, { client, output, signal }) {
    const limit = await callForTarget(args, {
      resource: (input) => client().getResource(input, { signal }),
      queue: (input) => client().getLimit(input, { signal }),
    });
    if (output.json) {
      output.line(JSON.stringify(limit));
      return undefined;
    }
    printFields(output, [
      ["of", targetWords(limit)],
      ["limit", boundWords(limit)],
      // What is set for each of many is not in use itself.
      ...(limit.open === undefined
        ? []
        : ([
            ["in use", String(limit.in_use ?? 0)],
            ["state", stateWords(limit)],
          ] as const)),
    ]);
    return undefined;
  },
});
