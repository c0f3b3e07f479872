/**
 * What must be true of a cluster, whatever happens to it, and what its clients were told. Everything that is seen comes
 * here; the first thing that cannot be is the result of the run.
 */
import { parseJobId } from "../../src/base/ids.ts";
import { isFinished, type Job } from "../../src/engine/job.ts";
import type { AnyRecord } from "../../src/engine/records.ts";
import type { ConfState, Entry, EntryId, NodeId } from "../../src/raft/message.ts";
import type { AppliedPoint } from "../../src/replica/ports.ts";
import { AdmissionLedger } from "./admission-ledger.ts";
import { BulkLedger } from "./bulk-ledger.ts";
import { CascadeLedger } from "./cascade-ledger.ts";
import { DeliveryLedger } from "./delivery-ledger.ts";
import { EventLedger } from "./event-ledger.ts";
import { FlowLedger } from "./flow-ledger.ts";
import { LimitLedger } from "./limit-ledger.ts";
import { ScheduleLedger } from "./schedule-ledger.ts";
import { TurnLedger } from "./turn-ledger.ts";

interface AppliedEntry {
  readonly term: number;
  readonly data: Uint8Array;
  readonly digest: number;
}

/** A job that a client was told about. */
interface KnownJob {
  readonly payload: string;
  /** Token of the ack that a client was told went through. */
  ackedBy: number | undefined;
  /** An operator touched it, so its state follows other rules. */
  isManaged: boolean;
  lease: GrantedLease | undefined;
}

export interface GrantedLease {
  readonly token: number;
  readonly startedAtMs: number;
  endsAtMs: number;
  /** Its worker tried to end it. */
  isGivenBack: boolean;
}

