/**
 * What a change must look like to be let into the log. Handlers check what users send; this is the last look, at the one
 * door to the log, at what the program made of it. It is there because of what a bad value would do behind the door: every
 * node applies it at every start, so an engine that ends at it ends for good; and the leader applies its own object while
 * the others read the entry, so a value that JSON changes makes them differ.
 *
 * The bounds are the widest that the engine's structures and arithmetic are made for, not those that users meet.
 *
 * To add a kind of change or a member of one, add its shape below; the compiler asks for it.
 */
import { CorvoError } from "../base/errors.ts";
import type {
  AckItem,
  Change,
  FailItem,
  HeartbeatItem,
  ManageAction,
  ManageJobs,
  RaisedPause,
  ReleaseItem,
  Retention,
  SnoozeItem,
} from "./change.ts";
import type { IncomingSpec } from "./incoming.ts";
import type { Rate } from "./limits/rate.ts";
import type { LimitTarget, LimitValues } from "./limits/setting.ts";
import { changeLimits as bounds } from "./limits.ts";
import type { SettleDeliveries } from "./outbox/changes.ts";
import type { WebhookSpec } from "./outbox/webhook.ts";
import type { ScheduleSpec, Timetable } from "./schedule.ts";
import {
  checked,
  flag,
  integer,
  list,
  map,
  members,
  optional,
  type Shape,
  shown,
  variants,
  word,
  yes,
} from "./shape.ts";
import type { SubscriptionSpec } from "./subscriptions.ts";
import { filter } from "./well-formed-filter.ts";
import {
  count,
  duration,
  isGrowing,
  json,
  key,
  labels,
  longText,
  name,
  newBatch,
  newJob,
  priority,
  queueDefaults,
  seq,
  shard,
  shortText,
  storedValue,
  targetUrl,
  time,
} from "./well-formed-job.ts";
import { mail } from "./well-formed-mail.ts";
import { restoredJob } from "./well-formed-restored.ts";

const steps = integer(1, bounds.listMax);
const leaseMs = integer(1, bounds.durationMsMax);
const seqs = list(seq, 0, bounds.listMax);

/** -1 stands for a token that nobody was given. */
const leased = { seq, token: optional(integer(-1, Number.MAX_SAFE_INTEGER)) };

const pause: Shape<RaisedPause> = checked(
  members<RaisedPause>({
    scope: word({ queue: true, key: true, resource: true }),
    name: optional(name),
    pauseMs: duration,
  }),
  ({ scope, name: resource }) =>
    (scope === "resource") === (resource !== undefined)
      ? undefined
      : "a name with the scope resource, and only with it",
);

const ackItem: Shape<AckItem> = members<AckItem>({
  ...leased,
  exit: optional(longText),
  result: optional(storedValue),
  checkpoint: optional(json),
  output: optional(longText),
});

const failItem: Shape<FailItem> = members<FailItem>({
  ...leased,
  pause: optional(pause),
  keepAttempt: optional(yes),
  error: longText,
  backtrace: optional(longText),
  retryable: optional(flag),
  delayMs: optional(duration),
  errorClass: optional(shortText),
  output: optional(longText),
});

const releaseItem: Shape<ReleaseItem> = members<ReleaseItem>({
  ...leased,
  delayMs: optional(duration),
  pause: optional(pause),
});

const snoozeItem: Shape<SnoozeItem> = members<SnoozeItem>({
  ...leased,
  delayMs: duration,
  checkpoint: optional(json),
});

const heartbeatItem: Shape<HeartbeatItem> = members<HeartbeatItem>({
  ...leased,
  leaseMs: optional(leaseMs),
  progress: optional(json),
  checkpoint: optional(json),
});

const manageAction: Shape<ManageAction> = word({
  retry: true,
  requeue: true,
  cancel: true,
  delete: true,
  move: true,
  hold: true,
  approve: true,
  reject: true,
  changePriority: true,
});

