/**
 * A change of every kind, once with nothing but what it must have, on every level, and once with everything that it may have.
 * The types ask for each kind and, in the full ones, for each member at the first level.
 */
import type {
  AckItem,
  Change,
  FailItem,
  HeartbeatItem,
  NewBatch,
  NewJob,
  ReleaseItem,
  SnoozeItem,
} from "../../src/engine/change.ts";
import type { DeliverMail } from "../../src/engine/mail.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { JobFilter } from "../../src/engine/query.ts";
import type { ScheduleSpec } from "../../src/engine/schedule.ts";

type Kind = Change["kind"];
type ChangeOf<K extends Kind> = Extract<Change, { readonly kind: K }>;
type Options = Omit<JobOptions, "deadlineAtMs" | "chainId" | "chainStep" | "schedule" | "deadOf">;
type Given<T> = { readonly [Key in keyof T]-?: Exclude<T[Key], undefined> };

const leanJob: NewJob = { queue: "q", payload: "{}" };
const at = 1_700_000_000_000;

export const leanChanges: { readonly [K in Kind]: ChangeOf<K> } = {
  enqueue: { kind: "enqueue", jobs: [leanJob] },
  claim: { kind: "claim", queues: ["q"], count: 1, leaseMs: 1000 },
  ack: { kind: "ack", items: [{ seq: 1 }] },
  fail: { kind: "fail", items: [{ seq: 1, error: "e" }] },
  release: { kind: "release", items: [{ seq: 1 }] },
  snooze: { kind: "snooze", items: [{ seq: 1, delayMs: 1 }] },
  heartbeat: { kind: "heartbeat", items: [{ seq: 1 }] },
  manage: { kind: "manage", action: "cancel", seqs: [1] },
  pauseQueue: { kind: "pauseQueue", queue: "q", paused: true },
  drainQueue: { kind: "drainQueue", queue: "q", draining: true },
  setQueueDefaults: { kind: "setQueueDefaults", queue: "q" },
  setQueueBytes: { kind: "setQueueBytes", queue: "q" },
  trimQueue: { kind: "trimQueue", queue: "q", seqs: [1] },
  startRedrive: { kind: "startRedrive", queue: "q", filter: {}, total: 1, totalExact: true },
  stepRedrive: { kind: "stepRedrive", queue: "q", id: 1, afterSeq: 0, seqs: [1], isLast: true },
  cancelRedrive: { kind: "cancelRedrive", queue: "q" },
  startBulk: { kind: "startBulk", id: "b", action: "hold", total: 1, totalExact: true },
  stepBulk: { kind: "stepBulk", id: "b", number: 1, afterSeq: 0, seqs: [1], isLast: true },
  endBulk: { kind: "endBulk", id: "b" },
  restoreJobs: {
    kind: "restoreJobs",
    jobs: [{ createdAtMs: 1, queue: "q", payload: "1", state: "held", priority: 2 }],
  },
  clearQueue: { kind: "clearQueue", queue: "q", limit: 1 },
  deleteQueue: { kind: "deleteQueue", queue: "q" },
  setLimit: {
    kind: "setLimit",
    target: { scope: "queue", queue: "q", name: "" },
    values: { rate: { kind: "leaky", count: 1, windowMs: 1000 } },
  },
  removeLimit: { kind: "removeLimit", target: { scope: "key", queue: "q", name: "k" } },
  pauseLimit: {
    kind: "pauseLimit",
    target: { scope: "resource", queue: "", name: "r" },
    pauseMs: 1,
  },
  advanceTime: { kind: "advanceTime", limit: 1 },
  configure: {
    kind: "configure",
    retention: { doneMs: 1, doneMax: 1, deadMs: 1, deadMax: 1 },
  },
  admitMember: {
    kind: "admitMember",
    uuid: "u",
    httpUrl: "http://h",
    peerAddress: "h:1",
    version: "0.5.0",
  },
  forgetMember: { kind: "forgetMember", id: 1 },
  orderWorker: { kind: "orderWorker", workerId: "w" },
  setStandby: { kind: "setStandby", id: 1, standby: true },
  setSchedule: {
    kind: "setSchedule",
    name: "s",
    spec: {
      timetable: { kind: "every", everyMs: 1000, anchorMs: at },
      job: leanJob,
      written: "{}",
      overlap: "allow",
      catchUp: "latest",
      catchUpMs: 0,
      jitterMs: 0,
      startMs: 0,
      endMs: 0,
      maxRuns: 0,
    },
  },
  deleteSchedule: { kind: "deleteSchedule", name: "s" },
  pauseSchedule: { kind: "pauseSchedule", name: "s", paused: true },
  runSchedule: { kind: "runSchedule", name: "s" },
  planSchedule: {
    kind: "planSchedule",
    name: "s",
    version: 1,
    afterMs: at,
    dueMs: [at + 1, at + 2],
    ends: true,
    missed: 0,
    missedToMs: 0,
  },
  sealBatch: { kind: "sealBatch", batch: 1 },
  cancelBatch: { kind: "cancelBatch", batch: 1 },
  deliver: { kind: "deliver", from: 1, first: 1, mails: [{ kind: "unwatch", id: "job_1" }] },
  forgetMail: { kind: "forgetMail", to: 1, through: 3 },
  reunite: { kind: "reunite" },
  setWebhook: {
    kind: "setWebhook",
    id: "w",
    spec: { url: "http://h/", events: ["*"], queues: [], enabled: true, retryLimit: 1 },
  },
  controlWebhook: { kind: "controlWebhook", id: "w", action: "pause" },
  testWebhook: { kind: "testWebhook", id: "w" },
  settleDeliveries: {
    kind: "settleDeliveries",
    results: [{ number: 1, attempts: 0, status: 200, durationMs: 1 }],
  },
  redeliver: { kind: "redeliver", webhook: "w", number: 1 },
  setIncoming: { kind: "setIncoming", queue: "q" },
  setSubscription: {
    kind: "setSubscription",
    id: "s",
    spec: {
      ...{ url: "https://h/", secret: "", queues: ["q"], mode: "hash", group: "g" },
      ...{ minIntervalMs: 1, ttlMs: 1000 },
    },
  },
  renewSubscription: { kind: "renewSubscription", id: "s" },
  removeSubscription: { kind: "removeSubscription", id: "s" },
  raiseFeatureLevel: { kind: "raiseFeatureLevel", level: 2 },
};

