/** Schemas that several operations share. Field names and types are those that 0.3 clients send and read. */
import { type ObjectOptions, type TSchema, Type } from "@sinclair/typebox";
import { requestLimits as limits, queueNamePattern } from "./limits.ts";
import { Json } from "./operation.ts";
import { BlobHash, bytesFacts, ContentType } from "./payload-fields.ts";
import { TargetHeaders, TargetSecret, TargetUrl } from "./targets.ts";

export const jobStates = [
  "pending",
  "scheduled",
  "active",
  "retrying",
  "completed",
  "dead",
  "cancelled",
  "held",
] as const;

/** Named priorities and their numbers; 0 is served first. */
export const priorityNames = { critical: 0, high: 1, normal: 2, low: 3 } as const;

/** A member that may be absent; `null` means the same, since some clients send it. A description is of this member. */
export function Maybe<T extends TSchema>(schema: T, description?: string) {
  const options = description === undefined ? {} : { description };
  return Type.Optional(Type.Union([schema, Type.Null()], options));
}

/** An object with any names up to a length. The plain record of the schema library lets names with a line break past its check. */
export function MapOf<T extends TSchema>(value: T, nameLengthMax: number, options: ObjectOptions) {
  const name = Type.String({ pattern: `^[\\s\\S]{0,${nameLengthMax}}$` });
  return Type.Record(name, value, { additionalProperties: false, ...options });
}

export const QueueName = Type.String({
  description: "Queue name.",
  minLength: 1,
  maxLength: limits.queueNameLengthMax,
  pattern: queueNamePattern,
});
export const JobId = Type.String({ description: "Job id.", maxLength: 64 });
export const BatchId = Type.String({ description: "Batch id.", maxLength: 64 });
export const Time = Type.String({ description: "RFC 3339 time.", maxLength: 64 });
export const Duration = Type.String({
  description: 'Duration such as "250ms", "90s" or "1h30m".',
  maxLength: 64,
});
const Key = (description: string) =>
  Type.String({ description, minLength: 1, maxLength: limits.keyLengthMax });
export const IdempotencyKey = Maybe(
  Type.String({
    description:
      "Repeating the same call with this key within 24 hours changes nothing and gives the first answer.",
    minLength: 1,
    maxLength: limits.keyLengthMax,
  }),
);
export const LeaseToken = Type.String({
  description: "Token of the lease, from the claim. A wrong or old one is refused with LEASE_LOST.",
  maxLength: 64,
});
export const ErrorClass = Type.String({
  description: "Class of the error, such as the name of an exception.",
  minLength: 1,
  maxLength: limits.errorClassLengthMax,
});
export const Tags = MapOf(Type.String({ maxLength: limits.tagLengthMax }), limits.tagLengthMax, {
  description: "Names and values to find the job by.",
  maxProperties: limits.tagCountMax,
});
/** `docs/reference/workers.md` */
export const Labels = MapOf(
  Type.String({ maxLength: limits.labelLengthMax }),
  limits.labelLengthMax,
  {
    description: 'Names and values that tell workers apart, such as {"gpu":"a100"}.',
    maxProperties: limits.labelsMax,
  },
);
const Units = (description: string) =>
  Type.Integer({ description, minimum: 1, maximum: limits.limitUnitsMax });
const Resources = MapOf(Units("Units."), limits.keyLengthMax, {
  description: "Units of named resources that a run holds.",
  maxProperties: limits.resourcesMax,
});
export const State = Type.Union(
  jobStates.map((state) => Type.Literal(state)),
  { description: "State of a job." },
);
export const Priority = Type.Union(
  [
    Type.Integer({ minimum: 0, maximum: 9 }),
    Type.String({ pattern: "^(critical|high|normal|low|[0-9])$" }),
  ],
  { description: "0 (first) to 9, or critical (0), high (1), normal (2), low (3)." },
);

const words = <Word extends string>(description: string, ...all: readonly Word[]) =>
  Type.Union(
    all.map((word) => Type.Literal(word)),
    { description },
  );

