/**
 * Job ids on the wire: `job_` + creation time (11 hex digits of milliseconds) + shard (3) + sequence number (12).
 * They sort by creation, and the sequence number is the row key of the job, so an id needs no index.
 */

const idPattern = /^job_[0-9a-f]{26}$/;

const jobPrefix = "job";
const zeros = "000000000000";

let prefixTimeMs = -1;
let prefixShard = -1;
let prefix = "";

/** The id of the job `seq` that was created at `createdAtMs` in `shard`. */
export function formatJobId(seq: number, createdAtMs: number, shard: number): string {
  if (createdAtMs !== prefixTimeMs || shard !== prefixShard) {
    prefix = `job_${createdAtMs.toString(16).padStart(11, "0")}${shard.toString(16).padStart(3, "0")}`;
    prefixTimeMs = createdAtMs;
    prefixShard = shard;
  }
  const digits = seq.toString(16);
  return prefix + zeros.slice(digits.length) + digits;
}

export interface ParsedJobId {
  readonly createdAtMs: number;
  readonly shard: number;
  readonly seq: number;
}

/** The parts of a job id, or undefined when the text is not one. */
export function parseJobId(text: string): ParsedJobId | undefined {
  if (!idPattern.test(text)) return undefined;
  return {
    createdAtMs: Number.parseInt(text.slice(4, 15), 16),
    shard: Number.parseInt(text.slice(15, 18), 16),
    seq: Number.parseInt(text.slice(18), 16),
  };
}

/** What ids of groups of jobs and of deliveries begin with; the rest is made as that of a job. */
export type GroupPrefix = "chn" | "batch" | "dlv";

export function formatGroupId(
  prefix: GroupPrefix,
  { seq, createdAtMs, shard }: ParsedJobId,
): string {
  return prefix + formatJobId(seq, createdAtMs, shard).slice(jobPrefix.length);
}

export function parseGroupId(prefix: GroupPrefix, text: string): ParsedJobId | undefined {
  return text.startsWith(prefix) ? parseJobId(jobPrefix + text.slice(prefix.length)) : undefined;
}

/** The shard that the id of a job, of a group of jobs or of a delivery names; undefined when it is none of these. */
export function shardOfId(text: string): number | undefined {
  const shard = /^(?:job|chn|batch|dlv)_[0-9a-f]{11}([0-9a-f]{3})[0-9a-f]{12}$/.exec(text)?.[1];
  return shard === undefined ? undefined : Number.parseInt(shard, 16);
}
