/**
 * A program for tests to kill: appends to the log in argv[2] without end, several works at a time, and writes the last
 * acknowledged index of group 0 to standard output, one per line. When the log fails it
 * writes `fault KIND`, closes the log and ends with the line `closed`.
 */
import { writeSync } from "node:fs";
import { openLog } from "../../src/store/worker-log.ts";
import { entriesFrom, storeId } from "./log.ts";

const dir = process.argv[2] ?? "";
const log = await openLog(dir, { storeId, reserveBytes: 64 * 1024, checkpointBytes: 256 * 1024 });
let next = log.bounds(0).last + 1;
let isFinished = false;

function appendNext(): void {
  const first = next;
  const count = 1 + (first % 4);
  next += count;
  const entries = entriesFrom(first, count, { bytes: (first * 37) % 3000 });
  log.append({ group: 0, entries, hardState: { term: 1, vote: "me", commit: first } }, (fault) => {
    if (fault !== undefined) {
      if (!isFinished) void finish(fault.kind);
      isFinished = true;
      return;
    }
    writeSync(1, `${first + count - 1}\n`);
    if (first % 50 === 0 && first > 200) log.compact(0, first - 200);
    if (!isFinished) appendNext();
  });
}

async function finish(kind: string): Promise<void> {
  writeSync(1, `fault ${kind}\n`);
  await log.close();
  writeSync(1, "closed\n");
}

for (let i = 0; i < 4; i++) appendNext();
