/**
 * One streaming connection. A frame's operations are proposed together, in the order enqueue, ack, fail, release,
 * snooze, heartbeat, so they land in one batch and cost one fsync; its claim is a standing waiter that is given jobs as long as
 * the client has credits.
 *
 * This is the path that must carry the most jobs a second, so answers are built as text, without objects in between.
 */
import type { ClientFrame, StreamService, StreamSession } from "../api/stream.ts";
import { CorvoError } from "../base/errors.ts";
import { quoted } from "../base/json.ts";
import { shardOfQueue } from "../base/placement.ts";
import type {
  AckJobs,
  FailJobs,
  HeartbeatJobs,
  NewJob,
  ReleaseJobs,
  SnoozeJobs,
} from "../engine/change.ts";
import type { Job } from "../engine/job.ts";
import type { EnqueueResult, ItemResult, Outcome } from "../engine/outcome.ts";
import type { Order } from "../engine/worker-orders.ts";
import { type ClaimRequest, Waiter } from "../replica/claims.ts";
import { claimedText } from "./claimed-text.ts";
import { claimRequestOf, giveBack, introductionOf } from "./fetch.ts";
import { blobsOfFrame, ensureBlobs } from "./named-blobs.ts";
import { sizeOf, toNewJob } from "./new-job.ts";
import type { Node, RevokeListener } from "./node.ts";
import { packValues } from "./packed-values.ts";
import { refuseScattered } from "./relations.ts";
import { chainIdOf, enqueueStatus, formatToken } from "./views.ts";
import { enqueueChange, expectedIn } from "./worker-handlers.ts";
import { sizeOfItems, toAck, toFail, toHeartbeat, toRelease, toSnooze } from "./worker-items.ts";
import type { KnownWorker } from "./worker-registry.ts";

export function createStreamService(node: Node): StreamService {
  return {
    open: (push, isPassedOn = false) => {
      const session = new Session(node, push);
      if (isPassedOn) node.notePassedOn(session.onRevoke);
      return session;
    },
  };
}

/** Throws what is wrong with an item of the frame, as far as it can be told without carrying the frame out. */
export function checkFrame(node: Node, frame: ClientFrame): void {
  const { shards } = node.options;
  const shardOf = (queue: string) => shardOfQueue(queue, shards);
  frame.enqueue?.forEach((spec, index) => {
    refuseScattered(toNewJob(spec, { index, shard: shardOf(spec.queue) }), shardOf);
  });
  for (const item of frame.ack ?? []) toAck(node, item);
  for (const item of frame.fail ?? []) toFail(node, item);
  for (const item of frame.release ?? []) toRelease(node, item);
  for (const item of frame.snooze ?? []) toSnooze(node, item);
  for (const item of frame.heartbeat ?? []) toHeartbeat(node, item);
}

class Session implements StreamSession {
  readonly #node: Node;
  readonly #push: (text: string) => boolean;
  #waiter: Waiter | undefined;
  #worker: KnownWorker | undefined;
  #stopOrders: () => void = () => {};
  /** What an operator asks of the worker. */
  #order: Order | undefined;
  #closed = false;
  #mayClaim = true;
  /** The socket's buffer is full: no jobs until it has room. */
  #full = false;

  constructor(node: Node, push: (text: string) => boolean) {
    this.#node = node;
    this.#push = push;
  }

  frame(frame: ClientFrame): Promise<string> {
    const blobs = blobsOfFrame(frame);
    if (blobs === undefined) return this.#carryOut(frame);
    return ensureBlobs(this.#node, blobs).then(
      () => this.#carryOut(frame),
      (error: unknown) => refusal(frame, error),
    );
  }

