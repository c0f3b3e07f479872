/** Bounds of the state machine. They are part of its behaviour: every replica must use the same. */
export const engineLimits = {
  /** Queues that exist at once. */
  queuesMax: 100_000,
  /** Limits that are set at once. */
  limitsMax: 100_000,
  /** Bulk actions that run at once, and that are known; those that are over are forgotten after this time. */
  bulksRunningMax: 64,
  bulksKeptMax: 1000,
  bulkKeptMs: 7 * 86_400_000,
  /** Queues, keys and resources that are paused, or have spent of a rate and are not back at rest. */
  limitStatesMax: 1_000_000,
  /** Different sets of requirements among the unfinished jobs of a queue. */
  requirementSetsMax: 64,
  /** Workers that are asked to be quiet or to stop, and how long an order to stop is remembered at least. */
  workerOrdersMax: 10_000,
  stopOrderMs: 600_000,
  /** Nodes of a cluster, voters and learners. */
  membersMax: 31,
  /** Attempt records kept with a job; the oldest go first. */
  attemptsKeptMax: 32,
  /** Blobs that jobs use at once, and how often in all: a payload or result is one use. */
  blobsMax: 100_000,
  blobUsesMax: 1_000_000,
  /** How long an idempotency key is remembered, and how many at once. */
  idempotencyMs: 24 * 3_600_000,
  idempotencyKeysMax: 250_000,
  /** Unique keys that are held for a period, and jobs that wait for their key to be free. */
  keyHoldsMax: 250_000,
  followUpsMax: 250_000,
  /** Characters of a payload that was put together from several. */
  mergedPayloadCharsMax: 256 * 1024,
  /** What changes cause for other jobs is done in steps of one job; so many per batch, and one for each job that a change ended. */
  aftermathStepsMax: 1000,
  /** Jobs whose time to live is over that one claim sends to dead on its way; what is left of them time does, or the next claim. */
  expiredPerClaimMax: 1000,
  /** Chains that run at once. */
  chainsMax: 1_000_000,
  /** Batches that are open or running, and their unfinished jobs together with children that are cancelled with their parents. */
  batchesMax: 100_000,
  tiesMax: 2_000_000,
  /** Chains and batches that are over and are remembered; the oldest are forgotten first. */
  groupsKeptMax: 100_000,
  /** Open dependencies over all jobs. */
  dependenciesMax: 1_000_000,
  /** Messages to other shards that wait; while there are so many, no job with relations to other shards is added. */
  mailMax: 100_000,
  /** How long a batch waits for the jobs of its own call that other shards add. */
  partsMs: 600_000,
  schedulesMax: 100_000,
  webhooksMax: 500,
  subscriptionsMax: 10_000,
  /** Queues with settings for calls from outside. */
  incomingMax: 10_000,
  /** Deliveries that wait, over all webhooks and for one of them; one that has more is disabled. */
  deliveriesWaitingMax: 200_000,
  webhookWaitingMax: 50_000,
  /** Unfinished jobs with a callback, and results that wait to be sent. */
  callbacksMax: 250_000,
  /** Times that a result is sent before it is given up, about fourteen hours. */
  callbackTries: 12,
  /** Characters of data in all deliveries; beyond it they are sent without. */
  deliveryDataCharsMax: 64 * 1024 * 1024,
  /** Deliveries that ended and are kept, of each webhook and of all callbacks. */
  deliveriesKeptMax: 200,
  callbacksKeptMax: 2000,
  /** So many failures in a row over at least this time disable a webhook. */
  webhookFailuresMax: 20,
  webhookFailingMs: 6 * 3_600_000,
  /** Entries kept of each schedule's history. */
  scheduleHistoryMax: 20,
  /** Unfinished jobs that a schedule knows of; the oldest are forgotten first. */
  scheduleLiveMax: 100,
  /** Finished jobs are counted, and later removed, in groups of at least this age span and at most this size. */
  bucketMsMin: 1000,
  bucketMsMax: 3_600_000,
  bucketJobsMax: 250_000,
} as const;

/** Bounds of a filter of jobs: filters within filters, what one of them lists, and names in a path of a payload. */
export const filterLimits = { depthMax: 6, partsMax: 100, pathMax: 32 } as const;

/** The widest values that a change may hold: what the engine's structures and whole-number arithmetic are made for. */
export const changeLimits = {
  /** Characters of names and keys, of texts to show or to find jobs by, and of everything else. */
  nameCharsMax: 1024,
  shortCharsMax: 8192,
  textCharsMax: 2 ** 28,
  /** Items of a list: jobs of a call, items of a report, steps of a chain. */
  listMax: 100_000,
  /** A thousand years; and the last time that a date can have. */
  durationMsMax: 1000 * 366 * 86_400_000,
  timeMsMax: 8.64e15,
  priorityMax: 9,
  shardMax: 4095,
  /** What is spent of a rate, a full bucket and one job, times its window stays exact: 2 * 10^6 * 2.6 * 10^9 is below 2^53. */
  unitsMax: 1_000_000,
  rateWindowMsMax: 30 * 86_400_000,
  weightMax: 1000,
  backlogMax: 1_000_000_000,
} as const;
