/** What a limit is of, on the command line and at a terminal. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { formatDuration } from "../../base/time.ts";
import { UsageError } from "./exit.ts";
import { printable } from "./output.ts";
import { readQueue } from "./queue-args.ts";
import { BadValue, readDuration, readInteger } from "./readers.ts";

export type LimitShown = ResultOf<Operations["getLimit"]>;

const queue = {
  type: "string",
  valueHint: "QUEUE",
  read: readQueue,
  description: "The queue.",
} as const;
const resource = {
  type: "string",
  valueHint: "NAME",
  description: "A resource that jobs of several queues share; instead of --queue.",
} as const;
const key = {
  type: "string",
  valueHint: "KEY",
  description: "One limit key of the queue.",
} as const;

/** A queue, one of its keys, or a resource. */
export const instanceArgs = { queue, resource, key } as const;

/** Everything that can have a limit. */
export const targetArgs = {
  ...instanceArgs,
  "each-key": {
    type: "boolean",
    description: "Every limit key of the queue, each for itself.",
  },
  group: { type: "string", valueHint: "GROUP", description: "One group of the queue." },
  "each-group": { type: "boolean", description: "Every group of the queue, each for itself." },
} as const;

interface TargetValues {
  readonly queue: string | undefined;
  readonly resource: string | undefined;
  readonly key?: string | undefined;
  readonly "each-key"?: boolean | undefined;
  readonly group?: string | undefined;
  readonly "each-group"?: boolean | undefined;
}

interface Part {
  readonly key?: string;
  readonly each_key?: boolean;
  readonly group?: string;
  readonly each_group?: boolean;
}

export type Target =
  | { readonly kind: "queue"; readonly name: string; readonly part: Part }
  | { readonly kind: "resource"; readonly name: string };

export function readTarget(args: TargetValues): Target {
  const part: Part = {
    ...(args.key === undefined ? {} : { key: args.key }),
    ...(args["each-key"] === true ? { each_key: true } : {}),
    ...(args.group === undefined ? {} : { group: args.group }),
    ...(args["each-group"] === true ? { each_group: true } : {}),
  };
  if (args.resource !== undefined) {
    if (args.queue !== undefined || Object.keys(part).length > 0) {
      throw new UsageError(
        "--resource stands alone",
        "A resource belongs to no queue; leave the other out.",
      );
    }
    return { kind: "resource", name: args.resource };
  }
  if (args.queue === undefined) {
    throw new UsageError("neither --queue nor --resource is given", "Say what is limited.");
  }
  return { kind: "queue", name: args.queue, part };
}

interface Params {
  readonly params: { readonly name: string };
}

/** Makes the call for what the flags name: that of resources, or that of queues and their parts. */
export function callForTarget<Answer>(
  args: TargetValues,
  calls: {
    readonly resource: (input: Params) => Answer;
    readonly queue: (input: Params & { readonly query: Part }) => Answer;
  },
): Answer {
  const target = readTarget(args);
  const params = { name: target.name };
  return target.kind === "resource"
    ? calls.resource({ params })
    : calls.queue({ params, query: target.part });
}

/** `COUNT/WINDOW`, such as 10/1m. */
export function readRate(text: string): { count: number; window: string } {
  const at = text.indexOf("/");
  if (at < 1) {
    throw new BadValue(`${JSON.stringify(text)} is not COUNT/WINDOW`, "An example is 10/1m.");
  }
  const window = text.slice(at + 1);
  return {
    count: readInteger(text.slice(0, at)),
    window: formatDuration(readDuration(/^[a-z]/.test(window) ? `1${window}` : window)),
  };
}

/** What it is of, in words. */
export function targetWords(limit: LimitShown): string {
  if (limit.resource !== undefined) return `resource ${printable(limit.resource)}`;
  const name = printable(limit.queue ?? "");
  if (limit.key !== undefined) return `${name} key ${printable(limit.key)}`;
  if (limit.each_key === true) return `${name} each key`;
  if (limit.group !== undefined) return `${name} group ${printable(limit.group)}`;
  return limit.each_group === true ? `${name} each group` : name;
}

/** What holds, in words. */
export function boundWords(limit: LimitShown): string {
  const words: string[] = [];
  if (limit.concurrency !== undefined) words.push(`${limit.concurrency} at once`);
  if (limit.rate !== undefined) {
    const { count, window_ms, kind, burst } = limit.rate;
    const more = burst === undefined ? "" : `, burst ${burst}`;
    words.push(`${count} per ${formatDuration(window_ms)} (${kind}${more})`);
  }
  if (limit.weight !== undefined) words.push(`weight ${limit.weight}`);
  if (limit.backlog !== undefined) words.push(`backlog ${limit.backlog}`);
  return words.length === 0 ? "no limit" : words.join(", ");
}

/** Whether it stops anything now, in words. */
export function stateWords(limit: LimitShown): string {
  if (limit.paused_until !== undefined) return `paused until ${limit.paused_until}`;
  if (limit.open === undefined) return "-";
  if (limit.open) return "open";
  return limit.opens_at === undefined ? "full" : `full until ${limit.opens_at}`;
}
