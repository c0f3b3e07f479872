/** `corvo events`: the latest life-cycle events, or all as they happen. */
import type { Event } from "../api/events.ts";
import { requestLimits } from "../api/limits.ts";
import { stringifyJson } from "../base/json.ts";
import { readEvents } from "../sdk/events.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { eventLine } from "./_shared/event-lines.ts";
import { UsageError } from "./_shared/exit.ts";
import { BadValue, type Reader, readInteger } from "./_shared/readers.ts";

const lastDefault = 20;

const readFrom =
  (least: number): Reader<number> =>
  (text) => {
    const number = readInteger(text);
    if (number >= least && number <= requestLimits.pageRowsMax) return number;
    throw new BadValue(`${text} is outside of ${least} to ${requestLimits.pageRowsMax}`);
  };

/** Several by repeating the flag or by commas. */
const filterFlag = (description: string, valueHint: string) =>
  ({ type: "string", description, valueHint, repeatable: true }) as const;

export default command({
  details:
    "Everything that happens to jobs and queues has an event, with the same number on every node. docs/reference/events.md lists the types.",
  examples: [
    { line: "corvo events --follow --queue mail", says: "All that happens to jobs of a queue" },
    { line: "corvo events --type dead,cancelled --last 500", says: "Ends without success, lately" },
    {
      line: "corvo events --follow --json | jq -r .type",
      says: "A line of JSON for each event, for a script",
    },
  ],
  args: {
    follow: {
      type: "boolean",
      alias: ["f"],
      description: "Go on with what happens from now on, across restarts of servers.",
    },
    queue: filterFlag("Only events of these queues.", "QUEUE"),
    type: filterFlag("Only events of these types.", "TYPE"),
    job: filterFlag("Only events of these jobs.", "ID"),
    after: {
      type: "string",
      valueHint: "EVENT",
      description: "Begin after this event; 0 begins with the oldest that is kept.",
    },
    last: {
      type: "string",
      valueHint: "N",
      read: readFrom(0),
      description: `Begin so many events before the last one. Default ${lastDefault}.`,
    },
    limit: {
      type: "string",
      valueHint: "N",
      read: readFrom(1),
      description: "Events to show at most, without --follow. Default 1000.",
    },
  },
  async run(args, context) {
    if (args.after !== undefined && args.last !== undefined) {
      throw new UsageError("--after and --last exclude each other");
    }
    const { output, signal } = context;
    const filters = { queues: args.queue, types: args.type, job_ids: args.job };
    const start =
      args.after === undefined ? { tail: args.last ?? lastDefault } : { after_seq: args.after };
    const query = {
      ...start,
      limit: args.limit ?? requestLimits.pageRowsMax,
      ...joined(filters),
    };
    const page = await context.client().clusterEvents({ query }, { signal });
    for (const event of page.events) print(context, event);
    if (args.follow === true) return follow(context, page.cursor, filters);
    if (page.has_more) output.note(`there are more: --after ${page.cursor}`);
    return undefined;
  },
});

interface Filters {
  readonly queues: readonly string[];
  readonly types: readonly string[];
  readonly job_ids: readonly string[];
}

function joined(filters: Filters): Record<string, string> {
  return Object.fromEntries(
    Object.entries(filters)
      .filter(([, values]) => values.length > 0)
      .map(([name, values]) => [name, values.join(",")]),
  );
}

async function follow(context: Context, after: string, filters: Filters): Promise<never> {
  const { system, globals, log, signal } = context;
  const events = readEvents({
    server: globals.server,
    ...(globals.apiKey === undefined ? {} : { apiKey: globals.apiKey }),
    fetch: context.fetch,
    timers: system.timers,
    random: system.random,
    after,
    queues: filters.queues,
    types: filters.types,
    jobIds: filters.job_ids,
    signal,
    onLoss: ({ message }) => log.warn(`${message}; connecting again`),
  });
  for await (const { id, event } of events) print(context, event, id);
  throw new Error("the stream of events never ends by itself");
}

function print({ output }: Context, event: Event, id?: string): void {
  if (output.json) output.line(stringifyJson(id === undefined ? event : { id, ...event }));
  else if (output.quiet) output.line(event.job_id ?? event.queue ?? "");
  else output.line(eventLine(event, output.style, "named"));
}
