/**
 * Shards whose states are not of one moment: they were recovered from what one node had of each. What one of them has said another
 * may never have heard, or have heard before it was said. So each
 * forgets the messages and says anew what holds: for whom it waits, whom it follows, how many jobs it has of each batch, where
 * the steps of its chains are. No batch ends before all have spoken.
 *
 * After that nothing waits for what was lost. It is not as if nothing had happened: a step or a callback that was on its way may run
 * twice, a job that ended in between may be missing in the counts of its batch, and a chain whose step ended in between has failed.
 */
import { formatGroupId, formatJobId } from "../base/ids.ts";
import { callAgain, type JobBatch } from "./batches.ts";
import { type Chain, loseStep } from "./chains.ts";
import type { Core } from "./core.ts";
import { follow } from "./following.ts";
import { isFinished } from "./job.ts";
import { changeLimits } from "./limits.ts";
import type { FindStep, Tally } from "./mail.ts";
import type { Outcome } from "./outcome.ts";
import { elsewhere } from "./place.ts";
import type { RecordTable } from "./records.ts";
import { reunionKey as left } from "./reuniting.ts";

/** The states of the shards may not fit together any more. */
export function reunite(core: Core): Outcome {
  const { place, state } = core;
  if (place.shards === 1) return { kind: "ok" };
  core.post.forgetAll();
  core.dependencies.unwatchAll();
  for (const [key] of sorted(core.followers)) core.followers.delete(key);
  state.records("reunion").put(left, place.shards - 1);
  recountOwn(core);
  askAgain(core);
  for (const [key, chain] of sorted(state.records("chain"))) askForStep(core, Number(key), chain);
  for (let shard = 0; shard < place.shards; shard++) {
    if (shard !== place.shard) core.post.send(shard, { kind: "reunited" });
  }
  return { kind: "ok" };
}

/** Another shard has said all. */
export function takeReunited(core: Core): void {
  const table = core.state.records("reunion");
  const count = (table.get(left) ?? 0) - 1;
  if (count > 0) {
    table.put(left, count);
    return;
  }
  table.delete(left);
  for (const [key, { pending, finishedAtMs }] of sorted(core.state.records("batch"))) {
    if (pending > 0 || finishedAtMs > 0) continue;
    core.aftermath.push({ kind: "batchEnded", batch: Number(key) });
  }
}

/** What became of a step that the chain believes to be here? */
export function takeFindStep(core: Core, from: number, { chain, step, seq }: FindStep): void {
  const found = core.state.getJob(seq);
  const isIt = found?.options.chainId === chain && found.options.chainStep === step;
  const job = isIt ? found : undefined;
  if (job !== undefined && !isFinished(job.state)) return;
  const id = formatJobId(seq, job?.createdAtMs ?? 0, core.place.shard);
  const said = { kind: "step", chain, step, job: id } as const;
  if (job?.state === "cancelled") core.post.send(from, { ...said, how: "cancelled" });
  // What was left of the chain went with the news that did not come.
  else core.post.send(from, { ...said, how: "dead", reason: job?.reason ?? lost });
}

const lost =
  "what became of its job was lost when shards were restored from copies of different moments";

/** Of the jobs that are counted elsewhere the others will say how many there are. */
function recountOwn(core: Core): void {
  const table = core.state.records("batch");
  for (const [key, batch] of sorted(table)) {
    const seq = Number(key);
    if (batch.finishedAtMs > 0) callAgain(core, seq, batch);
    else {
      const pending = core.ties.count(seq);
      table.put(key, { ...batch, pending, total: pending + endedOf(batch) });
    }
  }
}

function endedOf({ completed, dead, cancelled }: JobBatch): number {
  return completed + dead + cancelled;
}

function askAgain(core: Core): void {
  // Of several questions about one job the last is asked, and its answer is for all who waited by then: also for one that waits again.
  const blocked = sorted(core.state.records("blocked")).map(([, one]) => one);
  for (const { open, since } of blocked.sort((one, other) => one.since - other.since)) {
    for (const id of open) {
      const shard = typeof id === "string" ? elsewhere(core.place, id) : undefined;
      if (shard === undefined || typeof id !== "string" || !id.startsWith("job_")) continue;
      core.post.send(shard, { kind: "watch", id, at: since });
    }
  }
  const joining = new Map<string, number[]>();
  for (const [key, batch] of sorted(core.joining)) {
    const known = joining.get(batch);
    if (known === undefined) joining.set(batch, [Number(key)]);
    else known.push(Number(key));
  }
  for (const owner of core.ties.owners()) {
    const shard = typeof owner === "string" ? elsewhere(core.place, owner) : undefined;
    if (shard === undefined || typeof owner !== "string") continue;
    follow(core, owner, true);
    if (!owner.startsWith("batch_")) continue;
    // Those that have ended meanwhile ask as well, and are not among those that are tied.
    const asking = (joining.get(owner) ?? []).filter((seq) => core.ties.of(seq).length > 0);
    const pending = core.ties.count(owner) - asking.length;
    const by: Tally = { total: pending, pending, completed: 0, dead: 0, cancelled: 0 };
    if (pending > 0) core.post.send(shard, { kind: "count", batch: owner, by });
  }
  for (const [batch, jobs] of joining) {
    const shard = elsewhere(core.place, batch);
    if (shard === undefined) continue;
    // More have gathered than one call adds, while that shard was away.
    for (let from = 0; from < jobs.length; from += changeLimits.listMax) {
      const part = jobs.slice(from, from + changeLimits.listMax);
      core.post.send(shard, { kind: "join", batch, jobs: part });
    }
  }
}

function askForStep(core: Core, number: number, chain: Chain): void {
  const [seq = 0, , shard] = chain.jobs.at(-1) ?? [];
  if (shard === undefined || chain.finishedAtMs > 0) return;
  const { createdAtMs, at } = chain;
  const id = formatGroupId("chn", { seq: number, createdAtMs, shard: core.place.shard });
  if (seq > 0) core.post.send(shard, { kind: "findStep", chain: id, step: at, seq });
  else loseStep(core, id, lost);
}

/** In an order that is the same on all replicas. */
function sorted<Value>(table: RecordTable<Value>): (readonly [string, Value])[] {
  return [...table.entries()].sort(([one], [other]) => Number(one) - Number(other));
}
