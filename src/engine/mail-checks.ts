/** What must hold of what this shard and the others tell each other, as far as it can be seen from here. Part of `findViolations`. */
import { isFinished, type Job } from "./job.ts";
import type { Place } from "./place.ts";
import { type Check, recordsOf } from "./record-checks.ts";
import type { AnyRecord } from "./records.ts";

export function checkMail(
  check: Check,
  jobs: readonly Job[],
  records: readonly AnyRecord[],
  place: Place,
): void {
  const numbers = new Map<number, number[]>();
  for (const [key] of recordsOf(records, "mail")) {
    const [to = -1, seq = -1] = key.split(".").map(Number);
    numbers.set(to, [...(numbers.get(to) ?? []), seq]);
  }
  const marks = new Map(recordsOf(records, "mailMarks"));
  for (const [to, seqs] of numbers) {
    const isOther = to >= 0 && to < place.shards && to !== place.shard;
    check(isOther, `messages to shard ${to}, which is none of the others`);
    const last = marks.get(String(to))?.sent ?? 0;
    const wanted = seqs.map((_, i) => last - seqs.length + 1 + i).join();
    const found = seqs.sort((one, other) => one - other).join();
    check(found === wanted, `messages ${found} to shard ${to}, of which ${last} is the last`);
  }
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  const blocked = new Map(recordsOf(records, "blocked"));
  for (const [key, batch] of recordsOf(records, "joining")) {
    const job = bySeq.get(Number(key));
    const isLive = job !== undefined && !isFinished(job.state);
    const waits = blocked.get(key)?.open.includes(batch) === true;
    check(!isLive || waits, `job ${key} is to be counted in ${batch} first, and does not wait`);
  }
  for (const [key, { id, at }] of recordsOf(records, "watchers")) {
    const isAny = Object.keys(at).length > 0;
    check(isAny, `job ${key} (${id}) is watched by nobody`);
  }
  for (const [key, { id, shards }] of recordsOf(records, "followers")) {
    const isOnce = shards.length > 0 && new Set(shards).size === shards.length;
    check(isOnce, `${key} (${id}) is followed by [${shards}]`);
  }
}
