/** `corvo limit set`: what is limited, by which bounds. Which of them go together the server says. */
import { command } from "../_shared/command.ts";
import { UsageError } from "../_shared/exit.ts";
import {
  boundWords,
  readRate,
  readTarget,
  targetArgs,
  targetWords,
} from "../_shared/limit-args.ts";
import { readInteger } from "../_shared/readers.ts";

export default command({
  details: [
    "Replaces what was set for the same queue, key, group or resource. A job takes part by its --limit-key, --resources",
    "and --group; the limits of its queue hold for every job.",
  ].join(" "),
  examples: [
    { line: "corvo limit set --queue mail --concurrency 5", says: "At most five at once" },
    {
      line: "corvo limit set --queue calls --each-key --rate 10/1m --rate-kind sliding",
      says: "For each limit key, never more than ten in any minute",
    },
    {
      line: "corvo limit set --resource database --concurrency 20",
      says: "Shared by all queues whose jobs name it",
    },
    {
      line: "corvo limit set --queue mail --group big-customer --weight 3 --backlog 10000",
      says: "Three turns where others have one, and no more than 10,000 waiting",
    },
  ],
  args: {
    ...targetArgs,
    concurrency: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Units that may be out at once.",
    },
    rate: {
      type: "string",
      valueHint: "N/WINDOW",
      read: readRate,
      description: "Units that may start in how much time, such as 10/1m.",
    },
    "rate-kind": {
      type: "enum",
      options: ["token", "sliding", "leaky"],
      description: "Bucket that refills evenly (default), never more in any window, evenly spaced.",
    },
    burst: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Units that a full bucket holds. Default that of --rate.",
    },
    weight: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Share of the turns of a group. Default 1.",
    },
    backlog: {
      type: "string",
      valueHint: "N",
      read: readInteger,
      description: "Jobs of a group that may wait; more are refused.",
    },
  },
  async run(args, { client, output, signal }) {
    const target = readTarget(args);
    if (args.rate === undefined && (args["rate-kind"] ?? args.burst) !== undefined) {
      throw new UsageError("--rate-kind and --burst need a --rate", "Write --rate 10/1m.");
    }
    const { concurrency, weight, backlog, burst } = args;
    const kind = args["rate-kind"];
    const bounds = {
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(args.rate === undefined
        ? {}
        : {
            rate: {
              ...args.rate,
              ...(kind === undefined ? {} : { kind }),
              ...(burst === undefined ? {} : { burst }),
            },
          }),
    };
    const shares = {
      ...(weight === undefined ? {} : { weight }),
      ...(backlog === undefined ? {} : { backlog }),
    };
    if (target.kind === "resource" && Object.keys(shares).length > 0) {
      throw new UsageError("--weight and --backlog are of groups", "Name one with --group.");
    }
    const params = { name: target.name };
    const limit =
      target.kind === "resource"
        ? await client().setResource({ params, body: bounds }, { signal })
        : await client().setLimit(
            { params, body: { ...target.part, ...bounds, ...shares } },
            { signal },
          );
    if (output.json) output.line(JSON.stringify(limit));
    else output.note(`${targetWords(limit)}: ${boundWords(limit)}`);
    return undefined;
  },
});
