/**
 * Clients and workers. They talk to any node, follow whoever accepts, try again what was refused, repeat calls with a
 * key until they have an answer, and leave jobs behind past their lease. They believe only what they were told.
 */
import type { CorvoError, ErrorCode } from "../../src/base/errors.ts";
import { formatJobId, parseJobId } from "../../src/base/ids.ts";
import type { Change, NewBatch, NewJob } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { ItemResult, Outcome } from "../../src/engine/outcome.ts";
import type { ScheduleSpec } from "../../src/engine/schedule.ts";
import type { NodeId } from "../../src/raft/message.ts";
import { Waiter } from "../../src/replica/claims.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import { endsChain } from "./flow-ledger.ts";
import type { SimNode } from "./node.ts";
import type { GrantedLease, Oracle } from "./oracle.ts";
import type { EventQueue } from "./virtual-time.ts";
import {
  admissionQueue,
  drawAdmissionChange,
  drawAdmissionJob,
  fatalClass,
} from "./workload-admission.ts";
import { drawBulkChange } from "./workload-bulk.ts";
import { childOf, drawBatch, drawChain, KnownBatches } from "./workload-flow.ts";
import { drawLane, drawLimitChange, limitRemovals } from "./workload-limits.ts";
import { drawCallback, drawWebhookChange, webhookEnablings } from "./workload-webhooks.ts";

type Reply =
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  /** It certainly did not happen. */
  | { readonly kind: "refused" }
  | { readonly kind: "unknown" };

interface Held {
  readonly seq: number;
  readonly lease: GrantedLease;
}

export interface WorkloadParts {
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
  readonly oracle: Oracle;
}

const queues = ["a", "b", "c"] as const;
/** Of all of them workers take jobs. */
const claimed = [...queues, admissionQueue];
const schedules = ["s", "t"] as const;
const refusals: readonly ErrorCode[] = ["UNAVAILABLE", "READ_ONLY", "OVERLOADED"];
const callTimeoutMs = 4000;