export class Oracle {
  /** The first violation. */
  problem: string | undefined;
  readonly counts: Record<string, number> = {};
  readonly jobs = new Map<number, KnownJob>();
  readonly limits = new LimitLedger((problem) => this.report(problem));
  readonly flow = new FlowLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly cascades = new CascadeLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly turns = new TurnLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly bulk = new BulkLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly deliveries = new DeliveryLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly admission = new AdmissionLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
    (seq) => this.jobs.get(seq)?.isManaged === true,
  );
  readonly schedules = new ScheduleLedger(
    (problem) => this.report(problem),
    (event) => this.note(event),
  );
  readonly events = new EventLedger(
    (problem) => this.report(problem),
    (event, by) => this.note(event, by),
  );
  /** Payloads of calls that were refused: none of them may exist. */
  readonly refused = new Set<string>();
  /** Payloads of calls with an idempotency key, and the numbers they were answered with. */
  readonly keyed = new Map<string, readonly number[]>();
  /** Highest index that a client has an answer of. */
  acknowledgedIndex = 0;
  /** Digest of everything that was applied, in the order in which it happened. */
  fingerprint = 0;
  readonly #entries: (AppliedEntry | undefined)[] = [];
  readonly #terms: (number | undefined)[] = [];
  readonly #confs: (ConfState | undefined)[] = [];
  #stored: { node: NodeId; point: AppliedPoint; digest: number }[] = [];
  readonly #applied = new Map<NodeId, number>();
  readonly #leaders = new Map<number, NodeId>();
  readonly #tokens = new Set<number>();
  /** Jobs that were completed, and jobs that ended in any way, at any time. */
  readonly #completed = new Set<number>();
  readonly #ended = new Set<number>();

  report(problem: string): void {
    this.problem ??= problem;
  }

  note(event: string, by = 1): void {
    this.counts[event] = (this.counts[event] ?? 0) + by;
  }

  isFirst(index: number): boolean {
    return this.#entries[index] === undefined;
  }

  get appliedEntries(): number {
    return Math.max(0, this.#entries.length - 1);
  }

  leads(node: NodeId, term: number): void {
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== node) {
      this.report(`nodes ${other} and ${node} both led term ${term}`);
    }
    if (other === undefined) this.note("terms");
    this.#leaders.set(term, node);
  }

  /** A process came up with a stored state. */
  started(node: NodeId, index: number, digest: number): void {
    this.note("starts");
    this.#applied.set(node, index);
    const known = this.#entries[index];
    if (known !== undefined && known.digest !== digest) {
      this.report(`node ${node} came up at index ${index} with another state than was applied`);
    }
  }

  applied(node: NodeId, entry: Entry, digest: number): void {
    const { index, term, data } = entry;
    const before = this.#applied.get(node) ?? 0;
    if (index <= before) this.report(`node ${node} applied ${index} after ${before}`);
    this.#applied.set(node, index);
    const known = this.#entries[index];
    if (known === undefined) {
      this.#entries[index] = { term, data, digest };
    } else if (known.term !== term || !isSame(known.data, data)) {
      this.report(
        `node ${node} applied another entry at ${index}: term ${term}, first seen with ${known.term}`,
      );
    } else if (known.digest !== digest) {
      this.report(`node ${node} has another state than others at index ${index}`);
    }
    this.fingerprint = mix(mix(mix(this.fingerprint, node), index), digest);
  }

  /** A process begins to store its state, as that of this point. What has been applied there is known after the event. */
  stores(node: NodeId, point: AppliedPoint, digest: number): void {
    this.#stored.push({ node, point, digest });
  }

  /** The membership as of this entry. */
  confApplied(index: number, conf: ConfState): void {
    this.#confs[index] = conf;
  }

  /** What processes stored since the last call is what was applied up to there. */
  checkStored(): void {
    for (const { node, point, digest } of this.#stored.splice(0)) {
      const known = this.#entries[point.index];
      if (known !== undefined && known.digest !== digest) {
        this.report(`node ${node} stored another state than was applied at index ${point.index}`);
      }
      const conf = this.#confs.findLast(
        (each, index) => each !== undefined && index <= point.index,
      );
      if (conf !== undefined && !Bun.deepEquals(conf, point.conf)) {
        this.report(`node ${node} stored other members than were applied at index ${point.index}`);
      }
    }
  }

  /** Empty entries are not handed to the state, so their terms are compared here. */
  committed(node: NodeId, { index, term }: EntryId): void {
    const known = this.#terms[index];
    if (known !== undefined && known !== term) {
      this.report(
        `node ${node} takes entry ${index} of term ${term} for committed, others of ${known}`,
      );
    }
    this.#terms[index] = term;
  }

  /** A job changes with a batch of this time, seen on the first node that applies it. */
  jobChanges(nowMs: number, previous: Job | undefined, next: Job): void {
    this.limits.jobChanges(next);
    this.flow.jobChanges(previous, next);
    this.cascades.jobChanges(previous, next);
    this.turns.jobChanges(previous, next);
    this.admission.jobChanges(previous, next);
    this.bulk.jobChanges(next);
    this.deliveries.jobChanges(previous, next);
    if (next.state === "completed") this.#completed.add(next.seq);
    if (isFinished(next.state)) this.#ended.add(next.seq);
    if (next.state !== "active") return;
    if (previous?.state !== "active") this.#checkDependencies(next);
    if (previous?.state === "active") {
      if (previous.token !== next.token) {
        this.report(
          `job ${next.seq} went from lease ${previous.token} to ${next.token} at ${nowMs} while the first was held`,
        );
      }
      return;
    }
    if (this.#tokens.has(next.token)) this.report(`token ${next.token} was given twice`);
    this.#tokens.add(next.token);
  }

  /** A record was put, or deleted when there is no value, by a batch of this time. */
  recordChanges({ kind, key, value }: AnyRecord, nowMs: number): void {
    this.schedules.changed(kind, key, value, nowMs);
    this.limits.changed(kind, key, value);
    this.flow.changed(kind, key, value);
    this.admission.recordChanges(kind, key, value);
    this.bulk.recordChanges(kind, key, value);
    this.deliveries.recordChanges(kind, key, value);
  }

  /** A job runs: what it depends on is done. An operator may run it all the same. */
  #checkDependencies(job: Job): void {
    if (job.options.dependsOn === undefined || this.#ended.has(job.seq)) return;
    this.note("dependentsRun");
    const done = job.options.onDependencyFailure === "ignore" ? this.#ended : this.#completed;
    const open = job.options.dependsOn.find((id) => !done.has(parseJobId(id)?.seq ?? 0));
    if (open !== undefined) this.report(`job ${job.seq} runs before ${open}`);
  }

  enqueued(seq: number, payload: string): void {
    const known = this.jobs.get(seq);
    if (known !== undefined && known.payload !== payload && !this.admission.mayChange(seq)) {
      this.report(`job ${seq} was given for ${payload} and for ${known.payload}`);
    }
    if (known !== undefined) return;
    this.note("jobsAcknowledged");
    this.jobs.set(seq, { payload, ackedBy: undefined, isManaged: false, lease: undefined });
  }

  /** The answer to a call with a key, which may have been given before: jobs, and the batch if it began one. */
  answeredKeyed(payload: string, seqs: readonly number[]): void {
    const before = this.keyed.get(payload);
    if (before !== undefined && before.join() !== seqs.join()) {
      this.report(`a call with a key was answered with jobs ${before}, then ${seqs}`);
    }
    this.keyed.set(payload, seqs);
  }

  granted(job: Job): GrantedLease {
    this.note("leasesGranted");
    const known = this.#jobOf(job);
    const { token, startedAtMs, leaseExpiresAtMs: endsAtMs } = job;
    const { lease: old } = known;
    if (old !== undefined && old.token < token && !old.isGivenBack && !known.isManaged) {
      if (startedAtMs < old.endsAtMs) {
        this.report(
          `job ${job.seq}: lease ${token} begins at ${startedAtMs}, lease ${old.token} lasts until ${old.endsAtMs}`,
        );
      }
    }
    if (known.ackedBy !== undefined && known.ackedBy < token && !known.isManaged) {
      this.report(`job ${job.seq} was claimed again after its ack was acknowledged`);
    }
    const lease = { token, startedAtMs, endsAtMs, isGivenBack: false };
    if (old === undefined || old.token < token) known.lease = lease;
    return lease;
  }

  acked(seq: number, token: number): void {
    const known = this.jobs.get(seq);
    if (known === undefined) return;
    if (known.ackedBy !== undefined && known.ackedBy !== token && !known.isManaged) {
      this.report(`job ${seq} was acked under lease ${known.ackedBy} and under ${token}`);
    }
    if (known.ackedBy === undefined) this.note("acksAcknowledged");
    known.ackedBy = token;
  }

  managed(seq: number): void {
    const known = this.jobs.get(seq);
    if (known !== undefined) known.isManaged = true;
  }

  /** Compares a final state with what was promised. */
  checkFinal(jobs: ReadonlyMap<number, Job>): void {
    for (const [seq, known] of this.jobs) {
      const job = jobs.get(seq);
      if (job === undefined) this.report(`job ${seq} was acknowledged and is lost`);
      else if (job.payload !== known.payload && !this.admission.mayChange(seq))
        this.report(`job ${seq} is ${job.payload} now`);
      else if (known.ackedBy !== undefined && !known.isManaged) {
        const isRight = job.state === "completed" && job.result === `"${known.ackedBy}"`;
        if (!isRight) {
          this.report(
            `job ${seq} was acked under lease ${known.ackedBy} and is ${job.state} with ${job.result}`,
          );
        }
      }
    }
    const seen = new Set<string>();
    this.cascades.check();
    this.events.checkFinal(jobs);
    this.schedules.checkJobs(jobs.values());
    this.admission.check(jobs.values());
    for (const job of jobs.values()) {
      // The ledger has counted them.
      if (job.options.schedule !== undefined || job.options.deadOf !== undefined) continue;
      if (this.refused.has(job.payload)) this.report(`refused call ${job.payload} took effect`);
      if (seen.has(job.payload)) this.report(`call ${job.payload} took effect twice`);
      seen.add(job.payload);
    }
  }

  /** Jobs whose enqueue got no answer are met here for the first time. */
  #jobOf(job: Job): KnownJob {
    const known = this.jobs.get(job.seq);
    if (known !== undefined) return known;
    this.enqueued(job.seq, job.payload);
    return this.#jobOf(job);
  }
}

/** Nodes hand entries on as they got them, so it is nearly always one piece of memory. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one === other || Buffer.compare(one, other) === 0;
}

function mix(bits: number, value: number): number {
  const mixed = Math.imul(bits ^ value, 0x9e37_79b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Live jobs whose time ran out long ago: nothing has looked at them. */
export function findForgotten(jobs: ReadonlyMap<number, Job>, nowMs: number): Job | undefined {
  for (const job of jobs.values()) {
    if (isFinished(job.state)) continue;
    if (job.state === "active" && job.leaseExpiresAtMs < nowMs) return job;
    if (job.dueAtMs > 0 && job.dueAtMs < nowMs) return job;
  }
  return undefined;
}
