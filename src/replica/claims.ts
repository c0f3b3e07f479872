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
 */
import type { CorvoError } from "../base/errors.ts";
import type { Job } from "../engine/job.ts";
import type { Replica } from "./replica.ts";

export interface ClaimRequest {
  readonly queues: readonly string[];
  readonly leaseMs: number;
  readonly workerId?: string;
  readonly hostname?: string;
}

export class Waiter {
  readonly request: ClaimRequest;
  /** How many jobs it may be given. */
  want: number;
  /** Called with at least one job, or with the fault that ended a claim; with no job only when it stands no more. */
  readonly deliver: (jobs: readonly Job[], fault: CorvoError | undefined) => void;
  /** Is a claim for it in the log's hands? */
  claiming = false;
  /** Does it stand at its queues? */
  standing = false;
  /** Called once when the claim that is in the log's hands has been delivered. */
  whenClaimed: (() => void) | undefined;

  constructor(request: ClaimRequest, want: number, deliver: Waiter["deliver"]) {
    this.request = request;
    this.want = want;
    this.deliver = deliver;
  }
}

interface Stand {
  /** In the order of arrival; a waiter that was served goes to the end. */
  readonly waiters: Set<Waiter>;
  expected: number;
  promised: number;
}

const claimCountMax = 512;

export class Claims {
  readonly #replica: Replica;
  readonly #stands = new Map<string, Stand>();
  #waiterCount = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  get waiterCount(): number {
    return this.#waiterCount;
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
    for (const waiter of stand.waiters) {
      if (this.#available(queue) <= 0) return;
      this.#serve(waiter);
    }
  }

  #serve(waiter: Waiter): void {
    if (waiter.claiming || waiter.want <= 0) return;
    let available = 0;
    for (const queue of waiter.request.queues) available += Math.max(0, this.#available(queue));
    if (available > 0) this.#claim(waiter, Math.min(waiter.want, available, claimCountMax));
  }

  #claim(waiter: Waiter, count: number): void {
    const { queues } = waiter.request;
    waiter.claiming = true;
    this.#promise(queues, count);
    try {
      this.#replica.propose({ kind: "claim", ...waiter.request, count }, 256, (outcome, fault) => {
        waiter.claiming = false;
        this.#promise(queues, -count);
        const jobs = outcome?.kind === "claimed" ? outcome.jobs : [];
        if (jobs.length > 0 || fault !== undefined || !waiter.standing) {
          waiter.deliver(jobs, fault);
        }
        waiter.whenClaimed?.();
        waiter.whenClaimed = undefined;
        this.#requeue(waiter);
        if (fault === undefined) for (const queue of queues) this.wake(queue);
      });
    } catch (error) {
      waiter.claiming = false;
      this.#promise(queues, -count);
      waiter.deliver([], error as CorvoError);
    }
  }

  #available(queue: string): number {
    const stand = this.#stands.get(queue);
    const onTheWay = stand === undefined ? 0 : stand.expected - stand.promised;
    return this.#replica.engine.claimable(queue) + onTheWay;
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
