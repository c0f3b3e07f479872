/** Does a job match a filter? The meaning of every member; the search finds the same jobs by other means. */
import { foldCase } from "../base/fold.ts";
import type { Job } from "./job.ts";
import { satisfiesAll } from "./payload-condition.ts";
import type { JobFilter } from "./query.ts";

/** A job, and what is only read when a filter asks for it. */
export interface MatchSubject {
  readonly job: Job;
  /** The id, which names the shard. */
  readonly id: () => string;
  /** The JSON text that was sent; undefined for a payload that is none. */
  readonly json: () => string | undefined;
  /** The errors of its attempts. */
  readonly errors: () => readonly string[];
  readonly errorGroup: () => string | undefined;
}

export function matchesJob(subject: MatchSubject, filter: JobFilter): boolean {
  return (
    matchesOptions(subject.job, filter) &&
    matchesTimes(subject.job, filter) &&
    matchesTexts(subject, filter) &&
    (filter.jobIdPrefix === undefined || subject.id().startsWith(filter.jobIdPrefix)) &&
    (filter.any ?? []).every((group) => group.some((one) => matchesJob(subject, one))) &&
    !(filter.not ?? []).some((one) => matchesJob(subject, one))
  );
}

function matchesOptions(job: Job, filter: JobFilter): boolean {
  const { options } = job;
  return (
    isWanted(job.queue, filter.queue) &&
    (filter.states === undefined || filter.states.includes(job.state)) &&
    isWanted(job.priority, filter.priority) &&
    job.attempt >= (filter.attemptMin ?? 0) &&
    job.attempt <= (filter.attemptMax ?? Number.POSITIVE_INFINITY) &&
    isWanted(job.workerId, filter.workerId) &&
    isWanted(options.uniqueKey, filter.uniqueKey) &&
    isWanted(options.parentId, filter.parentId) &&
    isWanted(options.batchId, filter.batchId) &&
    isWanted(options.chainId, filter.chainId)
  );
}

function isWanted<Value>(value: Value, wanted: Value | undefined): boolean {
  return wanted === undefined || value === wanted;
}

function matchesTimes(job: Job, filter: JobFilter): boolean {
  return (
    isWithin(job.createdAtMs, filter.createdAfterMs, filter.createdBeforeMs) &&
    isWithin(job.scheduledAtMs, filter.scheduledAfterMs, filter.scheduledBeforeMs) &&
    isWithin(job.startedAtMs, filter.startedAfterMs, filter.startedBeforeMs) &&
    isWithin(job.finishedAtMs, filter.completedAfterMs, filter.completedBeforeMs) &&
    isWithin(job.expireAtMs, filter.expireAfterMs, filter.expireBeforeMs)
  );
}

/** 0 stands for "never", which is neither before nor after anything. */
function isWithin(
  timeMs: number,
  afterMs: number | undefined,
  beforeMs: number | undefined,
): boolean {
  return (
    (afterMs === undefined || (timeMs !== 0 && timeMs > afterMs)) &&
    (beforeMs === undefined || (timeMs !== 0 && timeMs < beforeMs))
  );
}

function matchesTexts(subject: MatchSubject, filter: JobFilter): boolean {
  const { tags, payloadContains, errorContains, hasErrors, errorGroup, payloadWhere } = filter;
  return (
    (tags === undefined || hasTags(subject.job.options.tags, tags)) &&
    (payloadContains === undefined || subject.json()?.includes(payloadContains) === true) &&
    (hasErrors === undefined || subject.errors().length > 0 === hasErrors) &&
    (errorContains === undefined ||
      subject.errors().some((error) => error.includes(errorContains))) &&
    (errorGroup === undefined || subject.errorGroup() === errorGroup) &&
    (payloadWhere === undefined || satisfiesAll(subject.json() ?? "", payloadWhere)) &&
    (filter.words === undefined || hasWords(subject, filter.words))
  );
}

function hasTags(json: string | undefined, wanted: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(wanted);
  if (names.length === 0) return true;
  const tags = JSON.parse(json ?? "{}") as Readonly<Record<string, unknown>>;
  return names.every((name) => Object.hasOwn(tags, name) && tags[name] === wanted[name]);
}

function hasWords(subject: MatchSubject, words: readonly string[]): boolean {
  const { job } = subject;
  const texts = [job.queue, subject.json() ?? "", job.options.tags ?? ""].map(foldCase);
  let errors: readonly string[] | undefined;
  return words.every((word) => {
    const wanted = foldCase(word);
    if (texts.some((text) => text.includes(wanted))) return true;
    errors ??= subject.errors().map(foldCase);
    return errors.some((text) => text.includes(wanted));
  });
}
