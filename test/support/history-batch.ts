/** From a step of a random history, which only draws numbers, to the batch that means jobs and groups there are. */
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import type { Batch, Change, EnqueueJobs, NewJob, StepRedrive } from "../../src/engine/change.ts";
import type { Job } from "../../src/engine/job.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import { type BatchStep, seqsMax } from "./histories.ts";

/** The batch that a step becomes at a time, in a state that holds these jobs and batches. */
export function batchAt(step: BatchStep, lastMs: number, state: MemoryState): Batch {
  const known: Known = { jobs: [...state.jobs.values()], batches: batchesOf(state) };
  const live = known.jobs.filter(({ finish }) => finish === 0);
  const seqOf = (draw: number) => live[draw % live.length]?.seq ?? draw;
  const aimed = (draw: number) => (draw > seqsMax ? seqOf(draw) : draw);
  const withSeqs = <Item extends { readonly seq: number }>(items: readonly Item[]) =>
    items.map((item) => ({ ...item, seq: aimed(item.seq) }));
  const changes = step.changes.map((one): Change => {
    switch (one.kind) {
      case "ack":
        return { ...one, items: withSeqs(one.items) };
      case "fail":
        return { ...one, items: withSeqs(one.items) };
      case "release":
        return { ...one, items: withSeqs(one.items) };
      case "snooze":
        return { ...one, items: withSeqs(one.items) };
      case "heartbeat":
        return { ...one, items: withSeqs(one.items) };
      case "manage":
        return { ...one, seqs: one.seqs.map(aimed) };
      case "enqueue":
        return { ...one, jobs: one.jobs.map((job, i) => withIds(job, i, known, one)) };
      case "stepRedrive":
        return stepOf(one, state, seqOf);
      case "sealBatch":
      case "cancelBatch":
        return { ...one, batch: drawn(one.batch, known.batches).seq };
      default:
        return one;
    }
  });
  return { nowMs: lastMs + step.afterMs, seed: step.seed, changes };
}

/** A step as a leader makes it: the next dead jobs, now and then with one that is not dead, and seldom of a redrive that is over. */
function stepOf(
  step: StepRedrive,
  state: MemoryState,
  seqOf: (draw: number) => number,
): StepRedrive {
  const redrive = state.records("redrive").get(step.queue);
  if (redrive === undefined || step.id === 0)
    return step.afterSeq > 4 ? step : { ...step, seqs: [] };
  const { id, afterSeq } = redrive;
  const dead = [...state.jobs.values()]
    .filter((job) => job.state === "dead" && job.queue === step.queue)
    .map((job) => job.seq);
  const found = dead.sort((one, other) => one - other).filter((seq) => seq > afterSeq);
  const stale = step.id > 6 ? step.seqs.slice(0, 1).map(seqOf) : [];
  const seqs = [...new Set([...found.slice(0, step.seqs.length), ...stale])]
    .filter((seq) => seq > afterSeq)
    .sort((one, other) => one - other);
  return { ...step, id, afterSeq: step.afterSeq === 0 ? afterSeq + 1 : afterSeq, seqs };
}

interface Numbered {
  readonly seq: number;
  readonly createdAtMs: number;
}

interface Known {
  readonly jobs: readonly Job[];
  readonly batches: readonly Numbered[];
}

function batchesOf(state: MemoryState): Numbered[] {
  return [...state.records("batch").entries()]
    .map(([key, { createdAtMs }]) => ({ seq: Number(key), createdAtMs }))
    .sort((one, other) => one.seq - other.seq);
}

function withIds(job: NewJob, index: number, known: Known, call: EnqueueJobs): NewJob {
  if (job.options === undefined) return job;
  const { dependsOn, parentId, cascadeCancel, batchId, ...others } = job.options;
  const isEarlier = (text: string) =>
    text.startsWith("$") ? Number(text.slice(1)) < index : known.jobs.length > 0;
  const jobId = (text: string) => {
    if (text.startsWith("$")) return text;
    const { seq, createdAtMs } = drawn(Number(text.slice(1)), known.jobs);
    return formatJobId(seq, createdAtMs, 0);
  };
  const isChild = parentId !== undefined && isEarlier(parentId);
  const joins = batchId !== undefined && call.batch === undefined && known.batches.length > 0;
  const options = {
    ...others,
    ...(dependsOn !== undefined && {
      dependsOn: [...new Set(dependsOn.filter(isEarlier).map(jobId))],
    }),
    ...(isChild && { parentId: jobId(parentId) }),
    ...(isChild && cascadeCancel !== undefined && { cascadeCancel }),
    ...(joins && { batchId: batchIdAt(Number(batchId.slice(1)), known) }),
  };
  return { ...job, options };
}

function batchIdAt(draw: number, { batches }: Known): string {
  return formatGroupId("batch", { ...drawn(draw, batches), shard: 0 });
}

/** One of the last there are; 0 is one that is not there. */
function drawn(draw: number, of: readonly Numbered[]): Numbered {
  const found = draw === 0 ? undefined : of.at(-1 - (draw % of.length));
  return found ?? { seq: 999, createdAtMs: 0 };
}
