/** What filters mean, said as simply as can be: what searches are compared with. */
import { formatJobId } from "../../src/base/ids.ts";
import { jsonOf } from "../../src/base/stored-value.ts";
import type { Job } from "../../src/engine/job.ts";
import type { JobFilter, PayloadCondition } from "../../src/engine/query.ts";

/** What a search is compared with: the job and the errors of its attempts. */
export interface Known {
  readonly job: Job;
  readonly errors: readonly string[];
}

export function isMatch({ job, errors }: Known, filter: JobFilter): boolean {
  const json = jsonOf(job.payload);
  const tags = JSON.parse(job.options.tags ?? "{}") as Record<string, string>;
  const within = (timeMs: number, afterMs: number | undefined, beforeMs: number | undefined) =>
    (afterMs === undefined || (timeMs > 0 && timeMs > afterMs)) &&
    (beforeMs === undefined || (timeMs > 0 && timeMs < beforeMs));
  const equal = <Value>(value: Value, wanted: Value | undefined) =>
    wanted === undefined || value === wanted;
  return (
    equal(job.queue, filter.queue) &&
    (filter.states === undefined || filter.states.includes(job.state)) &&
    equal(job.priority, filter.priority) &&
    Object.entries(filter.tags ?? {}).every(([name, value]) => tags[name] === value) &&
    (filter.payloadContains === undefined || json?.includes(filter.payloadContains) === true) &&
    (filter.errorContains === undefined ||
      errors.some((error) => error.includes(filter.errorContains ?? ""))) &&
    within(job.createdAtMs, filter.createdAfterMs, filter.createdBeforeMs) &&
    within(job.scheduledAtMs, filter.scheduledAfterMs, filter.scheduledBeforeMs) &&
    within(job.startedAtMs, filter.startedAfterMs, filter.startedBeforeMs) &&
    within(job.finishedAtMs, filter.completedAfterMs, filter.completedBeforeMs) &&
    within(job.expireAtMs, filter.expireAfterMs, filter.expireBeforeMs) &&
    job.attempt >= (filter.attemptMin ?? 0) &&
    job.attempt <= (filter.attemptMax ?? 99) &&
    equal(job.options.uniqueKey, filter.uniqueKey) &&
    equal(job.workerId, filter.workerId) &&
    equal(job.options.parentId, filter.parentId) &&
    equal(errors.length > 0, filter.hasErrors) &&
    formatJobId(job.seq, job.createdAtMs, 0).startsWith(filter.jobIdPrefix ?? "") &&
    (filter.words ?? []).every((word) =>
      [job.queue, json ?? "", job.options.tags ?? "", ...errors].some((text) =>
        folded(text).includes(folded(word)),
      ),
    ) &&
    (filter.payloadWhere ?? []).every(
      (condition) => json !== undefined && holds(JSON.parse(json), condition),
    ) &&
    (filter.any ?? []).every((group) => group.some((one) => isMatch({ job, errors }, one))) &&
    !(filter.not ?? []).some((one) => isMatch({ job, errors }, one))
  );
}

function folded(text: string): string {
  return [...text]
    .map((one) => one.toLowerCase())
    .join("")
    .replaceAll("ς", "σ");
}

function holds(payload: unknown, { path, of, operator, value }: PayloadCondition): boolean {
  let found: unknown = payload;
  for (const name of path) found = (found as Record<string, unknown> | null)?.[name] ?? null;
  if (of === "length") {
    const isObject = typeof found === "object" && found !== null && !Array.isArray(found);
    if (found === null) found = 0;
    else if (isObject) found = Object.keys(found ?? {}).length;
    else if (typeof found === "string" || Array.isArray(found)) found = [...found].length;
    else return false;
  }
  if (operator === "=") return found === value;
  if (operator === "!=") return found !== value;
  if (operator === "contains" && Array.isArray(found)) return found.includes(value);
  if (typeof found !== typeof value) return false;
  if (typeof found === "string" && typeof value === "string") {
    if (operator === "startsWith") return found.startsWith(value);
    if (operator === "contains") return found.includes(value);
  } else if (typeof found !== "number") return false;
  const order = { "<": [-1], "<=": [-1, 0], ">": [1], ">=": [1, 0] } as Record<string, number[]>;
  const compared = (found as number) < (value as number) ? -1 : found === value ? 0 : 1;
  return order[operator]?.includes(compared) ?? false;
}
