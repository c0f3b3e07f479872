/** What must hold of the records about jobs that wait for others. Part of `findViolations`. */
import type { Chain } from "./chains.ts";
import type { Engine } from "./engine.ts";
import { isFinished, type Job } from "./job.ts";
import { type Check, numberedOf } from "./record-checks.ts";
import type { AnyRecord } from "./records.ts";

export function checkRelations(
  check: Check,
  jobs: readonly Job[],
  records: readonly AnyRecord[],
  engine: Engine,
): void {
  const bySeq = new Map(jobs.map((job) => [job.seq, job]));
  const blocked = new Map(numberedOf(records, "blocked"));
  const awaited = new Map(numberedOf(records, "awaited"));
  const news = numberedOf(records, "aftermath").map(([, work]) => work);

  for (const job of jobs) {
    if (job.state !== "pending" || job.order > 0) continue;
    check(blocked.has(job.seq), `job ${job.seq}: pending, in no line, and waits for nothing`);
  }
  for (const [seq, { open }] of blocked) {
    const job = bySeq.get(seq);
    const waits = job !== undefined && job.order === 0 && !isFinished(job.state);
    check(
      waits && job.state !== "active",
      `blocked job ${seq} is ${job?.state ?? "gone"} at place ${job?.order}`,
    );
    check(
      open.length > 0 && new Set(open).size === open.length,
      `job ${seq} waits for [${open}], which is nothing or something twice`,
    );
    const asked = engine.openDependencies(seq);
    check(asked.join() === open.join(), `job ${seq} waits for ${open}, the engine says ${asked}`);
    for (const dependency of open) {
      // Of another shard: what is asked there and told here is on its way, for all that can be seen from here.
      if (typeof dependency === "string") continue;
      const other = bySeq.get(dependency);
      const isAlive = other !== undefined && !isFinished(other.state);
      // Who waits on after the news is watched over from the end of them.
      const waitsOn = job?.options.onDependencyFailure === "wait";
      const isTold = news.some(
        (work) =>
          work.kind === "dependencyEnded" &&
          work.seq === dependency &&
          (work.after < seq || waitsOn),
      );
      check(
        isAlive || awaited.has(dependency) || isTold,
        `job ${seq} waits for ${dependency}, which is ${other?.state ?? "gone"}, and nobody will tell it`,
      );
    }
  }
  for (const [seq, chain] of numberedOf(records, "chain")) checkChain(check, seq, chain, bySeq);
  const waitedFor = new Set([...blocked.values()].flatMap(({ open }) => open));
  for (const [seq] of numberedOf(records, "watchers")) waitedFor.add(seq);
  for (const [seq, { of, finish }] of awaited) {
    const job = bySeq.get(seq);
    const isRemoved = news.some(
      (work) => work.kind === "dependenciesRemoved" && work.of === of && finish < work.below,
    );
    check(
      isRemoved || job?.state === "dead" || job?.state === "cancelled",
      `awaited job ${seq} is ${job?.state ?? "gone"}`,
    );
    check(isRemoved || job?.finish === finish, `awaited job ${seq} has finish ${job?.finish}`);
    check(waitedFor.has(seq), `awaited job ${seq}: nobody waits for it`);
  }
}

/** A chain runs as long as the job of its current step is unfinished. */
function checkChain(
  check: Check,
  seq: number,
  chain: Chain,
  bySeq: ReadonlyMap<number, Job>,
): void {
  const isRunning = chain.state === "running";
  check(isRunning === (chain.finishedAtMs === 0), `chain ${seq} is ${chain.state} and over`);
  const last = chain.jobs.at(-1);
  check(
    chain.jobs.length === chain.at + 1,
    `chain ${seq}: ${chain.jobs.length} jobs at ${chain.at}`,
  );
  const job = bySeq.get(last?.[0] ?? 0);
  const isAway = last?.[2] !== undefined;
  if (!isRunning || isAway) return;
  check(
    job !== undefined && !isFinished(job.state) && job.options.chainStep === chain.at,
    `chain ${seq} runs, and its step ${chain.at} is ${job?.state ?? "gone"}`,
  );
}