  #carryOut(frame: ClientFrame): Promise<string> {
    return new Promise((resolve, reject) => {
      const answer = new Answer(frame.id, resolve, reject);
      try {
        const hasBegun = this.#begin(this.#stepsOf(frame), answer);
        // Credits count for nothing where nothing is given out.
        if (hasBegun && frame.claim != null && this.#mayClaim) {
          this.#claim(frame.claim, answer);
        }
      } catch (error) {
        answer.refuse(error);
      }
      answer.release();
    });
  }

  drained(): void {
    this.#full = false;
    this.#stand();
  }

  stopClaiming(): void {
    this.#mayClaim = false;
    if (this.#waiter === undefined) return;
    this.#waiter.takeBack();
    this.#node.claims.remove(this.#waiter);
  }

  close(): void {
    this.#closed = true;
    // A frame that still waits for its blobs is carried out, but nobody is there for jobs.
    this.#mayClaim = false;
    this.#leaveRegistry();
    if (this.#waiter !== undefined) this.#node.claims.remove(this.#waiter);
  }

  /** Begins the steps in order. One that is refused ends it; those before are still answered. */
  #begin(steps: readonly ((answer: Answer) => void)[], answer: Answer): boolean {
    for (const step of steps) {
      answer.expect();
      try {
        step(answer);
      } catch (error) {
        answer.refuse(error);
        answer.release();
        return false;
      }
    }
    return true;
  }

  /** The frame's operations, converted but not begun: a bad item refuses the whole frame before anything happens. */
  #stepsOf(frame: ClientFrame): ((answer: Answer) => void)[] {
    const node = this.#node;
    const steps: ((answer: Answer) => void)[] = [];
    if (frame.enqueue != null && frame.enqueue.length > 0)
      steps.push(this.#enqueueStep(frame.enqueue));
    if (frame.ack != null && frame.ack.length > 0) {
      const items = packValues(
        node.packing,
        frame.ack.map((item) => toAck(node, item)),
      );
      steps.push(this.#itemStep("ack", { kind: "ack", items }, frame.ack, "ok"));
    }
    if (frame.fail != null && frame.fail.length > 0) {
      const items = frame.fail.map((item) => toFail(node, item));
      steps.push(this.#itemStep("fail", { kind: "fail", items }, frame.fail, undefined));
    }
    if (frame.release != null && frame.release.length > 0) {
      const items = frame.release.map((item) => toRelease(node, item));
      steps.push(this.#itemStep("release", { kind: "release", items }, frame.release, undefined));
    }
    if (frame.snooze != null && frame.snooze.length > 0) {
      const items = frame.snooze.map((item) => toSnooze(node, item));
      steps.push(this.#itemStep("snooze", { kind: "snooze", items }, frame.snooze, undefined));
    }
    if (frame.heartbeat != null && frame.heartbeat.length > 0) {
      const items = frame.heartbeat.map((item) => toHeartbeat(node, item));
      steps.push(this.#itemStep("heartbeat", { kind: "heartbeat", items }, frame.heartbeat, "ok"));
    }
    return steps;
  }

  #enqueueStep(specs: NonNullable<ClientFrame["enqueue"]>): (answer: Answer) => void {
    const node = this.#node;
    const { shard } = node.options;
    const jobs = specs.map((spec, index) => toNewJob(spec, { index, shard }));
    let bytes = 64;
    for (const job of jobs) {
      node.refuseJobElsewhere(job);
      bytes += sizeOf(job);
    }
    const expected = expectedIn(jobs);
    const change = enqueueChange(node, jobs);
    return (answer) => {
      node.replica.propose(change, bytes, (outcome, fault) => {
        for (const [queue, count] of expected) node.claims.arrived(queue, count);
        answer.add("enqueue", outcome, fault, (done) =>
          done.kind === "enqueued" ? enqueueTexts(node, jobs, done.results) : "[]",
        );
      });
      for (const [queue, count] of expected) node.claims.expect(queue, count);
    };
  }

  #itemStep(
    name: "ack" | "fail" | "release" | "snooze" | "heartbeat",
    change: AckJobs | FailJobs | ReleaseJobs | SnoozeJobs | HeartbeatJobs,
    sent: readonly { job_id: string }[],
    okStatus: string | undefined,
  ): (answer: Answer) => void {
    const node = this.#node;
    return (answer) => {
      node.replica.propose(change, sizeOfItems(change.items), (outcome, fault) => {
        // After a refusal by the log nothing has ended, and the worker must still hear of a cancellation.
        if (name !== "heartbeat" && outcome?.kind === "items") {
          change.items.forEach((item, i) => {
            // A refused snooze ends nothing either.
            const isOver = name !== "snooze" || outcome.results[i]?.kind === "done";
            if (isOver) node.disownLease(item.token);
          });
        }
        answer.add(name, outcome, fault, (done) =>
          done.kind === "items" ? itemTexts(sent, done.results, okStatus) : "[]",
        );
      });
    };
  }

  /** Credits add up; other queues or another lease replace the standing claim. */
  #claim(claim: NonNullable<ClientFrame["claim"]>, answer: Answer): void {
    const request = claimRequestOf(claim);
    const { claims } = this.#node;
    this.#waiter ??= new Waiter(request, 0, (jobs, fault) => this.#deliver(jobs, fault));
    const waiter = this.#waiter;
    const isSame = isSameRequest(waiter.request, request);
    if (!isSame) claims.change(waiter, request);
    if (this.#worker === undefined || !isSame) this.#introduce(claim);
    else this.#worker.lastSeenMs = this.#node.deps.clock.nowMs();
    waiter.want += claim.credits;
    // Zero credits mean: nothing more for now. That is how a worker stops, so jobs that are being claimed come before the answer:
    // pushed after it, they would find the worker gone and wait for their leases to end.
    if (claim.credits === 0) {
      waiter.takeBack();
      if (waiter.claiming > 0) holdAnswer(waiter, answer);
    }
    if (!this.#stand()) claims.remove(waiter);
  }

  /** Waits for jobs, if any may come now. */
  #stand(): boolean {
    const waiter = this.#waiter;
    if (waiter === undefined || waiter.want <= 0) return false;
    if (this.#full || this.#order !== undefined) return false;
    this.#node.claims.add(waiter);
    return true;
  }

  #introduce(claim: NonNullable<ClientFrame["claim"]>): void {
    const worker = introductionOf(claim);
    this.#leaveRegistry();
    if (worker === undefined) return;
    const { workers } = this.#node;
    this.#worker = workers.introduce(worker);
    this.#worker.streams++;
    this.#stopOrders = workers.onOrder(worker.workerId, (order) => this.#obey(order));
    this.#obey(workers.orderOf(worker.workerId, worker.startedAtMs));
  }

  #leaveRegistry(): void {
    this.#stopOrders();
    if (this.#worker !== undefined) this.#node.workers.disconnected(this.#worker);
    this.#worker = undefined;
  }

  #obey(order: Order | undefined): void {
    if (this.#closed || order === this.#order) return;
    this.#order = order;
    this.#push(`{"order":"${order ?? "work"}"}`);
    if (!this.#stand() && this.#waiter !== undefined) this.#node.claims.remove(this.#waiter);
  }

  #deliver(jobs: readonly Job[], fault: CorvoError | undefined): void {
    const waiter = this.#waiter;
    if (waiter === undefined || this.#closed || !this.#mayClaim) {
      giveBack(this.#node, jobs);
      return;
    }
    // Refused, not lost: the waiter stands on, and is tried again.
    if (fault !== undefined || jobs.length === 0) return;
    if (waiter.want === 0) this.#node.claims.remove(waiter);
    for (const job of jobs) this.#node.ownLease(job.token, this.onRevoke);
    let text = "";
    for (const job of jobs) {
      text += `${text === "" ? "" : ","}${claimedText(this.#node.idOf(job), job)}`;
    }
    if (!this.#push(`{"jobs":[${text}]}`)) {
      this.#full = true;
      this.#node.claims.remove(waiter);
    }
  }

  /** One function for all leases of the connection: one per job would cost more than the entry itself. */
  readonly onRevoke: RevokeListener = (lease) => {
    if (this.#closed) return;
    this.#push(
      `{"revoked":[{"job_id":"${lease.jobId}","lease_token":"${formatToken(lease.token)}","reason":"${lease.reason}"}]}`,
    );
  };
}

function refusal(frame: ClientFrame, error: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const answer = new Answer(frame.id, resolve, reject);
    answer.refuse(error);
    answer.release();
  });
}

function holdAnswer(waiter: Waiter, answer: Answer): void {
  const earlier = waiter.whenClaimed;
  answer.expect();
  waiter.whenClaimed = () => {
    earlier?.();
    answer.release();
  };
}

/** Credits come with every frame of a busy worker, nearly always for the same queues. */
function isSameRequest(one: ClaimRequest, other: ClaimRequest): boolean {
  return (
    one.leaseMs === other.leaseMs &&
    one.workerId === other.workerId &&
    one.hostname === other.hostname &&
    isSameList(one.labels ?? [], other.labels ?? []) &&
    isSameList(one.queues, other.queues)
  );
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, i) => item === other[i]);
}