const target: Shape<LimitTarget> = checked(
  members<LimitTarget>({
    scope: word({
      queue: true,
      eachKey: true,
      key: true,
      resource: true,
      eachGroup: true,
      group: true,
    }),
    queue: shortText,
    name: shortText,
  }),
  ({ scope, queue, name: part }) => {
    if ((scope === "resource") !== (queue === "")) return "a queue with every scope but resource";
    if (queue.includes("\n")) return "the name of a queue, without a line break";
    if (scope === "group") return undefined;
    const isNamed = scope === "key" || scope === "resource";
    return isNamed === (part !== "") ? undefined : "a name with the scopes key and resource";
  },
);

const units = integer(1, bounds.unitsMax);

const rate: Shape<Rate> = checked(
  members<Rate>({
    kind: word({ token: true, sliding: true, leaky: true }),
    count: units,
    windowMs: integer(1, bounds.rateWindowMsMax),
    burst: optional(units),
  }),
  ({ kind, burst }) =>
    burst === undefined || kind === "token" ? undefined : `a rate of kind ${kind} without burst`,
);

const limitValues: Shape<LimitValues> = members<LimitValues>({
  concurrency: optional(units),
  rate: optional(rate),
  weight: optional(integer(1, bounds.weightMax)),
  backlog: optional(integer(1, bounds.backlogMax)),
});

const retention: Shape<Retention> = members<Retention>({
  doneMs: duration,
  doneMax: count,
  deadMs: duration,
  deadMax: count,
});

const timetable: Shape<Timetable> = variants<Timetable>({
  cron: { expression: key, zone: key },
  // With a start soon after 1970 the anchor lies before.
  every: { everyMs: leaseMs, anchorMs: integer(-bounds.durationMsMax, bounds.timeMsMax) },
});

const scheduleSpec: Shape<ScheduleSpec> = members<ScheduleSpec>({
  timetable,
  job: newJob,
  written: json,
  overlap: word({ allow: true, skip: true, buffer: true, cancel: true }),
  catchUp: word({ none: true, latest: true, all: true }),
  catchUpMs: duration,
  jitterMs: duration,
  startMs: time,
  endMs: time,
  maxRuns: count,
});

const webhookSpec: Shape<WebhookSpec> = members<WebhookSpec>({
  url: targetUrl,
  events: list(name, 1, bounds.listMax),
  queues: list(name, 0, bounds.listMax),
  tags: optional(map(shortText, shortText, bounds.listMax)),
  enabled: flag,
  retryLimit: steps,
});

const sendResult: Shape<SettleDeliveries["results"][number]> = members<
  SettleDeliveries["results"][number]
>({
  number: seq,
  attempts: count,
  status: integer(0, 999),
  error: optional(shortText),
  durationMs: duration,
  retryAfterMs: optional(duration),
});

const incomingSpec: Shape<IncomingSpec> = members<IncomingSpec>({
  scheme: word({ none: true, github: true, stripe: true, standard: true, corvo: true }),
  secret: shortText,
  toleranceMs: duration,
  idHeader: optional(shortText),
  tagHeaders: list(name, 0, bounds.listMax),
});

const subscriptionSpec: Shape<SubscriptionSpec> = members<SubscriptionSpec>({
  url: targetUrl,
  secret: shortText,
  queues: list(name, 1, bounds.listMax),
  mode: word({ fanout: true, group: true, hash: true }),
  group: shortText,
  minIntervalMs: duration,
  ttlMs: leaseMs,
});

/** What an action needs besides the jobs that it is of. */
function actionRule({
  action,
  queue,
  priority: to,
}: Pick<ManageJobs, "action" | "queue" | "priority">): string | undefined {
  if (action === "move" && queue === undefined) return "a queue with the action move";
  if (action === "changePriority" && to === undefined) {
    return "a priority with the action changePriority";
  }
  return undefined;
}

