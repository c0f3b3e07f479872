/** The fields of the filter language: what may be said of each, and the filter that it becomes. */
import { priorityNames } from "../../api/schemas.ts";
import { parseDuration, parseTime } from "../../base/time.ts";
import { type JobState, jobStates } from "../../engine/job.ts";
import type { JobFilter, PayloadComparison, PayloadCondition } from "../../engine/query.ts";
import type { Operator, Written } from "./cursor.ts";

/** Says what is wrong with a condition; the parser adds where. */
export class Misfit extends Error {
  override name = "Misfit";
}

export interface FieldEnv {
  readonly nowMs: number;
  /** From the prefix of an id to what it is in the stored state of this shard. */
  readonly toStoredPrefix: (prefix: string) => string;
}

/** One condition: a field with an operator and what it is compared with. */
interface Condition {
  readonly operator: Operator;
  readonly value: Written;
  /** Names after the field's own, for tags and payloads. */
  readonly path: readonly string[];
}

type Field = (condition: Condition, env: FieldEnv) => JobFilter;

type TextMember =
  | "queue"
  | "uniqueKey"
  | "workerId"
  | "batchId"
  | "chainId"
  | "parentId"
  | "errorGroup";

function exact(member: TextMember): Field {
  return ({ operator, value }) => {
    allow(operator, ["=", ":"]);
    return { [member]: value.text };
  };
}

function allow(operator: Operator, allowed: readonly Operator[]): void {
  if (allowed.includes(operator)) return;
  throw new Misfit(
    `the operator ${operator} does not go with this field; use ${allowed.join(" or ")}`,
  );
}

const state: Field = ({ operator, value }) => {
  allow(operator, ["=", ":"]);
  const found = jobStates.find((one) => one === value.text);
  if (found === undefined)
    throw new Misfit(`"${value.text}" is no state; states are ${jobStates.join(", ")}`);
  return { states: [found] };
};

const priority: Field = ({ operator, value: { text } }) => {
  allow(operator, ["=", ":"]);
  const named = Object.hasOwn(priorityNames, text)
    ? priorityNames[text as keyof typeof priorityNames]
    : undefined;
  if (named !== undefined) return { priority: named };
  if (!/^[0-9]$/.test(text)) {
    throw new Misfit(
      `"${text}" is no priority; 0 to 9, or ${Object.keys(priorityNames).join(", ")}`,
    );
  }
  return { priority: Number(text) };
};

const attempt: Field = ({ operator, value: { text } }) => {
  allow(operator, ["=", ":", ">", ">=", "<", "<="]);
  if (!/^\d{1,9}$/.test(text)) throw new Misfit(`"${text}" is no number of attempts`);
  const count = Number(text);
  switch (operator) {
    case ">":
      return { attemptMin: count + 1 };
    case ">=":
      return { attemptMin: count };
    case "<":
      return { attemptMax: count - 1 };
    case "<=":
      return { attemptMax: count };
    default:
      return { attemptMin: count, attemptMax: count };
  }
};

const dayMs = 86_400_000;

/** A duration is an age, or for what is still to come the time until then. */
function time(
  name: "created" | "scheduled" | "started" | "completed" | "expire",
  isAhead: boolean,
): Field {
  const bounds = (afterMs: number | undefined, beforeMs: number | undefined): JobFilter => ({
    ...(afterMs === undefined ? {} : { [`${name}AfterMs`]: Math.max(0, afterMs) }),
    ...(beforeMs === undefined ? {} : { [`${name}BeforeMs`]: Math.max(0, beforeMs) }),
  });
  return ({ operator, value: { text } }, { nowMs }) => {
    allow(operator, ["<", "<=", ">", ">=", "=", ":"]);
    const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text);
    const absoluteMs = parseTime(isDay ? `${text}T00:00:00Z` : text);
    const durationMs = absoluteMs === undefined ? parseDuration(text) : undefined;
    const atMs =
      absoluteMs ??
      (durationMs === undefined ? undefined : nowMs + (isAhead ? durationMs : -durationMs));
    if (atMs === undefined || atMs > 8.64e15) {
      throw new Misfit(
        `"${text}" is no time; write 2030-01-31, 2030-01-31T09:00:00Z, or a duration such as 2h`,
      );
    }
    if (operator === "=" || operator === ":") {
      if (!isDay)
        throw new Misfit(
          "a field of time is compared with < or >, or is a day: created:2030-01-31",
        );
      return bounds(atMs - 1, atMs + dayMs);
    }
    const isAfter = operator.startsWith(">") !== (durationMs !== undefined && !isAhead);
    const isOrEqual = operator.endsWith("=");
    return isAfter
      ? bounds(isOrEqual ? atMs - 1 : atMs, undefined)
      : bounds(undefined, isOrEqual ? atMs + 1 : atMs);
  };
}

