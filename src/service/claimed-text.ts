/**
 * A claimed job as JSON text, for the streaming path: as many are written a second as are claimed, so there is no object
 * in between, and what jobs of one delivery nearly always share is made into text once. `claimedView` in `views.ts` says the
 * same where speed does not count; a test holds the two together.
 */
import { quoted } from "../base/json.ts";
import { isPacked } from "../base/stored-value.ts";
import { formatTime } from "../base/time.ts";
import type { Job } from "../engine/job.ts";
import { jsonTextOf, payloadFacts } from "./packed-values.ts";
import { deadOf, formatToken, originOf } from "./views.ts";

let head = headOf("");
let terms = termsOf({ attempt: 0, maxRetries: 0, leaseMs: 0 });
let times = timesOf({ leaseExpiresAtMs: 0, createdAtMs: 0, priority: 0 });

export function claimedText(id: string, job: Job): string {
  const { options, payload } = job;
  if (head.queue !== job.queue) head = headOf(job.queue);
  if (
    terms.attempt !== job.attempt ||
    terms.leaseMs !== job.leaseMs ||
    terms.maxRetries !== options.maxRetries
  ) {
    terms = termsOf({ attempt: job.attempt, maxRetries: options.maxRetries, leaseMs: job.leaseMs });
  }
  if (
    times.createdAtMs !== job.createdAtMs ||
    times.leaseExpiresAtMs !== job.leaseExpiresAtMs ||
    times.priority !== job.priority
  ) {
    times = timesOf(job);
  }
  let text = `{"job_id":"${id}${head.text}${jsonTextOf(payload)}${terms.text}${formatToken(job.token)}${times.text}`;
  if (isPacked(payload)) {
    const facts = payloadFacts(payload, true);
    if (facts !== undefined) text += `,${JSON.stringify(facts).slice(1, -1)}`;
  }
  if (options.timeoutMs > 0) text += `,"timeout_ms":${options.timeoutMs}`;
  if (options.deadlineAtMs > 0) text += `,"deadline_at":"${formatTime(options.deadlineAtMs)}"`;
  if (options.deadOf !== undefined) text += `,"dead_of":"${deadOf(id, job)}"`;
  if (job.checkpoint !== undefined) text += `,"checkpoint":${job.checkpoint}`;
  if (options.schedule !== undefined) text += `,"schedule":${JSON.stringify(originOf(job))}`;
  if (options.tags !== undefined) text += `,"tags":${options.tags}`;
  return `${text}}`;
}

function headOf(queue: string) {
  return { queue, text: `","queue":${quoted(queue)},"payload":` };
}

function termsOf(of: Pick<Job, "attempt" | "leaseMs"> & { readonly maxRetries: number }) {
  const { attempt, maxRetries, leaseMs } = of;
  const text = `,"attempt":${attempt},"max_retries":${maxRetries},"lease_duration":${leaseMs / 1000},"lease_token":"`;
  return { attempt, maxRetries, leaseMs, text };
}

function timesOf(of: Pick<Job, "leaseExpiresAtMs" | "createdAtMs" | "priority">) {
  const { leaseExpiresAtMs, createdAtMs, priority } = of;
  const text = `","lease_expires_at":"${formatTime(leaseExpiresAtMs)}","priority":${priority},"created_at":"${formatTime(createdAtMs)}"`;
  return { leaseExpiresAtMs, createdAtMs, priority, text };
}
