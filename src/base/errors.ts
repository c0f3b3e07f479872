/**
 * The one list of everything that can go wrong in a way a caller can react to.
 * A code is never renamed or reused: clients branch on it. `status` is the HTTP answer, `exit` the exit code of the
 * command line, `retryable` says whether the same call may simply be sent again, `hint` what to do next.
 */

interface ErrorEntry {
  readonly status: number;
  readonly exit: number;
  readonly retryable: boolean;
  readonly hint: string;
}

/** Exit codes of the command line, one meaning each. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  forbidden: 4,
  conflict: 5,
  unavailable: 6,
  partial: 7,
  bug: 70,
  interrupted: 130,
} as const;

const wrongState = (hint: string): ErrorEntry => ({
  status: 400,
  exit: exitCodes.conflict,
  retryable: false,
  hint,
});

export const errorTable = {
  PARSE_ERROR: {
    status: 400,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Send one well-formed JSON document in UTF-8.",
  },
  VALIDATION_ERROR: {
    status: 400,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Correct the field that the message names.",
  },
  ACK_ERROR: wrongState("Only an active job can be acked; look at its state."),
  FAIL_ERROR: wrongState("Only an active job can be failed; look at its state."),
  RELEASE_ERROR: wrongState("Only an active job can be released; look at its state."),
  SNOOZE_ERROR: wrongState(
    "Only an active job can be snoozed, and max_snoozes times in all; ack or fail it.",
  ),
  RETRY_ERROR: wrongState(
    "Only dead, cancelled, completed, scheduled or retrying jobs can be retried.",
  ),
  CANCEL_ERROR: wrongState(
    "Only pending, scheduled, retrying, held or active jobs can be cancelled.",
  ),
  MOVE_ERROR: wrongState("An active job cannot be moved; wait until its attempt ends."),
  HOLD_ERROR: wrongState("Only pending, scheduled, retrying or active jobs can be held."),
  APPROVE_ERROR: wrongState("Only held jobs can be approved."),
  REJECT_ERROR: wrongState("Only held jobs can be rejected."),
  BULK_ERROR: wrongState("Correct the action or its filter."),
  BATCH_ERROR: wrongState("Look at the batch with `corvo batch status`."),
  PARENT_ERROR: wrongState("The parent is not to be worked for any more; stop."),
  QUEUE_ERROR: wrongState("Look at the queue with `corvo queue get`."),
  QUEUE_DRAINING: {
    status: 409,
    exit: exitCodes.conflict,
    retryable: false,
    hint: "Send the job to another queue, or let this one take jobs again with `corvo queue undrain`.",
  },
  LEASE_LOST: {
    status: 409,
    exit: exitCodes.conflict,
    retryable: false,
    hint: "The lease of this attempt is over; stop working on the job.",
  },
  LEASE_TOKEN_REQUIRED: {
    status: 400,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Send the lease_token that the claim returned (the server runs with --require-lease-token).",
  },
  CONFLICT: {
    status: 409,
    exit: exitCodes.conflict,
    retryable: false,
    hint: "Use another key, or repeat exactly the first call.",
  },
  NOT_FOUND: {
    status: 404,
    exit: exitCodes.notFound,
    retryable: false,
    hint: "Check the name or id that the message shows.",
  },
  EVENTS_GONE: {
    status: 410,
    exit: exitCodes.notFound,
    retryable: false,
    hint: "Go on with the oldest event that is kept (after_seq=0), and look at the jobs for what was missed.",
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Keep large data elsewhere and send a reference, or raise the limit that the message names.",
  },
  BLOB_NOT_FOUND: {
    status: 404,
    exit: exitCodes.notFound,
    retryable: false,
    hint: "Upload it with POST /api/v1/blobs and use the hash of the answer.",
  },
  QUEUE_FULL_BYTES: {
    status: 507,
    exit: exitCodes.unavailable,
    retryable: true,
    hint: "Send it again when workers have made room, or raise the bound with `corvo queue bytes`.",
  },
  DISK_BUDGET: {
    status: 507,
    exit: exitCodes.unavailable,
    retryable: true,
    hint: "Nothing has to be started again once there is room: delete jobs, shorten the retention, or give the node more disk.",
  },
  LIMIT_EXCEEDED: {
    status: 400,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Stay within the limit that the message names.",
  },
  OVERLOADED: {
    status: 429,
    exit: exitCodes.unavailable,
    retryable: true,
    hint: "Send the same call again after the time in Retry-After.",
  },
  READ_ONLY: {
    status: 503,
    exit: exitCodes.unavailable,
    retryable: true,
    hint: "The disk is full; free space on the server's data directory.",
  },
  UNAVAILABLE: {
    status: 503,
    exit: exitCodes.unavailable,
    retryable: true,
    hint: "The call was not accepted; send it again.",
  },
  OUTCOME_UNKNOWN: {
    status: 503,
    exit: exitCodes.unavailable,
    retryable: false,
    hint: "The call may or may not have been carried out; repeat it with the same idempotency key.",
  },
  SEARCH_ERROR: {
    status: 400,
    exit: exitCodes.usage,
    retryable: false,
    hint: "Correct the part of the filter that the message names.",
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    exit: exitCodes.usage,
    retryable: false,
    hint: "See /openapi.json for the methods of this path.",
  },
  UNSUPPORTED: {
    status: 422,
    exit: exitCodes.failed,
    retryable: false,
    hint: "Leave out what the message names.",
  },
  UNAUTHORIZED: {
    status: 401,
    exit: exitCodes.forbidden,
    retryable: false,
    hint: "Send a valid key with --api-key or CORVO_API_KEY.",
  },
  INTERNAL_ERROR: {
    status: 500,
    exit: exitCodes.failed,
    retryable: false,
    hint: "This is a fault in the server; its log has the details.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

interface CorvoErrorOptions {
  readonly details?: unknown;
  readonly hint?: string;
  readonly retryAfterMs?: number;
  /** Where it is otherwise than for the code in general. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** A failure with a code from the table. The message says what happened and names the value seen. */
export class CorvoError extends Error {
  override name = "CorvoError";
  readonly code: ErrorCode;
  readonly details: unknown;
  readonly hint: string;
  readonly retryAfterMs: number | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: CorvoErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
    this.hint = options.hint ?? errorTable[code].hint;
    this.retryAfterMs = options.retryAfterMs;
    this.retryable = options.retryable ?? errorTable[code].retryable;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}
