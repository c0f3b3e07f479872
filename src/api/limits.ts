/** Bounds of requests. Each error that these cause names the bound; `corvo server` has flags for those marked so. */
export const requestLimits = {
  /** Bytes of one request body (flag `--max-body-size`). */
  bodyBytesMax: 16 * 1024 * 1024,
  /** Bytes of one payload, result, checkpoint or progress value (flag `--max-payload-size`). */
  payloadBytesMax: 256 * 1024,
  /** Payloads and results longer than this are kept compressed (flag `--compress-above`). */
  compressAboveBytes: 4096,
  /** Bytes of one blob (flag `--blob-bytes-max`). */
  blobBytesMax: 64 * 1024 * 1024,
  /** Nesting of one JSON document. */
  jsonDepthMax: 128,
  /** Jobs in one enqueue call. */
  enqueueJobsMax: 10_000,
  /** Jobs in one claim, ack, fail, release, snooze or heartbeat call. */
  batchItemsMax: 512,
  /** Queues in one claim. */
  claimQueuesMax: 100,
  /** Characters of a queue name. */
  queueNameLengthMax: 255,
  /** Characters of a unique key, idempotency key, worker id or host name. */
  keyLengthMax: 512,
  /** Tags of one job, and characters of a tag's name and value. */
  tagCountMax: 64,
  tagLengthMax: 256,
  /** Units of a limit, and of what one run needs of it. */
  limitUnitsMax: 1_000_000,
  /** Longest window of a rate. */
  rateWindowMsMax: 30 * 86_400_000,
  /** Resources that one job may name. */
  resourcesMax: 16,
  /** Labels of a worker or required by a job, and characters of a label's name and value. */
  labelsMax: 32,
  labelLengthMax: 128,
  /** Largest weight of a group. */
  groupWeightMax: 1000,
  /** Characters of an error text and of a backtrace; longer ones are cut, with a note. */
  errorLengthMax: 16 * 1024,
  /** Characters of an error's class, and classes of one job that are not retried. */
  errorClassLengthMax: 256,
  /** Dead jobs that a redrive runs again in a second. */
  redriveRateMax: 100_000,
  noRetryOnMax: 64,
  /** Bytes of handler output kept with an attempt; the last ones win. */
  outputBytesMax: 64 * 1024,
  /** Jobs that one job depends on. */
  dependsOnMax: 1000,
  /** Steps of one chain, and bytes of its steps after the first. */
  chainStepsMax: 100,
  chainBytesMax: 1024 * 1024,
  /** How long a batch may be open, and bytes of the jobs that follow its end. */
  batchOpenMsMax: 30 * 86_400_000,
  batchBytesMax: 16 * 1024,
  /** Ids in one bulk-get. */
  bulkGetMax: 1000,
  /** Ids in one bulk action. */
  bulkIdsMax: 100_000,
  /** Jobs, and queues, in one call that restores them. */
  restoreJobsMax: 1000,
  /** Characters of a cursor, which has a part for every shard. */
  cursorLengthMax: 32 * 1024,
  /** Characters of a filter as text. */
  filterTextMax: 4096,
  /** Characters of one filter of events. */
  eventFilterLengthMax: 64 * 1024,
  /** Rows of one page of a list. */
  pageRowsMax: 1000,
  /** Longest long-poll. */
  waitMsMax: 60_000,
  leaseMsMin: 100,
  leaseMsMax: 24 * 3_600_000,
  /** Delays, time-outs and times to live. */
  delayMsMax: 10 * 366 * 86_400_000,
  uniquePeriodSecondsMax: 315_360_000,
  /** Characters of a cron expression. */
  cronLengthMax: 128,
  /** Shortest time between two runs of a schedule. */
  everyMsMin: 1000,
  /** Runs of a schedule in all. */
  scheduleRunsMax: 1_000_000_000,
  retriesMax: 1_000_000,
  /** Characters of a webhook's id, of its secret, of a URL that is called, and of a header of it. */
  webhookIdLengthMax: 64,
  webhookSecretLengthMax: 256,
  targetUrlLengthMax: 2048,
  targetHeaderLengthMax: 512,
  /** Headers that go along with a call. */
  targetHeadersMax: 16,
  /** Types of events, and queues, that one webhook names. */
  webhookFiltersMax: 100,
  /** Headers of a call from outside that become tags, and characters of a header's name. */
  tagHeadersMax: 32,
  incomingHeaderLengthMax: 8192,
  /** How old a signature of a call from outside may be at most. */
  toleranceMsMax: 24 * 3_600_000,
  /** How long a subscription may last, and how often it may be called. */
  subscriptionMsMin: 1000,
  subscriptionMsMax: 24 * 3_600_000,
  wakeIntervalMsMin: 100,
  wakeIntervalMsMax: 3_600_000,
  /** Times that a delivery may be tried. */
  deliveryTriesMax: 100,
} as const;

/**
 * A queue name: letters, digits and `. _ - : / @ +`, starting with a letter or digit. Braces are allowed everywhere: what is
 * between them decides alone in which shard the queue is (`base/placement.ts`).
 */
export const queueNamePattern = "^[A-Za-z0-9{][A-Za-z0-9._:/@+{}-]*$";