/** What becomes of a job when another one with its key is there. `docs/reference/admission.md` says which go together. */
export const uniqueFields = {
  unique_key: Maybe(Key("At most one unfinished job of the queue holds this key.")),
  unique_period: Maybe(
    Type.Integer({
      description: "Seconds the key is held at most.",
      minimum: 1,
      maximum: limits.uniquePeriodSecondsMax,
    }),
  ),
  unique_scope: Maybe(
    words(
      "How long the key is held: until the job starts, until it is done, or for the whole period even after that. Default done.",
      "waiting",
      "done",
      "period",
    ),
  ),
  on_conflict: Maybe(
    words(
      "What happens when the key is held: the holder is the answer, a refusal, the waiting job becomes this one, at most one waits beside a running one, or the holder is cancelled. Default existing.",
      "existing",
      "reject",
      "replace",
      "keep_last",
      "cancel",
    ),
  ),
  debounce: Maybe(
    Duration,
    "Start this long after the last enqueue with the key, with the payload of that one.",
  ),
  debounce_max: Maybe(Duration, "Start at the latest this long after the first enqueue."),
  throttle: Maybe(Duration, "The first job with the key runs, others within this time do not."),
  singleton: Maybe(
    words(
      "One unfinished job with the key at a time: skip the new one, or cancel the old one.",
      "skip",
      "cancel",
    ),
  ),
  merge: Maybe(
    words(
      "Join the payload with that of the job that is replaced: members of objects, or items of arrays.",
      "shallow",
      "append",
    ),
  ),
};

/** What keeps retries from doing harm. */
const retryFields = {
  retry_jitter_mode: Maybe(
    words(
      "additive: delay and up to retry_jitter of it more; full: anywhere up to the delay; equal: anywhere in its second half. Default additive.",
      "additive",
      "full",
      "equal",
    ),
  ),
  retry_for: Maybe(
    Duration,
    "No attempt begins later than this after the first failure. Without max_retries the number of attempts is not limited then.",
  ),
  no_retry_on: Maybe(
    Type.Array(ErrorClass, {
      description: "Classes of errors after which the job is not retried.",
      maxItems: limits.noRetryOnMax,
    }),
  ),
  max_lost_leases: Maybe(
    Type.Integer({
      description:
        "So many leases in a row that end without a word hold the job back. Default never.",
      minimum: 1,
      maximum: limits.retriesMax,
    }),
  ),
  max_snoozes: Maybe(
    Type.Integer({
      description: "How many times workers may put the job off. Default 1000.",
      minimum: 0,
      maximum: limits.retriesMax,
    }),
  ),
};

/** How a job is tried again and what becomes of it when it is dead: what a queue can have as its defaults. */
const policyFields = {
  max_retries: Maybe(
    Type.Integer({
      description: "How many times the job is run in all before it is dead. Default 3.",
      minimum: 0,
      maximum: limits.retriesMax,
    }),
  ),
  retry_backoff: Maybe(
    Type.Union(
      [
        Type.Literal("none"),
        Type.Literal("fixed"),
        Type.Literal("linear"),
        Type.Literal("exponential"),
      ],
      { description: "How the delay grows from one attempt to the next. Default exponential." },
    ),
  ),
  retry_base_delay: Maybe(Duration, "Delay before the second attempt. Default 5s."),
  retry_max_delay: Maybe(Duration, "Longest delay between attempts. Default 10m."),
  retry_jitter: Maybe(
    Type.Number({
      description: "Share of the delay that is added at random, 0 to 1. Default 0.",
      minimum: 0,
      maximum: 1,
    }),
  ),
  ...retryFields,
  timeout: Maybe(Duration, "Longest time of one attempt."),
  dead_queue: Maybe(
    QueueName,
    "When the job is dead, a new job with its payload is added to this queue.",
  ),
};

export const QueueDefaults = Type.Object(policyFields);

/** Who is told how the job ended. */
const callbackFields = {
  callback_url: Maybe(TargetUrl, "When the job has ended, its result is sent to this URL."),
  callback_secret: Maybe(TargetSecret, "Signs what is sent to callback_url."),
  callback_headers: Maybe(TargetHeaders, "Headers that are sent to callback_url."),
};

/** What a job of its own and a step of a chain have in common. */
const stepFields = {
  queue: QueueName,
  payload: Maybe(Json("Any JSON value; comes back byte for byte. Default `{}`.")),
  priority: Maybe(Priority),
  delay: Maybe(Duration, "How long to wait before the job may run."),
  expire_after: Maybe(Duration, "A job that has not started by then is not run any more."),
  deadline: Maybe(
    Duration,
    "From the enqueue to the end, over all attempts; then the job is dead, and an attempt that runs is stopped.",
  ),
  ...policyFields,
  tags: Maybe(Tags),
  limit_key: Maybe(Key("The limits of this key of the queue hold for the job.")),
  limit_cost: Maybe(Units("Units of the rates of queue and key that a run costs. Default 1.")),
  resources: Maybe(Resources),
  fifo_key: Maybe(
    Key("Jobs of the queue with this key run one after the other, in the order of creation."),
  ),
  group: Maybe(Key("Groups of a queue take turns.")),
  ...callbackFields,
  requires: Maybe(
    Labels,
    "Labels that a worker must have, with these values, to be given the job.",
  ),
};

/** A payload that is not JSON. */
const bytesFields = {
  payload_base64: Maybe(
    Type.String(),
    "Instead of payload: bytes in base64, which workers get with their content_type.",
  ),
  payload_blob: Maybe(BlobHash, "Instead of payload: a blob that was uploaded before."),
  content_type: Maybe(ContentType),
};

