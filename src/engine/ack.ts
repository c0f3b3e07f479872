/** Finishes attempts that succeeded. */
import { advanceChain } from "./chains.ts";
import type { AckItem, AckJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { draftOf } from "./job.ts";
import { done, findHolder, recordAttempt } from "./lease.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";

export function ackJobs(core: Core, change: AckJobs): Outcome {
  return { kind: "items", results: change.items.map((item) => ackJob(core, item)) };
}

function ackJob(core: Core, item: AckItem): ItemResult {
  const found = findHolder(core, item, "ACK_ERROR");
  if (found.kind === "refused") return found.rejection;
  const { job } = found;
  if (found.kind === "repeated") {
    if (job.state === "completed") return done(job, "active");
    return reject("LEASE_LOST", `this lease is over: it ended with the job ${job.state}`);
  }

  const refusal = item.result === undefined ? undefined : core.values.refuse(item.result);
  if (refusal !== undefined) return refusal;
  const history =
    item.output === undefined
      ? job.history
      : recordAttempt(core, job, {
          outcome: "completed",
          error: undefined,
          backtrace: undefined,
          output: item.output,
        });
  const plan = job.options.chain;
  const draft = draftOf(job);
  // What is left of a chain goes to the next job: one copy of it is enough.
  if (plan !== undefined) draft.options = { ...job.options, chain: undefined };
  draft.history = history;
  draft.result = item.result ?? job.result;
  draft.checkpoint = item.checkpoint ?? job.checkpoint;
  draft.finishedAtMs = core.nowMs;
  draft.lostLeases = 0;
  const next = core.advance(job, "ack", draft);
  if (plan !== undefined) advanceChain(core, next, plan, item.exit);
  return done(next, job.state);
}
