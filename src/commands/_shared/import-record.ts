/** One record of an import: from its text to a job that can be sent, or to what is wrong with it. */
import { requestLimits } from "../../api/limits.ts";
import { rawTreeOf } from "../../api/operation.ts";
import { NewJob, uniqueFields } from "../../api/schemas.ts";
import { parseJson } from "../../base/json.ts";
import type { Client } from "../../sdk/client.ts";
import { jsonProblem } from "./json-position.ts";
import { defaultQueue } from "./queue-args.ts";
import type { TextRecord } from "./record-splitter.ts";
import { problemOf } from "./schema-check.ts";

export type ImportedJob = Parameters<Client["enqueueJobs"]>[0]["body"]["jobs"][number];

export type ReadRecord =
  | { readonly line: number; readonly job: ImportedJob }
  | { readonly line: number; readonly problem: string };

const tree = rawTreeOf(NewJob);

/** `defaults` are members that the record may override. */
export function readRecord(
  record: TextRecord,
  defaults: Readonly<Record<string, unknown>>,
): ReadRecord {
  const { line, text } = record;
  const wrong = (problem: string): ReadRecord => ({ line, problem });
  const parsed = parseJson(text, tree, requestLimits.jsonDepthMax);
  if (!parsed.ok) {
    const where = parsed.problem === "syntax" ? jsonProblem(text)?.message : undefined;
    return wrong(`not valid JSON: ${where ?? parsed.message}`);
  }
  const { value } = parsed;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return wrong(`a ${Array.isArray(value) ? "list" : typeof value}, not an object`);
  }
  const { id, timeout_ms: timeoutMs, ...members } = value as Record<string, unknown>;
  if (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number") {
    return wrong("id is neither a text nor a number");
  }
  if (timeoutMs !== undefined && timeoutMs !== null && typeof timeoutMs !== "number") {
    return wrong("timeout_ms is not a number");
  }
  const key = id === undefined || id === null ? {} : keyOf(id, { ...defaults, ...members });
  // As Beaver-Raft's job files have it; 0 is no limit there.
  const timeout =
    typeof timeoutMs === "number" && timeoutMs !== 0 ? { timeout: `${timeoutMs}ms` } : {};
  const job = { queue: defaultQueue, ...defaults, ...key, ...timeout, ...members };
  const problem = problemOf(NewJob, job, "");
  // The schema was checked just now, member by member.
  return problem === undefined ? { line, job: job as unknown as ImportedJob } : wrong(problem);
}

/** An id is that of one job until it has ended, not for an hour as a key is by itself, unless something else is said. */
function keyOf(id: string | number, said: Readonly<Record<string, unknown>>): object {
  const unique_key = String(id);
  if (Object.keys(uniqueFields).some((name) => said[name] != null)) return { unique_key };
  return { unique_key, unique_period: requestLimits.uniquePeriodSecondsMax };
}