export const ChainStep = Type.Object(stepFields);

export const Chain = Type.Object(
  {
    steps: Type.Array(ChainStep, { minItems: 2, maxItems: limits.chainStepsMax }),
    on_failure: Maybe(
      Type.Union([ChainStep, Type.Literal("stop"), Type.Literal("continue")], {
        description:
          "Run when a step is dead; or stop (default), or continue with the next step all the same.",
      }),
    ),
    on_exit: Maybe(ChainStep, "Run when the chain ended well, or was ended early by a worker."),
  },
  { description: "Jobs to run one after the other, of which this one is the first." },
);

/** One job to add. To add an option: here, `engine/options.ts`, and `docs/reference/job-options.md`. */
export const NewJob = Type.Object({
  ...stepFields,
  ...bytesFields,
  scheduled_at: Maybe(Time, "When the job may run; instead of a delay."),
  ...uniqueFields,
  checkpoint: Maybe(Json("Initial checkpoint.")),
  parent_id: Maybe(
    JobId,
    "Id of the job that this one belongs to; $0, $1, … are earlier jobs of the same call.",
  ),
  cascade_cancel: Maybe(
    Type.Boolean({ description: "Cancel this job when its parent is cancelled." }),
  ),
  batch_id: Maybe(BatchId, "Id of the open batch that this job joins."),
  depends_on: Maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      description:
        "Ids of jobs that must be completed first; $0, $1, … are earlier jobs of the same call.",
      maxItems: limits.dependsOnMax,
    }),
  ),
  on_dependency_failure: Maybe(
    Type.Union([Type.Literal("fail"), Type.Literal("wait"), Type.Literal("ignore")], {
      description:
        "When one of them ends without success: fail (default) with it, wait for its retry, or ignore it.",
    }),
  ),
  chain: Maybe(Chain),
});

/** What is run when all jobs of a batch have ended. */
export const batchFields = {
  name: Maybe(Type.String({ description: "Shown with the batch.", maxLength: 255 })),
  on_success: Maybe(ChainStep, "Run when all jobs of the batch are completed."),
  on_failure: Maybe(ChainStep, "Run when all have ended and some are not completed."),
  on_complete: Maybe(ChainStep, "Run when all have ended, in whatever way."),
};

export const NewBatch = Type.Object(
  {
    ...batchFields,
    callback_queue: Maybe(QueueName, "Short for on_complete: its queue."),
    callback_payload: Maybe(Json("Payload of the job in callback_queue.")),
    parts: Maybe(
      Type.Integer({
        description:
          "Set by servers: so many more calls bring jobs of the batch, with part_of; it is sealed by the last, or after ten minutes.",
        minimum: 1,
        maximum: limits.enqueueJobsMax,
      }),
    ),
  },
  { description: "Count the jobs of the call together, and run others when all have ended." },
);

export const EnqueueResult = Type.Object({
  job_id: Type.String(),
  status: Type.Union([
    Type.Literal("pending"),
    Type.Literal("scheduled"),
    Type.Literal("held"),
    Type.Literal("duplicate"),
    Type.Literal("replaced"),
  ]),
  unique_existing: Type.Boolean(),
  /** The chain that the job begins. */
  chain_id: Type.Optional(Type.String()),
});

/** The schedule that made a job, and the due time it was made for. */
const ScheduleOrigin = Type.Object({ name: Type.String(), due_at: Type.String() });

export const ClaimedJob = Type.Object({
  job_id: Type.String(),
  queue: Type.String(),
  payload: Json("The payload as it was sent."),
  ...bytesFacts,
  payload_base64: Type.Optional(Type.String()),
  attempt: Type.Integer(),
  max_retries: Type.Integer(),
  /** Seconds, as 0.3 has it. */
  lease_duration: Type.Number(),
  lease_token: Type.String(),
  lease_expires_at: Type.String(),
  timeout_ms: Type.Optional(Type.Integer()),
  deadline_at: Type.Optional(Type.String()),
  /** The dead job of which this is a copy. */
  dead_of: Type.Optional(Type.String()),
  checkpoint: Type.Optional(Json("Last checkpoint.")),
  tags: Type.Optional(Tags),
  priority: Type.Integer(),
  created_at: Type.String(),
  schedule: Type.Optional(ScheduleOrigin),
});

export const Attempt = Type.Object({
  id: Type.String(),
  job_id: Type.String(),
  attempt: Type.Integer(),
  /** Why the attempt ended. */
  outcome: Type.String(),
  error: Type.String(),
  error_class: Type.Optional(Type.String()),
  backtrace: Type.Optional(Type.String()),
  output: Type.Optional(Type.String()),
  worker_id: Type.Optional(Type.String()),
  started_at: Type.Optional(Type.String()),
  created_at: Type.String(),
});

