/**
 * What a cluster of mixed versions may do. Each level is a set of changes that came together; a program knows all levels
 * up to its newest. The cluster's level is replicated (`meta.featureLevel`) and only rises, by an entry, once the versions
 * in the member records say that every node knows the next one. Until then a change of a higher level is refused before
 * it reaches the log, and every entry is written so that the oldest program can read it.
 *
 * A member's level follows from its version, which programs of level 1 store as it comes: so the records are the same on
 * all replicas, whatever program applied them.
 *
 * To add a kind of change, a member of one, or a job option, give it its level below; the compiler asks for it. What
 * comes after a release that knows level N belongs to level N+1, with a row of its own in `featureLevels`.
 */
import { isPacked } from "../base/stored-value.ts";
import type {
  AckItem,
  Change,
  FailItem,
  HeartbeatItem,
  ManageAction,
  NewJob,
  ReleaseItem,
  Retention,
} from "./change.ts";
import type { Lane } from "./limits/lane.ts";
import type { JobOptions } from "./options.ts";
import type { JobFilter } from "./query.ts";

/** The first version of the program that knows the level; in the order of the levels, from 1. */
export const featureLevels = [
  { level: 1, version: "0.4.0" },
  { level: 2, version: "0.5.0" },
  { level: 3, version: "0.6.0" },
] as const;

export const newestFeatureLevel: number = featureLevels.length;

/** From here on shards write to each other. */
export const mailLevel = 3;

/** From here on the parent of a new job must exist. */
export const parentsLevel = 2;

/** From here on payloads and results may have other forms than JSON text (`base/stored-value.ts`). */
export const packedLevel = 3;

/** From here on nothing makes a schedule add more jobs than it may. */
export const maxRunsLevel = 3;

/** From here on a schedule that is set once more to the same times keeps what has come due. */
export const sameTimesLevel = 3;

/** From here on a job that begins to wait for one that has ended is told so alone, not all that wait for that once more. */
export const toldAloneLevel = 3;

/** From here on a claim looks at no more than so many jobs whose time is over. */
export const boundedClaimsLevel = 3;

/** From here on the removal of finished jobs is as many steps as it is work. */
export const removalStepsLevel = 3;

/** From here on life-cycle events are counted. */
export const eventsLevel = 3;

type Levels<T> = { readonly [Key in keyof Required<T>]: number };
type ChangeOf<Kind> = Extract<Change, { readonly kind: Kind }>;

/** A kind of change: its own level, and that of each of its members. */
const changes: {
  readonly [Kind in Change["kind"]]: {
    readonly level: number;
    readonly members: Levels<Omit<ChangeOf<Kind>, "kind">>;
  };
} = {
  enqueue: {
    level: 1,
    members: { jobs: 1, batch: 2, shard: 2, across: 3, partOf: 3, idempotency: 1 },
  },
  claim: {
    level: 1,
    members: { queues: 1, count: 1, leaseMs: 1, workerId: 1, hostname: 1, labels: 3 },
  },
  ack: { level: 1, members: { items: 1 } },
  fail: { level: 1, members: { items: 1 } },
  release: { level: 1, members: { items: 1 } },
  snooze: { level: 2, members: { items: 2 } },
  heartbeat: { level: 1, members: { items: 1 } },
  manage: { level: 1, members: { action: 1, seqs: 1, queue: 1, priority: 1, reason: 1 } },
  pauseQueue: { level: 1, members: { queue: 1, paused: 1 } },
  drainQueue: { level: 2, members: { queue: 2, draining: 2 } },
  setQueueBytes: { level: 3, members: { queue: 3, maxBytes: 3, keepBytes: 3 } },
  trimQueue: { level: 3, members: { queue: 3, seqs: 3 } },
  setQueueDefaults: { level: 2, members: { queue: 2, across: 3, defaults: 2, written: 2 } },
  startRedrive: {
    level: 2,
    members: { queue: 2, filter: 2, toQueue: 2, perSecond: 2, total: 2, totalExact: 2 },
  },
  stepRedrive: { level: 2, members: { queue: 2, id: 2, afterSeq: 2, seqs: 2, isLast: 2 } },
  cancelRedrive: { level: 2, members: { queue: 2 } },
  startBulk: {
    level: 3,
    members: {
      id: 3,
      action: 3,
      queue: 3,
      priority: 3,
      reason: 3,
      filter: 3,
      seqs: 3,
      total: 3,
      totalExact: 3,
    },
  },
  stepBulk: { level: 3, members: { id: 3, number: 3, afterSeq: 3, seqs: 3, isLast: 3 } },
  restoreJobs: { level: 3, members: { jobs: 3 } },
  endBulk: { level: 3, members: { id: 3, number: 3, error: 3 } },
  clearQueue: { level: 1, members: { queue: 1, limit: 1 } },
  deleteQueue: { level: 1, members: { queue: 1 } },
  setLimit: { level: 2, members: { target: 2, values: 2, only: 2 } },
  removeLimit: { level: 2, members: { target: 2 } },
  pauseLimit: { level: 2, members: { target: 2, pauseMs: 2 } },
  advanceTime: { level: 1, members: { limit: 1 } },
  configure: { level: 1, members: { retention: 1 } },
  admitMember: { level: 1, members: { uuid: 1, httpUrl: 1, peerAddress: 1, version: 1 } },
  forgetMember: { level: 1, members: { id: 1 } },
  orderWorker: { level: 3, members: { workerId: 3, order: 3 } },
  setStandby: { level: 1, members: { id: 1, standby: 1 } },
  setSchedule: { level: 2, members: { name: 2, across: 3, spec: 2 } },
  deleteSchedule: { level: 2, members: { name: 2 } },
  pauseSchedule: { level: 2, members: { name: 2, paused: 2 } },
  runSchedule: { level: 2, members: { name: 2 } },
  planSchedule: {
    level: 2,
    members: {
      name: 2,
      version: 2,
      afterMs: 2,
      dueMs: 2,
      ends: 2,
      missed: 2,
      missedToMs: 2,
    },
  },
  sealBatch: { level: 2, members: { batch: 2 } },
  cancelBatch: { level: 2, members: { batch: 2, reason: 2 } },
  deliver: { level: 3, members: { from: 3, first: 3, mails: 3 } },
  forgetMail: { level: 3, members: { to: 3, through: 3 } },
  reunite: { level: 3, members: {} },
  setWebhook: { level: 3, members: { id: 3, spec: 3, secret: 3 } },
  controlWebhook: { level: 3, members: { id: 3, action: 3 } },
  testWebhook: { level: 3, members: { id: 3 } },
  settleDeliveries: { level: 3, members: { results: 3 } },
  redeliver: { level: 3, members: { webhook: 3, number: 3 } },
  setIncoming: { level: 3, members: { queue: 3, spec: 3 } },
  setSubscription: { level: 3, members: { id: 3, spec: 3 } },
  renewSubscription: { level: 3, members: { id: 3, ttlMs: 3 } },
  removeSubscription: { level: 3, members: { id: 3 } },
  raiseFeatureLevel: { level: 2, members: { level: 2 } },
};

