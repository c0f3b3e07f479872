/** Part of `invariants.ts`: recounts the bytes of queues and the uses of blobs from the jobs that there are. */
import { blobOf, sizeOfForm } from "../base/stored-value.ts";
import { isFinished, type Job } from "./job.ts";
import { type QueueRecord, retentionClassOf } from "./state.ts";
import type { StateContents } from "./state-hash.ts";
import { finishedBytes, type KeptBlob } from "./values.ts";

type Check = (holds: boolean, violation: string) => void;

export function checkValues(
  check: Check,
  contents: StateContents,
  { jobs, queues }: { readonly jobs: readonly Job[]; readonly queues: readonly QueueRecord[] },
  keptBytes: number,
): void {
  const from = contents.meta.bytesFrom ?? Number.POSITIVE_INFINITY;
  const counted = jobs.filter((job) => job.seq >= from);
  for (const queue of queues) {
    const own = counted.filter((job) => job.queue === queue.name);
    const name = JSON.stringify(queue.name);
    const bytes = sum(own);
    check(queue.bytes !== 0, `queue ${name}: 0 bytes, which is written as none`);
    check(
      (queue.bytes ?? 0) === bytes,
      `queue ${name}: counts ${queue.bytes ?? 0} bytes, has ${bytes}`,
    );
    const finished = sum(own.filter((job) => isFinished(job.state)));
    check(
      finishedBytes(queue) === finished,
      `queue ${name}: counts ${finishedBytes(queue)} bytes of finished jobs, has ${finished}`,
    );
  }
  checkBlobs(check, contents, jobs);
  const kept = queues.reduce((of, { bytes = 0 }) => of + bytes, 0) - sharedBytes(contents);
  check(keptBytes === kept, `counts ${keptBytes} bytes in all, has ${kept}`);
}

/** What queues count more than once. */
function sharedBytes(contents: StateContents): number {
  let shared = 0;
  for (const { kind, value } of contents.records()) {
    if (kind !== "blobs") continue;
    const { bytes, uses } = value as KeptBlob;
    shared += bytes * (uses - 1);
  }
  return shared;
}

function sum(jobs: readonly Job[]): number {
  return jobs.reduce(
    (bytes, job) => bytes + formsOf(job).reduce((of, form) => of + sizeOfForm(form), 0),
    0,
  );
}

function formsOf({ payload, result }: Job): string[] {
  return result === undefined ? [payload] : [payload, result];
}

function checkBlobs(check: Check, contents: StateContents, jobs: readonly Job[]): void {
  const uses = new Map<string, number>();
  const finished = new Map<string, string>();
  for (const job of jobs) {
    const hashes = formsOf(job).flatMap((form) => blobOf(form)?.hash ?? []);
    for (const hash of hashes) uses.set(hash, (uses.get(hash) ?? 0) + 1);
    if (job.finish === 0 || hashes.length === 0) continue;
    finished.set(`${retentionClassOf(job.state)} ${job.finish}`, hashes.join(" "));
  }
  for (const { kind, key, value } of contents.records()) {
    if (kind === "blobs") {
      const { uses: counted } = value as KeptBlob;
      check(counted === uses.get(key), `blob ${key}: counts ${counted} uses, has ${uses.get(key)}`);
      uses.delete(key);
    } else if (kind === "finishedBlobs") {
      const { hashes } = value as { readonly hashes: readonly string[] };
      check(
        finished.get(key) === hashes.join(" "),
        `finished ${key}: has blobs ${finished.get(key)}, not ${hashes}`,
      );
      finished.delete(key);
    }
  }
  check(uses.size === 0, `blobs ${[...uses.keys()]} are used and not kept`);
  check(
    finished.size === 0,
    `finished jobs ${[...finished.keys()]} have blobs that nobody gives back`,
  );
}
