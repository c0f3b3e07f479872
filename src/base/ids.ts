/**
 * Job ids on the wire: `job_` + creation time (11 hex digits of milliseconds) + shard (3) + sequence number (12).
 * They sort by creation, and the sequence number is the row key of the job, so an id needs no index.
 */

const jobPrefix = "job";
/** After the prefix and its line. */
const digitsLength = 26;
const zeros = "000000000000";
const underscore = 0x5f;

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

/** The parts of a job id, or undefined when the text is not one. Each ack brings one, so nothing is cut out of it. */
export function parseJobId(text: string): ParsedJobId | undefined {
  return parseId(jobPrefix, text);
}

function parseId(prefix: string, text: string): ParsedJobId | undefined {
  const start = prefix.length + 1;
  if (text.length !== start + digitsLength || !text.startsWith(prefix)) return undefined;
  if (text.charCodeAt(start - 1) !== underscore) return undefined;
  const createdAtMs = parseHex(text, start, start + 11);
  const shard = parseHex(text, start + 11, start + 14);
  const seq = parseHex(text, start + 14, start + digitsLength);
  return createdAtMs + shard + seq >= 0 ? { createdAtMs, shard, seq } : undefined;
}

/** NaN when one of the characters is no small hexadecimal digit. */
function parseHex(text: string, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) value = value * 16 + code - 48;
    else if (code >= 97 && code <= 102) value = value * 16 + code - 87;
    else return Number.NaN;
  }
  return value;
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
  return parseId(prefix, text);
}

/** The shard that the id of a job, of a group of jobs or of a delivery names; undefined when it is none of these. */
export function shardOfId(text: string): number | undefined {
  const shard = /^(?:job|chn|batch|dlv)_[0-9a-f]{11}([0-9a-f]{3})[0-9a-f]{12}$/.exec(text)?.[1];
  return shard === undefined ? undefined : Number.parseInt(shard, 16);
}
