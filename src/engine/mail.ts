/**
 * What shards tell each other. Each message is written by one shard as part of the change that gives rise to it, and read by
 * another exactly once, in the order of writing (`post.ts`). Jobs, chains and batches are named by their ids, which say where they are.
 */

import type { ChainPlan, JobRef } from "./chains.ts";
import type { NewJob } from "./change.ts";
import type { DependencyEnd } from "./dependencies.ts";

/** Tell the sender when this job ends. `at` comes back with the news, so that it knows whom they concern. */
export interface Watch {
  readonly kind: "watch";
  readonly id: string;
  readonly at: number;
  /** Asked by a job that is run again by hand: an end that has come already does not matter, whatever it was. */
  readonly again?: true;
}

export interface Unwatch {
  readonly kind: "unwatch";
  readonly id: string;
}

/** A watched job ended. Concerns those who waited for it at `at` or before. */
export interface Ended {
  readonly kind: "ended";
  readonly id: string;
  readonly how: DependencyEnd;
  readonly at: number;
  /** Concerns the one who waited at `at` exactly. */
  readonly only?: true;
}

/** Tell the sender when this job or batch is cancelled: it has jobs that are cancelled with it. */
export interface Follow {
  readonly kind: "follow";
  readonly id: string;
  /** For a job that is run again by hand: that it was cancelled before does not matter. */
  readonly again?: true;
}

export interface Unfollow {
  readonly kind: "unfollow";
  readonly id: string;
}

/** A job or batch was cancelled: what the receiver has that goes with it is cancelled as well. */
export interface Cancelled {
  readonly kind: "cancelled";
  readonly id: string;
}

/** For what a job is added in another shard. */
export type Errand =
  | {
      readonly kind: "step";
      readonly chain: string;
      readonly step: number;
      /** The batch in which it is counted already. */
      readonly batch?: string;
    }
  | {
      readonly kind: "callback";
      readonly batch: string;
      readonly slot: "successJob" | "failureJob" | "completeJob";
    };

/** Add this job. Whose errand it is hears which one it became. */
export interface Add {
  readonly kind: "add";
  readonly job: NewJob;
  readonly errand?: Errand;
}

export interface Added {
  readonly kind: "added";
  readonly errand: Errand;
  /** One of the two. */
  readonly job?: JobRef;
  /** Why there is none. */
  readonly problem?: string;
}

/** What became of a step, for the shard that has its chain. */
export interface StepMoved {
  readonly kind: "step";
  readonly chain: string;
  readonly step: number;
  readonly how: "completed" | "dead" | "cancelled" | "runsAgain";
  readonly job: string;
  /** What is left after it, and to whom it belongs: of one that is completed or dead. */
  readonly plan?: ChainPlan;
  readonly parentId?: string;
  readonly cascadeCancel?: true;
  readonly batchId?: string;
  readonly result?: string;
  /** The worker ended the chain, for this reason. */
  readonly exit?: string;
  readonly error?: string;
  readonly reason?: string;
}

/** What has become of the job of this number, which is a step of the chain? Silence means that it has not ended. */
export interface FindStep {
  readonly kind: "findStep";
  readonly chain: string;
  readonly step: number;
  readonly seq: number;
}

/** New jobs of the sender, by their numbers, want to be counted in a batch. They run when they are. */
export interface Join {
  readonly kind: "join";
  readonly batch: string;
  readonly jobs: readonly number[];
}

export interface Joined {
  readonly kind: "joined";
  readonly batch: string;
  readonly jobs: readonly number[];
  /** Why they are not. */
  readonly refusal?: string;
}

/** All jobs that the sender has of the call which made the batch have asked to be counted. */
export interface PartDone {
  readonly kind: "partDone";
  readonly batch: string;
}

export type Tally = Readonly<
  Record<"total" | "pending" | "completed" | "dead" | "cancelled", number>
>;

/** By how much the counts of a batch change. Of a step, it goes to the shard of the chain, which passes it on. */
export interface Count {
  readonly kind: "count";
  readonly batch: string;
  readonly by: Tally;
}

/** All that the sender had to say anew (`reunion.ts`) came before this. */
export interface Reunited {
  readonly kind: "reunited";
}

/** The states of the shards are not of one moment. */
export interface Reunite {
  readonly kind: "reunite";
}

export type MailChange = DeliverMail | ForgetMail | Reunite;

export type Mail =
  | Watch
  | Unwatch
  | Ended
  | Follow
  | Unfollow
  | Cancelled
  | Add
  | Added
  | StepMoved
  | FindStep
  | Reunited
  | Join
  | Joined
  | PartDone
  | Count;

/** Messages of another shard, numbered without a gap (`post.ts`). */
export interface DeliverMail {
  readonly kind: "deliver";
  readonly from: number;
  /** Number of the first. */
  readonly first: number;
  readonly mails: readonly Mail[];
}

/** Another shard has taken the messages to it up to this number. */
export interface ForgetMail {
  readonly kind: "forgetMail";
  readonly to: number;
  readonly through: number;
}

/** A job as a message can carry it: of the options that were given without a value nothing is left. */
export function sendable(job: NewJob): NewJob {
  const { options, ...rest } = job;
  if (options === undefined) return job;
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...rest, options: Object.fromEntries(given) };
}

/** How much room a message takes in a change, approximately. */
export function sizeOfMail(mail: Mail): number {
  switch (mail.kind) {
    case "add":
      return 256 + JSON.stringify(mail.job).length;
    case "step":
      return 256 + (mail.result?.length ?? 0) + (mail.error?.length ?? 0) + sizeOfPlan(mail.plan);
    case "join":
    case "joined":
      return 128 + mail.jobs.length * 12;
    default:
      return 160;
  }
}

function sizeOfPlan(plan: ChainPlan | undefined): number {
  return plan === undefined ? 0 : JSON.stringify(plan).length;
}

/** Steps that a message asks for at once. */
export function stepsOfMail(mail: Mail): number {
  return mail.kind === "join" || mail.kind === "joined" ? mail.jobs.length : 1;
}
