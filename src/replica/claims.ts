/**
 * Workers that wait for jobs. Nothing polls: a waiter stands at its queues until the apply that makes a job available
 * there (or the enqueue that is about to) wakes it, and only then is a claim written to the log.
 *
 * An enqueue for which a worker waits gets the claim into the same batch, so a job reaches an idle worker with one
 * fsync, not two.
 *
 * Per queue: `claimable` jobs in the engine, plus those `expected` from enqueues that are on their way, minus those
 * `promised` to claims that are. A wake-up only happens while that is positive, so ten thousand waiting workers and one
 * job make one claim.
 *
 * A claim that the log refuses changes nothing, so nothing would wake the others that wait for the same jobs: its
 * queues are woken again after a moment.
 */
import type { CorvoError } from "../base/errors.ts";
import type { Timers } from "../base/ports.ts";
import type { Job } from "../engine/job.ts";
import type { ClaimRates } from "./claim-rates.ts";
import type { Replica } from "./replica.ts";

export interface ClaimRequest {
  readonly queues: readonly string[];
  readonly leaseMs: number;
  readonly workerId?: string;
  readonly hostname?: string;
  /** What it has of what jobs may require. */
  readonly labels?: readonly string[];
}

export class Waiter {
  /** Changed only by `Claims.change`. */
  request: ClaimRequest;
  /** How many jobs it may be given besides those of a claim that is on its way. */
  want: number;
  /** Called with at least one job, or with the fault that ended a claim; with no job only when it stands no more. */
  readonly deliver: (jobs: readonly Job[], fault: CorvoError | undefined) => void;
  /** Jobs asked for by the claim that is on its way; 0 when none is. */
  claiming = 0;
  /** Are jobs that this claim does not bring wanted still? */
  #keepsRest = true;
  /** Does it stand at its queues? */
  standing = false;
  /** Called once when the claim that is in the log's hands has been delivered. */
  whenClaimed: (() => void) | undefined;

  constructor(request: ClaimRequest, want: number, deliver: Waiter["deliver"]) {
    this.request = request;
    this.want = want;
    this.deliver = deliver;
  }

  /** From now on it wants nothing. What is on its way may still come. */
  takeBack(): void {
    this.want = 0;
    this.#keepsRest = false;
  }

  claimBegins(count: number): void {
    this.want -= count;
    this.claiming = count;
    this.#keepsRest = true;
  }

  claimEnds(received: number): void {
    if (this.#keepsRest) this.want += this.claiming - received;
    this.claiming = 0;
  }
}

interface Stand {
  /** In the order of arrival; a waiter that was served goes to the end. */
  readonly waiters: Set<Waiter>;
  expected: number;
  promised: number;
}

const claimCountMax = 512;
const retryMs = 100;

export class Claims {
  readonly #replica: Replica;
  readonly #stands = new Map<string, Stand>();
  readonly #timers: Timers;
  readonly #rates: ClaimRates;
  /** Queues with a claim that was refused; one timer wakes them all. */
  #refused = new Set<string>();
  #waiterCount = 0;

  constructor(replica: Replica, timers: Timers, rates: ClaimRates) {
    this.#replica = replica;
    this.#timers = timers;
    this.#rates = rates;
  }

  get waiterCount(): number {
    return this.#waiterCount;
  }

  /** How many wait at a queue, also those whose claim is on its way. */
  waitingAt(queue: string): number {
    return this.#stands.get(queue)?.waiters.size ?? 0;
  }

  /** The queues at which somebody waits who has no claim on its way. */
  idleQueues(): Map<string, number> {
    const idle = new Map<string, number>();
    for (const [queue, { waiters }] of this.#stands) {
      let count = 0;
      for (const waiter of waiters) if (waiter.claiming === 0) count++;
      if (count > 0) idle.set(queue, count);
    }
    return idle;
  }

  /** Lets a waiter stand at its queues; it is served at once if something is there. */
  add(waiter: Waiter): void {
    if (!waiter.standing) {
      waiter.standing = true;
      this.#waiterCount++;
      for (const queue of waiter.request.queues) this.#stand(queue).waiters.add(waiter);
    }
    this.#serve(waiter);
  }

  /** Takes a waiter away that wants nothing at present, or is gone. A claim of its own that is on its way still comes. */
  remove(waiter: Waiter): void {
    if (!waiter.standing) return;
    waiter.standing = false;
    for (const queue of waiter.request.queues) {
      const stand = this.#stands.get(queue);
      if (stand === undefined) continue;
      stand.waiters.delete(waiter);
      this.#tidy(queue, stand);
    }
    this.#waiterCount--;
  }