const tag: Field = ({ operator, value, path }) => {
  allow(operator, ["=", ":"]);
  const [name] = path;
  if (name === undefined || path.length > 1) {
    throw new Misfit('name the tag: tag.env:prod, or tag."a.b":x for a name with a dot');
  }
  return { tags: { [name]: value.text } };
};

const error: Field = ({ operator, value }) => {
  allow(operator, ["~", ":"]);
  return { errorContains: value.text };
};

const has: Field = ({ operator, value }) => {
  allow(operator, [":"]);
  if (value.text !== "errors")
    throw new Misfit(`"${value.text}" is nothing a job has; write has:errors`);
  return { hasErrors: true };
};

const id: Field = ({ operator, value }, { toStoredPrefix }) => {
  allow(operator, ["=", ":"]);
  return { jobIdPrefix: toStoredPrefix(value.text) };
};

const comparisons: Readonly<Partial<Record<Operator, PayloadComparison>>> = {
  ":": "=",
  "=": "=",
  "!=": "!=",
  ">": ">",
  ">=": ">=",
  "<": "<",
  "<=": "<=",
};

const payload: Field = ({ operator, value, path }) => {
  if (path.length === 0 && (operator === "~" || operator === ":")) {
    return { payloadContains: value.text };
  }
  return { payloadWhere: [conditionOf(operator, value, path)] };
};

function conditionOf(
  operator: Operator,
  value: Written,
  path: readonly string[],
): PayloadCondition {
  if (operator === "^=") return { path, operator: "startsWith", value: value.text };
  if (operator === "~" || operator === "*=")
    return { path, operator: "contains", value: literalOf(value) };
  const isLength = operator.startsWith("#");
  const comparison = comparisons[(isLength ? operator.slice(1) : operator) as Operator];
  if (comparison === undefined)
    throw new Misfit(`the operator ${operator} does not go with a payload`);
  const wanted = literalOf(value);
  if (!isLength) return { path, operator: comparison, value: wanted };
  if (typeof wanted !== "number") throw new Misfit(`"${value.text}" is no length`);
  return { path, operator: comparison, of: "length", value: wanted };
}

/** As JSON has it; what is no number, true, false or null is text with or without quotes. */
function literalOf({ text, isQuoted }: Written): PayloadCondition["value"] {
  if (isQuoted) return text;
  if (text === "true") return true;
  if (text === "false") return false;
  if (text === "null") return null;
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return text;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Misfit(`"${text}" is a number too large to compare with`);
  return Object.is(number, -0) ? 0 : number;
}

export const fields: Readonly<Record<string, Field>> = {
  queue: exact("queue"),
  state,
  priority,
  tag,
  unique: exact("uniqueKey"),
  worker: exact("workerId"),
  batch: exact("batchId"),
  chain: exact("chainId"),
  parent: exact("parentId"),
  id,
  attempt,
  created: time("created", false),
  started: time("started", false),
  completed: time("completed", false),
  scheduled: time("scheduled", true),
  expires: time("expire", true),
  error,
  error_group: exact("errorGroup"),
  has,
  payload,
};

/** Other names that people know the fields by. */
export const otherNames: Readonly<Record<string, string>> = {
  states: "state",
  tags: "tag",
  unique_key: "unique",
  worker_id: "worker",
  batch_id: "batch",
  chain_id: "chain",
  parent_id: "parent",
  job: "id",
  job_id: "id",
  attempts: "attempt",
  finished: "completed",
  expire: "expires",
  errors: "error",
};

/** Fields whose values may be a list, of which one must hold. */
export const listed: ReadonlySet<string> = new Set([
  "queue",
  "state",
  "priority",
  "tag",
  "unique",
  "worker",
  "batch",
  "chain",
  "parent",
  "id",
  "error_group",
]);

export function otherStates(states: readonly JobState[]): JobState[] {
  return jobStates.filter((one) => !states.includes(one));
}
