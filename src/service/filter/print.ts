/** A filter as text that `parse.ts` reads as the same filter: how a filter that was given in any form is shown. */
import { formatTime } from "../../base/time.ts";
import { jobStates } from "../../engine/job.ts";
import type { JobFilter, PayloadCondition } from "../../engine/query.ts";

const exact = [
  ["queue", "queue"],
  ["uniqueKey", "unique"],
  ["workerId", "worker"],
  ["batchId", "batch"],
  ["chainId", "chain"],
  ["parentId", "parent"],
  ["jobIdPrefix", "id"],
  ["errorGroup", "error_group"],
] as const;

const times = [
  ["created", "created"],
  ["scheduled", "scheduled"],
  ["started", "started"],
  ["completed", "completed"],
  ["expire", "expires"],
] as const;

export function printFilter(filter: JobFilter): string {
  return termsOf(filter).join(" ");
}

function termsOf(filter: JobFilter): string[] {
  const terms: string[] = [];
  for (const [member, field] of exact) {
    const value = filter[member];
    if (value !== undefined) terms.push(`${field}:${quoted(value)}`);
  }
  const { states, priority, attemptMin, attemptMax } = filter;
  if (states !== undefined) {
    terms.push(states.length > 0 ? `state:${states.join(",")}` : `-state:${jobStates.join(",")}`);
  }
  if (priority !== undefined) terms.push(`priority:${priority}`);
  for (const [name, value] of Object.entries(filter.tags ?? {})) {
    terms.push(`tag.${nameText(name)}:${quoted(value)}`);
  }
  if (attemptMin !== undefined) terms.push(`attempt>=${attemptMin}`);
  if (attemptMax !== undefined) terms.push(attemptMax < 0 ? "attempt<0" : `attempt<=${attemptMax}`);
  for (const [member, field] of times) {
    const afterMs = filter[`${member}AfterMs`];
    const beforeMs = filter[`${member}BeforeMs`];
    if (afterMs !== undefined) terms.push(`${field}>${formatTime(afterMs)}`);
    if (beforeMs !== undefined) terms.push(`${field}<${formatTime(beforeMs)}`);
  }
  if (filter.hasErrors !== undefined) terms.push(`${filter.hasErrors ? "" : "-"}has:errors`);
  if (filter.payloadContains !== undefined) terms.push(`payload~${quoted(filter.payloadContains)}`);
  if (filter.errorContains !== undefined) terms.push(`error~${quoted(filter.errorContains)}`);
  for (const condition of filter.payloadWhere ?? []) terms.push(conditionText(condition));
  for (const word of filter.words ?? []) terms.push(quoted(word));
  for (const group of filter.any ?? []) {
    terms.push(listOf(group) ?? `(${group.map(printFilter).join(" OR ")})`);
  }
  for (const one of filter.not ?? []) terms.push(`-(${printFilter(one)})`);
  return terms;
}

/** Values of one field with commas between them, as they were written: of conditions and brackets there is a bound. */
function listOf(group: readonly JobFilter[]): string | undefined {
  const named = exact.find(([member]) => group.every((one) => isOnly(one, member)));
  if (named === undefined || group.length < 2) return undefined;
  const [member, field] = named;
  return `${field}:${group.map((one) => quoted(one[member] ?? "")).join(",")}`;
}

function isOnly(filter: JobFilter, member: keyof JobFilter): boolean {
  return filter[member] !== undefined && Object.keys(filter).length === 1;
}

function conditionText({ path, operator, of, value }: PayloadCondition): string {
  const field = ["payload", ...path.map(nameText)].join(".");
  const mark = of === "length" ? "#" : "";
  const wanted = typeof value === "string" ? quoted(value) : String(value);
  switch (operator) {
    case "startsWith":
      return `${field}^=${wanted}`;
    case "contains":
      return `${field}*=${wanted}`;
    default:
      return `${field}${mark}${operator}${wanted}`;
  }
}

function nameText(name: string): string {
  return /^[\w-]+$/.test(name) ? name : quoted(name);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
