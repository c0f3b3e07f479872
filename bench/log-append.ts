/**
 * How fast does the log make works durable, and how evenly? One work = one entry of the given size; `flight` works are
 * kept waiting at a time, so 1 means: each fsync serves one work. Run: bun bench/log-append.ts [dir] [seconds] [walMiB]
 * Prints acknowledged works only; fsync is always on. Compare figures of one run, not of two machines.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../src/base/log.ts";
import { openLog } from "../src/store/worker-log.ts";

const parent = process.argv[2] ?? tmpdir();
const seconds = Number(process.argv[3] ?? 3);
const walMiB = Number(process.argv[4] ?? 2);
const storeId = crypto.randomUUID();

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2);
}

/** Milliseconds from hand-over to acknowledgement of every work, and how long all took. */
function run(
  log: Log,
  bytes: number,
  flight: number,
): Promise<{ latencies: number[]; ms: number }> {
  const data = new Uint8Array(bytes).fill(0x61);
  const latencies: number[] = [];
  const startMs = performance.now();
  let next = log.bounds(0).last + 1;
  let waiting = 0;
  return new Promise((resolve, reject) => {
    const appendOne = () => {
      const atMs = performance.now();
      const index = next++;
      waiting++;
      const work = { group: 0, entries: [{ index, term: 1, kind: 0, data }] };
      log.append({ ...work, hardState: { term: 1, vote: "", commit: index - 1 } }, (fault) => {
        if (fault !== undefined) return reject(new Error(fault.message));
        waiting--;
        const nowMs = performance.now();
        latencies.push(nowMs - atMs);
        if (nowMs - startMs < seconds * 1000) appendOne();
        else if (waiting === 0) resolve({ latencies, ms: nowMs - startMs });
      });
    };
    for (let i = 0; i < flight; i++) appendOne();
  });
}

console.log(`fsync on, ${seconds} s each, write-ahead log ${walMiB} MiB, in ${parent}`);
console.log("  size  flight   works/s     p50     p99   p99.9     max ms");
for (const [bytes, flight] of [
  [1024, 1],
  [10_240, 1],
  [1024, 64],
  [10_240, 64],
] as const) {
  const dir = mkdtempSync(join(parent, "corvo-bench-"));
  const log = await openLog(dir, { storeId, walBytesMax: walMiB * 1024 * 1024 });
  const { latencies, ms } = await run(log, bytes, flight);
  await log.close();
  rmSync(dir, { recursive: true, force: true });
  latencies.sort((a, b) => a - b);
  const figures = [0.5, 0.99, 0.999, 1].map((share) => percentile(latencies, share).padStart(7));
  const rate = ((latencies.length / ms) * 1000).toFixed(0);
  console.log(
    `${String(bytes).padStart(6)} ${String(flight).padStart(7)} ${rate.padStart(9)} ${figures.join(" ")}`,
  );
}