export class Workload {
  readonly #parts: WorkloadParts;
  readonly #random: SeededRandom;
  readonly #held: Held[] = [];
  /** Ids of jobs that others may depend on. */
  readonly #known: string[] = [];
  readonly #batches: KnownBatches;
  #calls = 0;
  /** Whom clients try first. */
  #favourite: NodeId = 1;
  /** Answers get lost on their way, of a thousand. */
  lostRepliesPermille = 20;
  /** Calls that are repeated until they are answered. */
  openCalls = 0;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#random = parts.random;
    this.#batches = new KnownBatches(parts.random);
  }

  /** Some client does something. */
  step(): void {
    const draw = below(this.#random, 100);
    if (draw < 15) this.#enqueue();
    else if (draw < 22) this.#enqueueKeyedJob();
    else if (draw < 30) this.#enqueueTogether();
    else if (draw < 55) this.#claim();
    else if (draw < 85) this.#work();
    else if (draw < 89) this.#manage();
    else if (draw < 91) this.#pauseOrBulk();
    else if (draw < 92) this.#call(drawLimitChange(this.#random, queues), () => {});
    else if (draw < 93) this.#call(drawAdmissionChange(this.#random), () => {});
    else if (draw < 97) this.#read();
    else if (draw < 99) this.#schedule();
    else this.probe(() => {});
  }

  /** An enqueue that is repeated until it is answered. */
  probe(done: () => void, delayMs = 0): void {
    const job: NewJob = { queue: this.#queue(), payload: this.#payload(), delayMs };
    this.#enqueueKeyed([job], done);
  }

  /** Everything stays as it is, but nobody stops a queue any more. */
  resumeQueues(): void {
    for (const queue of queues) {
      this.#repeat({ kind: "pauseQueue", queue, paused: false }, () => {});
    }
  }

  /** Jobs wait for workers only, from now on. */
  removeLimits(): void {
    for (const change of limitRemovals(queues)) this.#repeat(change, () => {});
  }

  /** What was written down for others is sent. */
  enableWebhooks(): void {
    for (const change of webhookEnablings) this.#repeat(change, () => {});
  }

  /** No more jobs come by themselves. */
  pauseSchedules(): void {
    for (const name of schedules) {
      this.#repeat({ kind: "pauseSchedule", name, paused: true }, () => {});
    }
  }

  /**
   * A worker that waits at this node for whatever comes and finishes it. It asks for nothing again: what it is given
   * must come by itself.
   */
  drain(node: SimNode): void {
    const waiter = new Waiter(
      { queues: claimed, leaseMs: 60_000, workerId: "last" },
      1_000_000,
      (jobs) => {
        for (const job of jobs) {
          const lease = this.#parts.oracle.granted(job);
          this.#parts.oracle.note("drained");
          // It meets removed nodes on its way, too.
          this.#ack({ seq: job.seq, lease }, 200);
        }
      },
    );
    node.enter(({ claims }) => claims.add(waiter));
  }

  #enqueue(): void {
    const job: NewJob = {
      queue: this.#queue(),
      payload: this.#payload(),
      priority: below(this.#random, 4),
      ...(this.#chance(20) && { delayMs: below(this.#random, 3000) }),
      options: {
        maxRetries: below(this.#random, 4),
        backoff: "fixed",
        baseDelayMs: 200 + below(this.#random, 800),
        jitter: 0.5,
        ...(this.#chance(15) && { timeoutMs: 1000 + below(this.#random, 4000) }),
        ...(this.#chance(20) && { uniqueKey: `u${below(this.#random, 4)}`, uniqueMs: 5000 }),
        ...(this.#chance(30) && this.#dependencies()),
        ...(this.#chance(35) && { lane: drawLane(this.#random) }),
        ...(this.#chance(20) && drawCallback(this.#random)),
      },
    };
    if (this.#chance(50)) this.#enqueueKeyed([job], () => {});
    else this.#enqueueOnce(job, 3);
  }

  /** A job that may meet others of its key. */
  #enqueueKeyedJob(): void {
    const job = drawAdmissionJob(this.#random, this.#payload());
    if (this.#chance(50)) this.#enqueueKeyed([job], () => {});
    else this.#enqueueOnce(job, 3);
  }

  /** Jobs of a chain, a batch, or a parent. */
  #enqueueTogether(): void {
    const queue = () => this.#queue();
    const job = (options: Partial<JobOptions> = {}): NewJob => ({
      queue: queue(),
      payload: this.#payload(),
      options: { maxRetries: below(this.#random, 3), backoff: "fixed", ...options },
    });
    const draw = below(this.#random, 100);
    if (draw < 25) {
      this.#enqueueKeyed([job({ chain: drawChain(this.#random, queue) })], () => {});
    } else if (draw < 50) {
      const jobs = Array.from({ length: 1 + below(this.#random, 3) }, () => job());
      if (this.#chance(30)) jobs.push(job({ chain: drawChain(this.#random, queue) }));
      this.#enqueueKeyed(jobs, () => {}, drawBatch(this.#random, queue, this.#chance(30)));
    } else if (draw < 70) this.#enqueueOnce(job(this.#batches.draw()), 3);
    else if (draw < 80) {
      const change = this.#batches.drawChange();
      if (change !== undefined) this.#call(change, () => {});
    } else this.#enqueueChildren(job);
  }

  /** Children of a job, which now and then is cancelled while they are under way. */
  #enqueueChildren(job: (options: Partial<JobOptions>) => NewJob): void {
    const parent = parseJobId(this.#known.at(-1 - below(this.#random, 10)) ?? "");
    const options = parent === undefined ? {} : childOf([parent.seq, parent.createdAtMs]);
    const jobs = Array.from({ length: 1 + below(this.#random, 3) }, () => job(options));
    this.#enqueueKeyed(jobs, () => {});
    if (parent === undefined || !this.#chance(40)) return;
    this.#parts.oracle.managed(parent.seq);
    this.#call({ kind: "manage", action: "cancel", seqs: [parent.seq] }, () => {});
  }

  #dependencies(): Partial<JobOptions> {
    const recent = this.#known.slice(-20);
    const count = Math.min(recent.length, 1 + below(this.#random, 2));
    const ids = Array.from({ length: count }, () => recent[below(this.#random, recent.length)]);
    const dependsOn = [...new Set(ids.filter((id) => id !== undefined))];
    if (dependsOn.length === 0) return {};
    const policies = ["fail", "wait", "ignore"] as const;
    return { dependsOn, onDependencyFailure: policies[below(this.#random, 3)] ?? "fail" };
  }

  #enqueueKeyed(jobs: readonly NewJob[], done: () => void, batch?: NewBatch): void {
    const payload = jobs[0]?.payload ?? "";
    const change: Change = {
      kind: "enqueue",
      jobs,
      ...(batch !== undefined && { batch }),
      idempotency: { key: `k${payload}`, fingerprint: "f" },
    };
    const note = (outcome: Outcome) => {
      this.#noteEnqueued(outcome, jobs);
      if (outcome.kind === "enqueued") {
        const seqs = outcome.results.map((result) => (result.kind === "rejected" ? 0 : result.seq));
        this.#parts.oracle.answeredKeyed(payload, [...seqs, outcome.batch?.[0] ?? 0]);
      }
    };
    this.#repeat(change, (outcome) => {
      note(outcome);
      if (outcome.kind === "enqueued") this.#batches.add(outcome.batch);
      done();
      // Someone along the way sends it once more. What was refused as a whole may be taken then: no key is kept for it.
      if (outcome.kind === "enqueued" && this.#chance(20)) this.#repeat(change, note);
    });
  }

  /** Without a key, only a refusal may be tried again. Each try is another call. */
  #enqueueOnce(job: NewJob, tries: number): void {
    this.#call({ kind: "enqueue", jobs: [job] }, (reply) => {
      if (reply.kind === "outcome") this.#noteEnqueued(reply.outcome, [job]);
      if (reply.kind !== "refused") return;
      this.#parts.oracle.refused.add(job.payload);
      if (tries > 1) this.#enqueueOnce({ ...job, payload: this.#payload() }, tries - 1);
    });
  }

  #noteEnqueued(outcome: Outcome, jobs: readonly NewJob[]): void {
    const code = outcome.kind === "rejected" ? outcome.code : undefined;
    if (code === "BATCH_ERROR" || code === "PARENT_ERROR") {
      for (const { payload } of jobs) this.#parts.oracle.refused.add(payload);
      return;
    }
    if (outcome.kind !== "enqueued") {
      this.#parts.oracle.report(`an enqueue was answered with ${JSON.stringify(outcome)}`);
      return;
    }
    outcome.results.forEach((result, i) => {
      if (result.kind === "rejected") this.#parts.oracle.refused.add(jobs[i]?.payload ?? "");
      if (result.kind !== "added") return;
      this.#known.push(formatJobId(result.seq, result.createdAtMs, 0));
      this.#parts.oracle.enqueued(result.seq, jobs[i]?.payload ?? "");
    });
  }

  #claim(): void {
    const change: Change = {
      kind: "claim",
      queues: this.#chance(50) ? [this.#queue()] : claimed,
      count: 1 + below(this.#random, 3),
      leaseMs: 500 + below(this.#random, 4000),
      workerId: `w${below(this.#random, 5)}`,
    };
    this.#call(change, (reply) => {
      if (reply.kind !== "outcome" || reply.outcome.kind !== "claimed") return;
      for (const job of reply.outcome.jobs) {
        const lease = this.#parts.oracle.granted(job);
        // Some workers are never heard of again.
        if (!this.#chance(15)) this.#held.push({ seq: job.seq, lease });
      }
    });
  }

  /** A worker does something with a job that it holds, or believes to hold. */
  #work(): void {
    const at = below(this.#random, Math.max(1, this.#held.length));
    const held = this.#held[at];
    if (held === undefined) return;
    const item = { seq: held.seq, token: held.lease.token };
    const draw = below(this.#random, 100);
    if (draw < 20) {
      this.#heartbeat(held);
      return;
    }
    this.#held.splice(at, 1);
    if (draw < 75) {
      this.#ack(held, 8);
      return;
    }
    held.lease.isGivenBack = true;
    if (draw > 95) {
      this.#call({ kind: "snooze", items: [{ ...item, delayMs: 300 }] }, () => {});
      return;
    }
    const failure = { error: "e", retryable: this.#chance(80) };
    const errorClass = this.#chance(30) ? { errorClass: fatalClass } : {};
    const change: Change =
      draw < 88
        ? { kind: "fail", items: [{ ...item, ...failure, ...errorClass }] }
        : { kind: "release", items: [{ ...item, delayMs: this.#chance(50) ? 300 : 0 }] };
    this.#call(change, () => {});
  }

  #heartbeat(held: Held): void {
    const { seq, lease } = held;
    this.#call({ kind: "heartbeat", items: [{ seq, token: lease.token }] }, (reply) => {
      const result = itemOf(reply);
      if (result?.kind === "done") {
        lease.endsAtMs = Math.max(lease.endsAtMs, result.leaseExpiresAtMs);
      }
    });
  }

  #ack(held: Held, tries: number): void {
    const { seq, lease } = held;
    const { token } = lease;
    const item = { seq, token, result: `"${token}"`, ...(endsChain(seq) && { exit: "" }) };
    this.#call({ kind: "ack", items: [item] }, (reply) => {
      const result = itemOf(reply);
      if (result?.kind === "done") this.#parts.oracle.acked(seq, token);
      // After an unknown outcome the ack may have ended the lease.
      if (reply.kind !== "outcome" && tries > 1) this.#ack(held, tries - 1);
    });
  }

  #pauseOrBulk(): void {
    if (this.#chance(40)) this.#pause();
    else if (this.#chance(30)) this.#call(drawWebhookChange(this.#random), () => {});
    else {
      const known = [...this.#parts.oracle.jobs.keys()];
      this.#call(drawBulkChange(this.#random, known), () => {});
    }
  }

  #manage(): void {
    const seqs = [...this.#parts.oracle.jobs.keys()];
    const seq = seqs[below(this.#random, Math.max(1, seqs.length))];
    if (seq === undefined) return;
    this.#parts.oracle.managed(seq);
    const action = (["cancel", "retry", "hold", "approve", "reject"] as const)[
      below(this.#random, 5)
    ];
    if (action !== undefined) this.#call({ kind: "manage", action, seqs: [seq] }, () => {});
  }

  #pause(): void {
    const queue = this.#queue();
    this.#call({ kind: "pauseQueue", queue, paused: this.#chance(40) }, () => {});
  }

  #schedule(): void {
    const name = schedules[below(this.#random, schedules.length)] ?? "s";
    const draw = below(this.#random, 100);
    if (draw < 55) {
      // Whoever tries something out sends one version after the other.
      for (let versions = this.#chance(40) ? 2 : 1; versions > 0; versions--) {
        this.#call({ kind: "setSchedule", name, spec: this.#spec() }, () => {});
      }
    } else if (draw < 80) {
      this.#call({ kind: "pauseSchedule", name, paused: this.#chance(40) }, () => {});
    } else if (draw < 95) this.#call({ kind: "runSchedule", name }, () => {});
    else this.#call({ kind: "deleteSchedule", name }, () => {});
  }

  #spec(): ScheduleSpec {
    const overlaps = ["allow", "skip", "buffer", "cancel"] as const;
    const catchUps = ["none", "latest", "all"] as const;
    const everyMs = 500 + below(this.#random, 3000);
    return {
      timetable: { kind: "every", everyMs, anchorMs: 0 },
      job: { queue: this.#queue(), payload: '"by schedule"' },
      written: "{}",
      overlap: overlaps[below(this.#random, 4)] ?? "allow",
      catchUp: catchUps[below(this.#random, 3)] ?? "all",
      catchUpMs: 120_000,
      jitterMs: this.#chance(30) ? below(this.#random, everyMs) : 0,
      startMs: 0,
      endMs: 0,
      maxRuns: this.#chance(25) ? 1 + below(this.#random, 6) : 0,
    };
  }

  #read(): void {
    const { oracle, nodes } = this.#parts;
    const mustSee = oracle.acknowledgedIndex;
    nodes.get(this.#anyNode())?.read((index) => {
      if (index === undefined) return;
      oracle.note("reads");
      if (index < mustSee) oracle.report(`a read saw ${index} after an answer from ${mustSee}`);
    });
  }

  #repeat(change: Change, done: (outcome: Outcome) => void): void {
    this.openCalls++;
    const attempt = () =>
      this.#call(change, (reply) => {
        if (reply.kind !== "outcome") {
          this.#parts.events.after(100 + below(this.#random, 200), attempt);
          return;
        }
        this.openCalls--;
        done(reply.outcome);
      });
    attempt();
  }

  /** One call to one node, over a network that may lose the question or the answer. */
  #call(change: Change, reply: (reply: Reply) => void): void {
    const { events, nodes, oracle } = this.#parts;
    const target = this.#chance(10) ? this.#anyNode() : this.#favourite;
    const node = nodes.get(target);
    let isSettled = false;
    const settle = (answer: Reply) => {
      if (isSettled) return;
      isSettled = true;
      if (answer.kind !== "outcome" && target === this.#favourite) {
        this.#favourite = this.#anyNode();
      } else if (answer.kind === "outcome") this.#favourite = target;
      reply(answer);
    };
    oracle.note("calls");
    events.after(callTimeoutMs, () => settle({ kind: "unknown" }));
    if (node === undefined || this.#isLost()) return;
    events.after(1 + below(this.#random, 3), () =>
      node.call(change, (outcome, fault) => {
        const index = node.group?.appliedIndex ?? 0;
        if (this.#isLost()) return;
        events.after(1 + below(this.#random, 3), () => {
          if (outcome !== undefined && !isSettled) {
            oracle.acknowledgedIndex = Math.max(oracle.acknowledgedIndex, index);
          }
          settle(asReply(outcome, fault));
        });
      }),
    );
  }

  #isLost(): boolean {
    return below(this.#random, 1000) < this.lostRepliesPermille;
  }

  #anyNode(): NodeId {
    const ids = [...this.#parts.nodes.keys()];
    return ids[below(this.#random, ids.length)] ?? 1;
  }

  #queue(): string {
    return queues[below(this.#random, queues.length)] ?? "a";
  }

  #payload(): string {
    return `"call ${++this.#calls}"`;
  }

  #chance(percent: number): boolean {
    return below(this.#random, 100) < percent;
  }
}

function asReply(outcome: Outcome | undefined, fault: CorvoError | undefined): Reply {
  if (outcome !== undefined) return { kind: "outcome", outcome };
  const isRefused = fault !== undefined && refusals.includes(fault.code);
  return { kind: isRefused ? "refused" : "unknown" };
}

function itemOf(reply: Reply): ItemResult | undefined {
  if (reply.kind !== "outcome" || reply.outcome.kind !== "items") return undefined;
  return reply.outcome.results[0];
}