const kinds: Shape<Change> = variants<Change>({
  enqueue: {
    jobs: list(newJob, 0, bounds.listMax),
    batch: optional(newBatch),
    shard: optional(shard),
    across: optional(yes),
    partOf: optional(key),
    idempotency: optional(members({ key, fingerprint: longText })),
  },
  claim: {
    queues: list(name, 1, bounds.listMax),
    count: steps,
    leaseMs,
    workerId: optional(shortText),
    hostname: optional(shortText),
    labels: optional(labels),
  },
  ack: { items: list(ackItem, 0, bounds.listMax) },
  fail: { items: list(failItem, 0, bounds.listMax) },
  release: { items: list(releaseItem, 0, bounds.listMax) },
  snooze: { items: list(snoozeItem, 0, bounds.listMax) },
  heartbeat: { items: list(heartbeatItem, 0, bounds.listMax) },
  manage: {
    action: manageAction,
    seqs,
    queue: optional(name),
    priority: optional(priority),
    reason: optional(longText),
  },
  pauseQueue: { queue: name, paused: flag },
  drainQueue: { queue: name, draining: flag },
  setQueueDefaults: {
    queue: name,
    across: optional(yes),
    defaults: optional(queueDefaults),
    written: optional(json),
  },
  setQueueBytes: { queue: name, maxBytes: optional(count), keepBytes: optional(count) },
  trimQueue: { queue: name, seqs },
  startRedrive: {
    queue: name,
    filter,
    toQueue: optional(name),
    perSecond: optional(steps),
    total: count,
    totalExact: flag,
  },
  stepRedrive: { queue: name, id: count, afterSeq: seq, seqs, isLast: flag },
  cancelRedrive: { queue: name },
  startBulk: {
    id: shortText,
    action: manageAction,
    queue: optional(name),
    priority: optional(priority),
    reason: optional(longText),
    filter: optional(filter),
    seqs: optional(seqs),
    total: count,
    totalExact: flag,
  },
  stepBulk: { id: shortText, number: count, afterSeq: seq, seqs, isLast: flag },
  restoreJobs: { jobs: list(restoredJob, 0, bounds.listMax) },
  endBulk: { id: shortText, number: optional(count), error: optional(longText) },
  clearQueue: { queue: name, limit: steps },
  deleteQueue: { queue: name },
  setLimit: {
    target,
    values: limitValues,
    only: optional(word({ concurrency: true, rate: true })),
  },
  removeLimit: { target },
  pauseLimit: { target, pauseMs: duration },
  advanceTime: { limit: steps },
  configure: { retention },
  admitMember: {
    uuid: shortText,
    httpUrl: shortText,
    peerAddress: shortText,
    version: shortText,
  },
  forgetMember: { id: count },
  orderWorker: { workerId: key, order: optional(word({ quiet: true, stop: true })) },
  setStandby: { id: count, standby: flag },
  setSchedule: { name, across: optional(yes), spec: scheduleSpec },
  deleteSchedule: { name },
  pauseSchedule: { name, paused: flag },
  runSchedule: { name },
  planSchedule: {
    name,
    version: count,
    afterMs: time,
    dueMs: checked(list(time, 0, bounds.listMax), (due) =>
      isGrowing(due) ? undefined : "times in growing order",
    ),
    ends: flag,
    missed: count,
    missedToMs: time,
  },
  sealBatch: { batch: seq },
  cancelBatch: { batch: seq, reason: optional(longText) },
  deliver: {
    from: shard,
    first: integer(1, Number.MAX_SAFE_INTEGER),
    mails: list(mail, 1, bounds.listMax),
  },
  forgetMail: { to: shard, through: count },
  reunite: {},
  setWebhook: { id: name, spec: webhookSpec, secret: optional(shortText) },
  controlWebhook: { id: name, action: word({ pause: true, enable: true, delete: true }) },
  testWebhook: { id: name },
  settleDeliveries: { results: list(sendResult, 0, bounds.listMax) },
  redeliver: { webhook: name, number: seq },
  setIncoming: { queue: name, spec: optional(incomingSpec) },
  setSubscription: { id: name, spec: subscriptionSpec },
  renewSubscription: { id: name, ttlMs: optional(leaseMs) },
  removeSubscription: { id: name },
  raiseFeatureLevel: { level: count },
});

const change = checked(kinds, (value) =>
  value.kind === "manage" || value.kind === "startBulk" ? actionRule(value) : undefined,
);

/** Throws VALIDATION_ERROR when the change is not one that may reach the log. */
export function refuseIllFormed(value: Change): void {
  const problem = change(value);
  if (problem === undefined) return;
  const { path, wanted } = problem;
  const where = path === "" ? "" : ` ${path}:`;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `change "${String(value?.kind)}":${where} expected ${wanted}, got ${shown(problem.value)}; nothing was done`,
    { details: { path } },
  );
}