/** Collects the parts of an answer and sends it when the last has come. */
class Answer {
  readonly #id: number;
  readonly #resolve: (text: string) => void;
  readonly #reject: (fault: unknown) => void;
  #parts = "";
  /** Parts that are still to come, and one for the caller that is still adding. */
  #open = 1;
  #error: CorvoError | undefined;

  constructor(id: number, resolve: (text: string) => void, reject: (fault: unknown) => void) {
    this.#id = id;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  expect(): void {
    this.#open++;
  }

  add(
    name: string,
    outcome: Outcome | undefined,
    fault: CorvoError | undefined,
    write: (outcome: Outcome) => string,
  ): void {
    if (fault !== undefined) this.#error ??= fault;
    else if (outcome?.kind === "rejected") {
      this.#error ??= new CorvoError(outcome.code, outcome.message);
    } else if (outcome !== undefined) this.#parts += `,"${name}":${write(outcome)}`;
    this.release();
  }

  /** Something in the frame was refused: what the answer does not list did not happen. A fault is the connection's to tell. */
  refuse(error: unknown): void {
    if (error instanceof CorvoError) this.#error ??= error;
    else this.#reject(error);
  }

  release(): void {
    this.#open--;
    if (this.#open !== 0) return;
    let text = `{"id":${this.#id}${this.#parts}`;
    const error = this.#error;
    if (error !== undefined) {
      text += `,"error":${JSON.stringify(error.message)},"code":"${error.code}"`;
      if (error.retryAfterMs !== undefined) text += `,"retry_after_ms":${error.retryAfterMs}`;
    }
    this.#resolve(`${text}}`);
  }
}

function enqueueTexts(
  node: Node,
  jobs: readonly NewJob[],
  results: readonly EnqueueResult[],
): string {
  let text = "[";
  for (let i = 0; i < results.length; i++) {
    const result = results[i] as EnqueueResult;
    if (text.length > 1) text += ",";
    if (result.kind === "rejected") {
      text += `{"job_id":"","status":"error","code":"${result.code}","error":${JSON.stringify(result.message)}}`;
      continue;
    }
    const id = node.idOf(result);
    text += `{"job_id":"${id}","status":"${enqueueStatus(result)}","unique_existing":${result.kind !== "added"}`;
    if (result.kind === "added" && jobs[i]?.options?.chain !== undefined) {
      text += `,"chain_id":"${chainIdOf(id)}"`;
    }
    text += "}";
  }
  return `${text}]`;
}

function itemTexts(
  sent: readonly { job_id: string }[],
  results: readonly ItemResult[],
  okStatus: string | undefined,
): string {
  let text = "[";
  for (let i = 0; i < results.length; i++) {
    const result = results[i] as ItemResult;
    const id = quoted(sent[i]?.job_id ?? "");
    if (i > 0) text += ",";
    text +=
      result.kind === "done"
        ? `{"job_id":${id},"status":"${okStatus ?? result.state}"}`
        : `{"job_id":${id},"status":"error","code":"${result.code}","error":${JSON.stringify(result.message)}}`;
  }
  return `${text}]`;
}
