/** From a job in a document of a backup to what the engine restores: our own documents in full, those of 0.3 as far as they go. */
import type { InputOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import type { JobOptions } from "../engine/options.ts";
import type { RestoredAttempt, RestoredJob } from "../engine/restored-job.ts";
import { type JobRecord, restoredState } from "./backup-lines.ts";
import { payloadForm, resultForm } from "./packed-values.ts";
import { toPriority, toTime } from "./values.ts";

export type RestoreBody = InputOf<Operations["adminRestore"]>["body"];
export type JobDocument = NonNullable<RestoreBody["jobs"]>[number];

/** Bounded as the engine's; the last ones count. */
const attemptsMax = 32;

export function toRestored(document: JobDocument, hasNewId: boolean): RestoredJob {
  const result = resultForm(document);
  const texts = {
    payload: payloadForm(document),
    ...(document.checkpoint == null ? {} : { checkpoint: document.checkpoint.text }),
    ...(document.progress == null ? {} : { progress: document.progress.text }),
    ...(result === undefined ? {} : { result }),
  };
  const record = document.corvo == null ? foreign(document) : parseRecord(document.corvo);
  const { seq, ...rest } = record;
  return { ...rest, ...texts, ...(hasNewId || seq === undefined ? {} : { seq }) };
}

/** Its shape is looked at where it enters the log. */
export function parseRecord<T extends object = JobRecord>(text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  throw new CorvoError("VALIDATION_ERROR", "corvo: expected the text of a JSON object");
}

/**
 * A job as 0.3 shows it, under a new id: an id of 0.3 looks like one of ours, but its digits mean other things. One that was
 * active is pending again.
 */
function foreign(document: JobDocument): JobRecord {
  const { queue } = document;
  const state = document.state ?? "pending";
  const at = (field: keyof JobDocument) => {
    const value = document[field];
    return typeof value === "string" && value !== "" ? toTime(`jobs: ${field}`, value) : undefined;
  };
  const times = {
    dueAtMs: state === "scheduled" || state === "retrying" ? at("scheduled_at") : undefined,
    scheduledAtMs: state === "scheduled" ? at("scheduled_at") : undefined,
    expireAtMs: at("expire_at"),
    startedAtMs: at("started_at"),
    finishedAtMs: at("completed_at") ?? (state === "dead" ? at("failed_at") : undefined),
    failedAtMs: at("failed_at"),
  };
  return defined({
    createdAtMs: at("created_at") ?? 0,
    queue,
    priority: document.priority == null ? 2 : toPriority(document.priority),
    options: optionsOf(document),
    ...times,
    attempt: document.attempt ?? undefined,
    workerId: document.worker_id ?? undefined,
    hostname: document.hostname ?? undefined,
    ...restoredState(state, tieOf(document), document.hold_reason ?? undefined),
    attempts: attemptsOf(document),
  });
}

/** What others of 0.3 the job must not run without. It kept dependencies in the configuration of the chain. */
function tieOf({ state, chain_id, batch_id, chain_config }: JobDocument): string | undefined {
  if (chain_id != null && chain_id !== "") return "a chain";
  if (batch_id != null && batch_id !== "") return "a batch";
  const config = state === "active" ? undefined : chain_config?.parse();
  const isTied = typeof config === "object" && config !== null && "depends_on" in config;
  return isTied && isFilled(config.depends_on) ? "other jobs that it depends on" : undefined;
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}

function optionsOf(document: JobDocument): Partial<JobOptions> | undefined {
  const options: Partial<JobOptions> = defined({
    maxRetries: document.max_retries ?? undefined,
    backoff: document.retry_backoff ?? undefined,
    baseDelayMs: document.retry_base_delay_ms ?? undefined,
    maxDelayMs: document.retry_max_delay_ms ?? undefined,
    uniqueKey: document.unique_key ?? undefined,
    tags: document.tags == null ? undefined : JSON.stringify(document.tags),
    parentId: document.parent_id ?? undefined,
  });
  return Object.keys(options).length === 0 ? undefined : options;
}

function attemptsOf({ errors }: JobDocument): RestoredAttempt[] | undefined {
  if (errors == null || errors.length === 0) return undefined;
  return errors.slice(-attemptsMax).map(({ attempt, error, backtrace, created_at }, i) => {
    const endedAtMs = created_at == null ? 0 : toTime("jobs: errors.created_at", created_at);
    return defined({
      attempt: attempt ?? i + 1,
      outcome: "failed" as const,
      error: error ?? undefined,
      backtrace: backtrace ?? undefined,
      startedAtMs: 0,
      endedAtMs,
    });
  });
}

function defined<T extends object>(value: { readonly [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}