const jobMembers: Levels<NewJob> = {
  queue: 1,
  payload: 1,
  priority: 1,
  delayMs: 1,
  scheduledAtMs: 1,
  expireMs: 1,
  deadlineMs: 2,
  checkpoint: 1,
  options: 1,
};

const jobOptions: Levels<JobOptions> = {
  maxRetries: 1,
  backoff: 1,
  baseDelayMs: 1,
  maxDelayMs: 1,
  jitter: 1,
  jitterMode: 2,
  retryForMs: 2,
  noRetryOn: 2,
  lostLeasesMax: 2,
  snoozesMax: 2,
  deadlineAtMs: 2,
  timeoutMs: 1,
  uniqueKey: 1,
  uniqueMs: 1,
  uniqueScope: 2,
  onConflict: 2,
  debounceMs: 2,
  debounceMaxMs: 2,
  merge: 2,
  tags: 1,
  parentId: 1,
  cascadeCancel: 2,
  batchId: 2,
  dependsOn: 2,
  onDependencyFailure: 2,
  chainId: 2,
  chainStep: 2,
  chain: 2,
  schedule: 2,
  deadQueue: 2,
  deadOf: 2,
  lane: 2,
  callback: 3,
};

const laneMembers: Levels<Lane> = {
  key: 2,
  cost: 2,
  resources: 2,
  fifo: 2,
  group: 2,
  requires: 3,
};

const itemMembers: {
  readonly ack: Levels<AckItem>;
  readonly fail: Levels<FailItem>;
  readonly release: Levels<ReleaseItem>;
  readonly heartbeat: Levels<HeartbeatItem>;
} = {
  ack: { seq: 1, token: 1, exit: 2, result: 1, checkpoint: 1, output: 1 },
  fail: {
    seq: 1,
    token: 1,
    error: 1,
    backtrace: 1,
    retryable: 1,
    delayMs: 3,
    errorClass: 2,
    output: 1,
    pause: 2,
    keepAttempt: 2,
  },
  release: { seq: 1, token: 1, delayMs: 1, pause: 2 },
  heartbeat: { seq: 1, token: 1, leaseMs: 1, progress: 1, checkpoint: 1 },
};

const manageActions: Readonly<Record<ManageAction, number>> = {
  retry: 1,
  requeue: 1,
  cancel: 1,
  delete: 1,
  move: 1,
  hold: 1,
  approve: 1,
  reject: 1,
  changePriority: 1,
};

