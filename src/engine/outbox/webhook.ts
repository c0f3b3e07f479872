/** A webhook: who is told of which events, and how it went so far. */

export interface Webhook {
  readonly id: string;
  readonly url: string;
  /** Types of events; `*` stands for all. */
  readonly events: readonly string[];
  /** Names of queues, or beginnings of names followed by `*`; none means all. */
  readonly queues: readonly string[];
  /** Tags that a job must have, all of them. */
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly secret: string;
  readonly enabled: boolean;
  /** Deliveries are made and not sent. */
  readonly paused: boolean;
  /** Why it was disabled by itself; then what it does not keep is counted. */
  readonly disabledBecause: string | undefined;
  readonly retryLimit: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** What a user says of a webhook. */
export interface WebhookSpec
  extends Pick<Webhook, "url" | "events" | "queues" | "enabled" | "retryLimit"> {
  readonly tags?: Readonly<Record<string, string>>;
}

/** How deliveries of a webhook, or of results of jobs, went. */
export interface DeliveryStats {
  readonly delivered: number;
  /** Given up. */
  readonly failed: number;
  /** Events for which there was no room. */
  readonly missed: number;
  readonly missedAtMs: number;
  /** Tries in a row that failed, and the time of the first of them. */
  readonly failures: number;
  readonly failingSinceMs: number;
  readonly lastAtMs: number;
  readonly lastStatus: number;
  readonly lastError: string | undefined;
  /** Unfinished jobs that have to tell their result to somebody. */
  readonly openJobs: number;
}

export const noStats: DeliveryStats = Object.freeze({
  delivered: 0,
  failed: 0,
  missed: 0,
  missedAtMs: 0,
  failures: 0,
  failingSinceMs: 0,
  lastAtMs: 0,
  lastStatus: 0,
  lastError: undefined,
  openJobs: 0,
});

/** Does it want to hear of events of this queue? */
export function wantsQueue(webhook: Webhook, queue: string): boolean {
  return webhook.queues.length === 0 || isNamed(webhook.queues, queue);
}

/** Is it one of the names, or does it begin like one that ends with `*`? */
export function isNamed(names: readonly string[], queue: string): boolean {
  return names.some((name) =>
    name.endsWith("*") ? queue.startsWith(name.slice(0, -1)) : name === queue,
  );
}

/** `given` is the JSON text of a job's tags. */
export function wantsTags(webhook: Webhook, given: string | undefined): boolean {
  if (webhook.tags === undefined) return true;
  if (given === undefined) return false;
  const tags = tagsOf(given);
  return Object.entries(webhook.tags).every(
    ([name, value]) => Object.hasOwn(tags, name) && tags[name] === value,
  );
}

/** A job whose tags cannot be read has none: nothing that a batch holds may end the engine. */
function tagsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const tags: unknown = JSON.parse(text);
    return typeof tags === "object" && tags !== null ? (tags as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