const summaryFields = {
  id: Type.String(),
  queue: Type.String(),
  state: State,
  payload: Json("The payload as it was sent."),
  ...bytesFacts,
  priority: Type.Integer(),
  attempt: Type.Integer(),
  max_retries: Type.Integer(),
  unique_key: Type.Optional(Type.String()),
  worker_id: Type.Optional(Type.String()),
  tags: Type.Optional(Tags),
  parent_id: Type.Optional(Type.String()),
  batch_id: Type.Optional(Type.String()),
  chain_id: Type.Optional(Type.String()),
  /** Place in the chain, from 0; -1 is what follows its end, -2 what follows its failure. */
  chain_step: Type.Optional(Type.Integer()),
  /** Pending, but not to be claimed before the jobs that it depends on have ended. */
  blocked: Type.Optional(Type.Boolean()),
  scheduled_at: Type.Optional(Type.String()),
  created_at: Type.String(),
  started_at: Type.Optional(Type.String()),
  completed_at: Type.Optional(Type.String()),
  failed_at: Type.Optional(Type.String()),
  cancelled_at: Type.Optional(Type.String()),
};

export const JobSummary = Type.Object(summaryFields);

export const Job = Type.Object({
  ...summaryFields,
  retry_backoff: Type.String(),
  retry_base_delay_ms: Type.Integer(),
  retry_max_delay_ms: Type.Integer(),
  retry_jitter: Type.Optional(Type.Number()),
  retry_jitter_mode: Type.Optional(Type.String()),
  retry_for_ms: Type.Optional(Type.Integer()),
  no_retry_on: Type.Optional(Type.Array(Type.String())),
  max_lost_leases: Type.Optional(Type.Integer()),
  max_snoozes: Type.Optional(Type.Integer()),
  /** Times that a worker put the job off. */
  snoozes: Type.Optional(Type.Integer()),
  deadline_at: Type.Optional(Type.String()),
  dead_queue: Type.Optional(Type.String()),
  dead_of: Type.Optional(Type.String()),
  timeout_ms: Type.Optional(Type.Integer()),
  unique_scope: Type.Optional(Type.String()),
  unique_period_ms: Type.Optional(Type.Integer()),
  on_conflict: Type.Optional(Type.String()),
  debounce_ms: Type.Optional(Type.Integer()),
  debounce_max_ms: Type.Optional(Type.Integer()),
  merge: Type.Optional(Type.String()),
  hostname: Type.Optional(Type.String()),
  progress: Type.Optional(Json("Last reported progress.")),
  checkpoint: Type.Optional(Json("Last checkpoint.")),
  payload_base64: Type.Optional(Type.String()),
  result: Type.Optional(Json("Result of the last attempt.")),
  /** What is said of a result that is not JSON; `result` is null then. */
  result_type: Type.Optional(Type.String()),
  result_bytes: Type.Optional(Type.Integer()),
  result_blob: Type.Optional(Type.String()),
  result_base64: Type.Optional(Type.String()),
  limit_key: Type.Optional(Type.String()),
  limit_cost: Type.Optional(Type.Integer()),
  resources: Type.Optional(Type.Record(Type.String(), Type.Integer())),
  fifo_key: Type.Optional(Type.String()),
  group: Type.Optional(Type.String()),
  requires: Type.Optional(Labels),
  lease_expires_at: Type.Optional(Type.String()),
  expire_at: Type.Optional(Type.String()),
  hold_reason: Type.Optional(Type.String()),
  dead_reason: Type.Optional(Type.String()),
  callback_url: Type.Optional(Type.String()),
  /** Queues of the steps that its chain has left after it. */
  chain_next: Type.Optional(Type.Array(Type.String())),
  cascade_cancel: Type.Optional(Type.Boolean()),
  cancel_reason: Type.Optional(Type.String()),
  depends_on: Type.Optional(Type.Array(Type.String())),
  on_dependency_failure: Type.Optional(Type.String()),
  /** Those of `depends_on` that the job waits for still. */
  waits_for: Type.Optional(Type.Array(Type.String())),
  schedule: Type.Optional(ScheduleOrigin),
  /** Attempts that failed, the last 32. */
  errors: Type.Optional(Type.Array(Attempt)),
  /** Attempts of any outcome that left something to show (output, error). */
  attempts: Type.Optional(Type.Array(Attempt)),
});

/** Answer of one item in a batch call: `ok`, or the code and text of what was wrong with it. */
export const ItemResult = Type.Object({
  job_id: Type.String(),
  status: Type.String(),
  code: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
});

export const Status = Type.Object({ status: Type.String() });