  /**
   * Lets a waiter want other jobs, standing nowhere until it is added again. A claim of its own that is on its way still
   * comes, and no other is made before.
   */
  change(waiter: Waiter, request: ClaimRequest): void {
    this.remove(waiter);
    waiter.request = request;
  }

  /** Jobs of this queue are on their way into the log. `arrived` must follow. */
  expect(queue: string, count: number): void {
    const stand = this.#stands.get(queue);
    if (stand === undefined) return;
    stand.expected += count;
    this.wake(queue);
  }

  arrived(queue: string, count: number): void {
    const stand = this.#stands.get(queue);
    if (stand === undefined) return;
    stand.expected = Math.max(0, stand.expected - count);
    this.#tidy(queue, stand);
  }

  /** Something became available in this queue. */
  wake(queue: string): void {
    const stand = this.#stands.get(queue);
    if (stand === undefined) return;
    // Where jobs have requirements, what one waiter cannot have may be there for another.
    const isForAll = !this.#replica.engine.hasRequirements(queue);
    for (const waiter of stand.waiters) {
      if (isForAll && this.#available(queue, 1) <= 0) return;
      this.#serve(waiter);
    }
  }

  #serve(waiter: Waiter): void {
    if (waiter.claiming > 0 || waiter.want <= 0) return;
    let available = 0;
    const { queues, labels } = waiter.request;
    for (const queue of queues) {
      const most = Math.min(waiter.want, claimCountMax);
      available += Math.max(0, this.#available(queue, most, labels));
    }
    if (available > 0) this.#claim(waiter, Math.min(waiter.want, available, claimCountMax));
  }

  #claim(waiter: Waiter, count: number): void {
    const { queues } = waiter.request;
    waiter.claimBegins(count);
    this.#promise(queues, count);
    try {
      this.#replica.propose({ kind: "claim", ...waiter.request, count }, 256, (outcome, fault) => {
        const jobs = outcome?.kind === "claimed" ? outcome.jobs : [];
        waiter.claimEnds(jobs.length);
        if (jobs.length > 0) this.#noteRate(queues, jobs);
        this.#promise(queues, -count);
        if (jobs.length > 0 || fault !== undefined || !waiter.standing) {
          waiter.deliver(jobs, fault);
        }
        waiter.whenClaimed?.();
        waiter.whenClaimed = undefined;
        this.#requeue(waiter);
        if (fault !== undefined) {
          // It may stand at other queues by now.
          this.#wakeLater([...queues, ...waiter.request.queues], fault);
          return;
        }
        for (const queue of queues) this.wake(queue);
        // Where it stands by now, if elsewhere, nobody wakes it.
        if (waiter.standing) this.#serve(waiter);
      });
    } catch (error) {
      waiter.claimEnds(0);
      this.#promise(queues, -count);
      waiter.deliver([], error as CorvoError);
      this.#wakeLater(queues, error as CorvoError);
    }
  }

  #noteRate(queues: readonly string[], jobs: readonly Job[]): void {
    if (queues.length > 1) for (const { queue } of jobs) this.#rates.note(queue, 1);
    else this.#rates.note(queues[0] ?? "", jobs.length);
  }

  #wakeLater(queues: readonly string[], fault: CorvoError): void {
    const isArmed = this.#refused.size > 0;
    for (const queue of queues) this.#refused.add(queue);
    if (isArmed) return;
    this.#timers.after(fault.retryAfterMs ?? retryMs, () => {
      const refused = this.#refused;
      this.#refused = new Set();
      for (const queue of refused) this.wake(queue);
    });
  }

  /** How many jobs nobody was promised; nobody counts much further than `most`. */
  #available(queue: string, most: number, labels?: readonly string[]): number {
    const stand = this.#stands.get(queue);
    const onTheWay = stand === undefined ? 0 : stand.expected - stand.promised;
    return this.#replica.claimable(queue, most - onTheWay, labels) + onTheWay;
  }

  #promise(queues: readonly string[], count: number): void {
    for (const queue of queues) {
      const stand = this.#stand(queue);
      stand.promised = Math.max(0, stand.promised + count);
      if (count < 0) this.#tidy(queue, stand);
    }
  }

  #requeue(waiter: Waiter): void {
    for (const queue of waiter.request.queues) {
      const waiters = this.#stands.get(queue)?.waiters;
      if (waiters?.delete(waiter)) waiters.add(waiter);
    }
  }

  #stand(queue: string): Stand {
    let stand = this.#stands.get(queue);
    if (stand === undefined) {
      stand = { waiters: new Set(), expected: 0, promised: 0 };
      this.#stands.set(queue, stand);
    }
    return stand;
  }

  #tidy(queue: string, stand: Stand): void {
    if (stand.waiters.size === 0 && stand.expected === 0 && stand.promised === 0) {
      this.#stands.delete(queue);
    }
  }
}