const policy = {
  maxRetries: 3,
  backoff: "linear",
  baseDelayMs: 1,
  maxDelayMs: 2,
  jitter: 0.25,
  jitterMode: "equal",
  retryForMs: 3,
  noRetryOn: ["Fatal"],
  lostLeasesMax: 4,
  snoozesMax: 5,
  timeoutMs: 6,
  deadQueue: "dead",
} as const satisfies Partial<JobOptions>;

const optionsOfFollower = {
  ...policy,
  uniqueKey: "k",
  uniqueMs: 7,
  uniqueScope: "period",
  onConflict: "reject",
  debounceMs: 8,
  debounceMaxMs: 9,
  merge: "append",
  tags: '{"a":"b"}',
  parentId: "$0",
  cascadeCancel: true,
  batchId: "batch_1",
  lane: { key: "k", cost: 2, resources: [["r", 1]], fifo: "f", group: "g", requires: ["a=1"] },
  dependsOn: ["$0"],
  onDependencyFailure: "wait",
  callback: { url: "https://h/", secret: "s", headers: { a: "b" } },
} as const satisfies Partial<JobOptions>;

const fullJob = (options: Partial<JobOptions>): Required<NewJob> => ({
  queue: "q",
  payload: '{"é":1}',
  priority: 9,
  delayMs: 1,
  scheduledAtMs: at,
  expireMs: 2,
  deadlineMs: 3,
  checkpoint: "[]",
  options,
});
const follower = fullJob(optionsOfFollower);
const options: Given<Options> = {
  ...optionsOfFollower,
  chain: { steps: [follower], onFailure: follower, onExit: follower, shard: 1 },
};

const batch: Required<NewBatch> = {
  openMs: 1,
  name: "b",
  onSuccess: follower,
  onFailure: follower,
  onComplete: follower,
  shard: 2,
  parts: 2,
};
const pause = { scope: "resource", name: "r", pauseMs: 1 } as const;
const leased = { seq: 1, token: 2 };
const json = '"x"';
const ack: Required<AckItem> = {
  ...leased,
  exit: "why",
  result: json,
  checkpoint: json,
  output: "o",
};
const fail: Required<FailItem> = {
  ...leased,
  pause,
  keepAttempt: true,
  delayMs: 5,
  error: "e",
  backtrace: "b",
  retryable: false,
  errorClass: "Fatal",
  output: "o",
};
const release: Required<ReleaseItem> = { ...leased, delayMs: 1, pause };
const snooze: Required<SnoozeItem> = { ...leased, delayMs: 1, checkpoint: json };
const heartbeat: Required<HeartbeatItem> = {
  ...leased,
  leaseMs: 1000,
  progress: json,
  checkpoint: json,
};

const filter: Required<JobFilter> = {
  queue: "q",
  states: ["dead"],
  priority: 1,
  tags: { a: "b" },
  payloadContains: "p",
  errorContains: "e",
  createdAfterMs: at,
  createdBeforeMs: at,
  scheduledAfterMs: at,
  scheduledBeforeMs: at,
  startedAfterMs: at,
  startedBeforeMs: at,
  completedAfterMs: at,
  completedBeforeMs: at,
  expireAfterMs: at,
  expireBeforeMs: at,
  attemptMin: 1,
  attemptMax: 2,
  uniqueKey: "k",
  workerId: "w",
  parentId: "p",
  batchId: "b",
  chainId: "c",
  hasErrors: true,
  jobIdPrefix: "job_",
  errorGroup: "g",
  payloadWhere: [{ path: ["a"], operator: "=", value: 1 }],
  words: ["w"],
  any: [[{ queue: "q" }, { not: [{ priority: 1 }] }]],
  not: [{ queue: "r" }],
};
const spec: Required<ScheduleSpec> = {
  ...leanChanges.setSchedule.spec,
  timetable: { kind: "cron", expression: "* * * * *", zone: "UTC" },
  job: fullJob(options),
};