/** A program that does not know a member of a filter would take the filter for a wider one. */
const filterMembers: Levels<JobFilter> = {
  queue: 2,
  states: 2,
  priority: 2,
  tags: 2,
  payloadContains: 2,
  errorContains: 2,
  createdAfterMs: 2,
  createdBeforeMs: 2,
  scheduledAfterMs: 2,
  scheduledBeforeMs: 2,
  startedAfterMs: 2,
  startedBeforeMs: 2,
  completedAfterMs: 2,
  completedBeforeMs: 2,
  expireAfterMs: 2,
  expireBeforeMs: 2,
  attemptMin: 2,
  attemptMax: 2,
  uniqueKey: 2,
  workerId: 2,
  parentId: 2,
  batchId: 2,
  chainId: 2,
  hasErrors: 2,
  jobIdPrefix: 2,
  errorGroup: 2,
  payloadWhere: 3,
  words: 3,
  any: 3,
  not: 3,
};

const retentionMembers: Levels<Retention> = { doneMs: 1, doneMax: 1, deadMs: 1, deadMax: 1 };

/** The level that a change needs, and the part of it that needs it. */
export interface Need {
  readonly level: number;
  /** Undefined when every program knows all of it. */
  readonly because: string | undefined;
}

/** Only asked while the cluster's level is not the newest: it looks at every member of the change. */
export function needOf(change: Change): Need {
  const { level, members } = changes[change.kind];
  const first: Need = { level, because: level > 1 ? change.kind : undefined };
  const own = higher(first, change, { kind: level, ...members }, change.kind);
  switch (change.kind) {
    case "enqueue": {
      const { onSuccess, onFailure, onComplete } = change.batch ?? {};
      return [...change.jobs, onSuccess, onFailure, onComplete].reduce(needOfJob, own);
    }
    case "setSchedule":
      return needOfJob(own, change.spec.job);
    case "setQueueDefaults":
      return higher(own, change.defaults ?? {}, jobOptions, "job");
    case "ack":
      return change.items.reduce<Need>(
        (need, item) => higherForm(higher(need, item, itemMembers.ack, "ack"), item.result ?? ""),
        own,
      );
    case "fail":
    case "release":
    case "heartbeat": {
      const { kind } = change;
      return change.items.reduce<Need>(
        (need, item) => higher(need, item, itemMembers[kind], kind),
        own,
      );
    }
    case "manage":
      return higher(own, { [change.action]: true }, manageActions, "manage");
    case "startRedrive":
      return higher(own, change.filter, filterMembers, "filter");
    case "configure":
      return higher(own, change.retention, retentionMembers, "retention");
    default:
      return own;
  }
}

/** That of a job with all that is to follow it. */
function needOfJob(need: Need, job: NewJob | "continue" | undefined): Need {
  if (job === undefined || job === "continue") return need;
  const own = higherForm(higher(need, job, jobMembers, "job"), job.payload);
  if (job.options === undefined) return own;
  const { chain, lane } = job.options;
  const options = higher(own, job.options, jobOptions, "job");
  const next = lane === undefined ? options : higher(options, lane, laneMembers, "job");
  return chain === undefined
    ? next
    : [...chain.steps, chain.onFailure, chain.onExit].reduce(needOfJob, next);
}

/** The greater need of the two: the one so far, or that of a member that is there. */
function higher(
  need: Need,
  value: object,
  levels: Readonly<Record<string, number>>,
  what: string,
): Need {
  let most = need;
  for (const [member, given] of Object.entries(value)) {
    if (given === undefined) continue;
    // What has no row is not of any program's making so far: nothing may guess what it means.
    const level = levels[member] ?? Number.POSITIVE_INFINITY;
    if (level > most.level) most = { level, because: `${member} of ${what}` };
  }
  return most;
}

/** Programs before this level take every payload and result for JSON text. */
function higherForm(need: Need, form: string): Need {
  if (need.level >= packedLevel || !isPacked(form)) return need;
  return { level: packedLevel, because: "a payload or result that is not plain JSON" };
}

/** The highest level that programs of this version know. A version that cannot be read counts as the oldest. */
export function levelOfVersion(version: string): number {
  const known = featureLevels.filter((row) => !isOlder(version, row.version));
  return Math.max(1, ...known.map((row) => row.level));
}

/** The first version that knows this level. */
export function versionOfLevel(level: number): string {
  const row = featureLevels.find((candidate) => candidate.level === level);
  return row?.version ?? `later than ${featureLevels.at(-1)?.version}`;
}

/** Compares major, minor and patch; a pre-release counts as its release. */
function isOlder(version: string, than: string): boolean {
  const [one, other] = [numbersOf(version), numbersOf(than)];
  for (let i = 0; i < 3; i++) {
    const difference = (one[i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function numbersOf(version: string): number[] {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  return match === null ? [] : match.slice(1).map(Number);
}

/** An entry that only a later program can read. To go on without it would be to guess, so it ends the node. */
export class EntryTooNew extends Error {
  override name = "EntryTooNew";

  constructor(level: number, version: string) {
    super(
      `the log has an entry of feature level ${level}, which needs corvo ${version} or later; this program knows levels up to ${newestFeatureLevel}. Start this node with that version: its data stays as it is.`,
    );
  }
}
