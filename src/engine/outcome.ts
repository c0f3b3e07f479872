/** What `apply` answers, one kind per change. Rejections are data: they happen on every replica alike. */
import type { ErrorCode } from "../base/errors.ts";
import type { JobRef } from "./chains.ts";
import type { Job, JobState } from "./job.ts";

export interface Rejection {
  readonly kind: "rejected";
  readonly code: ErrorCode;
  readonly message: string;
}

export type EnqueueResult =
  | {
      /** `duplicate`: nothing was added; `replaced`: a waiting job became this one. */
      readonly kind: "added" | "duplicate" | "replaced";
      readonly seq: number;
      readonly createdAtMs: number;
      readonly state: JobState;
    }
  | Rejection;

/** What became of one job. `attempt` and the rest are filled where the change concerns an attempt. */
export type ItemResult =
  | {
      readonly kind: "done";
      readonly state: JobState;
      readonly attempt: number;
      readonly dueAtMs: number;
      readonly attemptsLeft: number;
      readonly leaseExpiresAtMs: number;
      /** The state before the change. */
      readonly from: JobState;
    }
  | Rejection;

export type Outcome =
  | {
      readonly kind: "enqueued";
      readonly results: readonly EnqueueResult[];
      /** The batch that the call began. */
      readonly batch?: JobRef;
    }
  | { readonly kind: "claimed"; readonly jobs: readonly Job[] }
  | { readonly kind: "items"; readonly results: readonly ItemResult[] }
  | { readonly kind: "cleared"; readonly deleted: number; readonly more: boolean }
  | { readonly kind: "advanced"; readonly steps: number; readonly more: boolean }
  | { readonly kind: "member"; readonly id: number }
  | { readonly kind: "delivered"; readonly through: number }
  | { readonly kind: "delivery"; readonly number: number; readonly createdAtMs: number }
  | { readonly kind: "ok" }
  | Rejection;

export function reject(code: ErrorCode, message: string): Rejection {
  return { kind: "rejected", code, message };
}

/** What a batch caused besides its answers; the replica reads it after each batch. */
export interface Effects {
  /** Queues that got a job that may be claimed. */
  readonly readyQueues: Set<string>;
  /** Jobs that reached a final state or were deleted. */
  readonly finished: number[];
  /** Schedules that need more due times. */
  readonly plansWanted: Set<string>;
  /** A queue may keep more bytes of finished jobs than it is to. */
  trimsWanted: boolean;
  /** A blob got its first use, or lost its last. */
  blobsChanged: boolean;
  /** A redrive was begun, has got on or is over. */
  redrivesWanted: boolean;
  /** Messages to or from other shards were written, taken or forgotten. */
  mailMoved: boolean;
  /** Deliveries that are to be sent, later or sooner than was known, or that ended. */
  readonly deliveries: number[];
  /** A webhook was made, changed or removed. */
  webhooksChanged: boolean;
  /** Subscriptions that were made, set anew or removed, or that ended. */
  readonly subscriptionsChanged: string[];
  /** Workers that an operator asked for something. */
  readonly workersOrdered: string[];
  /** Bulk actions that were begun, have got on or are over. */
  readonly bulksChanged: Set<string>;
  /** Leases that ended by something else than their worker. */
  readonly revoked: {
    seq: number;
    createdAtMs: number;
    token: number;
    reason: "cancel" | "lost";
  }[];
}

export function createEffects(): Effects {
  return {
    readyQueues: new Set(),
    finished: [],
    plansWanted: new Set(),
    blobsChanged: false,
    trimsWanted: false,
    redrivesWanted: false,
    mailMoved: false,
    deliveries: [],
    webhooksChanged: false,
    subscriptionsChanged: [],
    workersOrdered: [],
    bulksChanged: new Set(),
    revoked: [],
  };
}