const tally = { total: 1, pending: 1, completed: -1, dead: 0, cancelled: 0 };
const step = { kind: "step", chain: "chn_1", step: 1, batch: "batch_1" } as const;
const mails: DeliverMail["mails"] = [
  { kind: "watch", id: "job_1", at: 1, again: true },
  { kind: "ended", id: "job_1", how: "missing", at: 1, only: true },
  { kind: "follow", id: "job_1", again: true },
  { kind: "unfollow", id: "job_1" },
  { kind: "cancelled", id: "batch_1" },
  {
    kind: "add",
    job: fullJob({
      ...optionsOfFollower,
      chain: options.chain,
      chainId: "chn_1",
      chainStep: 1,
      deadOf: [1, at, 2],
    }),
    errand: step,
  },
  { kind: "added", errand: step, job: [1, at] },
  {
    kind: "added",
    errand: { kind: "callback", batch: "batch_1", slot: "successJob" },
    problem: "no room",
  },
  {
    ...{ kind: "step", chain: "chn_1", step: 1, how: "dead", job: "job_1" },
    ...{ result: json, exit: "", error: "e", reason: "r" },
    ...{ plan: options.chain, parentId: "job_2", cascadeCancel: true, batchId: "batch_1" },
  },
  { kind: "findStep", chain: "chn_1", step: 1, seq: 2 },
  { kind: "reunited" },
  { kind: "join", batch: "batch_1", jobs: [1, 2] },
  { kind: "joined", batch: "batch_1", jobs: [1, 2], refusal: "no" },
  { kind: "partDone", batch: "batch_1" },
  { kind: "count", batch: "batch_1", by: tally },
];

export const fullChanges: { readonly [K in Kind]: Required<ChangeOf<K>> } = {
  ...(leanChanges as { readonly [K in Kind]: Required<ChangeOf<K>> }),
  enqueue: {
    kind: "enqueue",
    jobs: [fullJob(options)],
    batch,
    shard: 3,
    across: true,
    partOf: "batch_1",
    idempotency: { key: "i", fingerprint: "f" },
  },
  claim: { ...leanChanges.claim, workerId: "w", hostname: "h", labels: ["a=1"] },
  ack: { kind: "ack", items: [ack] },
  fail: { kind: "fail", items: [fail] },
  release: { kind: "release", items: [release] },
  snooze: { kind: "snooze", items: [snooze] },
  heartbeat: { kind: "heartbeat", items: [heartbeat] },
  manage: { ...leanChanges.manage, queue: "r", priority: 1, reason: "why" },
  setQueueBytes: { kind: "setQueueBytes", queue: "q", maxBytes: 10, keepBytes: 0 },
  trimQueue: { kind: "trimQueue", queue: "q", seqs: [1, 2] },
  setQueueDefaults: {
    kind: "setQueueDefaults",
    queue: "q",
    across: true,
    defaults: policy,
    written: "{}",
  },
  startBulk: { ...leanChanges.startBulk, filter, seqs: [1], queue: "r", priority: 1, reason: "w" },
  endBulk: { kind: "endBulk", id: "b", number: 1, error: "no" },
  startRedrive: { ...leanChanges.startRedrive, filter, toQueue: "r", perSecond: 1 },
  setLimit: {
    kind: "setLimit",
    target: { scope: "group", queue: "q", name: "g" },
    values: {
      concurrency: 1,
      rate: { kind: "token", count: 1, windowMs: 1, burst: 2 },
      weight: 2,
      backlog: 3,
    },
    only: "rate",
  },
  setSchedule: { kind: "setSchedule", name: "s", across: true, spec },
  deliver: { kind: "deliver", from: 1, first: 1, mails },
  setWebhook: {
    ...leanChanges.setWebhook,
    spec: { ...leanChanges.setWebhook.spec, tags: { a: "b" } },
    secret: "s",
  },
  setIncoming: {
    kind: "setIncoming",
    queue: "q",
    spec: {
      ...{ scheme: "github", secret: "s", toleranceMs: 1, idHeader: "i", tagHeaders: ["t"] },
    },
  },
  renewSubscription: { kind: "renewSubscription", id: "s", ttlMs: 1 },
  settleDeliveries: {
    kind: "settleDeliveries",
    results: [{ number: 1, attempts: 0, status: 503, error: "e", durationMs: 1, retryAfterMs: 2 }],
  },
  orderWorker: { kind: "orderWorker", workerId: "w", order: "quiet" },
  cancelBatch: { kind: "cancelBatch", batch: 1, reason: "why" },
};
