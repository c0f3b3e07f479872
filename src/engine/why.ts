/**
 * Why a job does not run, and why a queue gives nothing: read off the engine for people who ask. Nothing here changes an
 * outcome. The time is the asker's, since an engine to which nothing was proposed for a while is behind the clock.
 *
 * Invariant: a pending job without an obstacle is given by the next claim exactly when nobody is ahead of it.
 */
import { must } from "../base/assert.ts";
import type { Core } from "./core.ts";
import { isFinished, type Job } from "./job.ts";
import type { Need } from "./limits/gates.ts";
import { costOf } from "./limits/lane.ts";
import type { LimitStatus, LimitView } from "./limits/limit-view.ts";
import { type LimitTarget, nameOf } from "./limits/setting.ts";
import {
  type QueueStanding,
  type Standing,
  sharingBefore,
  standingIn,
  standingOf,
} from "./limits/standing.ts";
import type { Owner } from "./links.ts";
import { followUpOf, holderOf } from "./unique-key.ts";

/** One thing that keeps a job from being given to a worker. */
export type Obstacle =
  | { readonly kind: "finished" | "active" | "held" | "expired" | "queuePaused" }
  /** Its time has not come. */
  | { readonly kind: "due"; readonly untilMs: number }
  | { readonly kind: "dependency"; readonly seq: Owner }
  /** It takes a unique key when the job that holds it ends. */
  | { readonly kind: "followUp"; readonly key: string; readonly holder: number }
  /** Another job of its key goes first. */
  | { readonly kind: "fifo"; readonly key: string; readonly holder: number }
  /** Only a worker with these labels gets it. */
  | { readonly kind: "requires"; readonly labels: readonly string[] }
  | LimitObstacle;

export type LimitObstacle = {
  readonly status: LimitStatus;
  /** Units of concurrency that it asks for. */
  readonly slots: number;
} & (
  | { readonly kind: "full"; readonly holders: readonly number[] }
  | { readonly kind: "paused" | "rate"; readonly untilMs: number }
);

/** Active jobs that are named as holders of one limit. */
const holdersMax = 5;
/** Leases that are looked through for those of a queue. */
const leasesSeenMax = 10_000;

export class Why {
  readonly #core: Core;
  readonly #limits: LimitView;

  constructor(core: Core, limits: LimitView) {
    this.#core = core;
    this.#limits = limits;
  }

  /** Everything that keeps a job from being given now; what is surest and lasts longest comes first. */
  job(job: Job, nowMs: number): Obstacle[] {
    if (isFinished(job.state)) return [{ kind: "finished" }];
    if (job.state === "active") return [{ kind: "active" }];
    const found: Obstacle[] = [];
    if (job.state === "held") found.push(this.#whyHeld(job));
    if (job.dueAtMs > 0) found.push({ kind: "due", untilMs: job.dueAtMs });
    for (const seq of this.#core.dependencies.blockedOf(job.seq)?.open ?? []) {
      found.push({ kind: "dependency", seq });
    }
    if (job.expireAtMs > 0 && job.expireAtMs <= nowMs) found.push({ kind: "expired" });
    if (this.#core.state.getQueue(job.queue)?.paused === true) found.push({ kind: "queuePaused" });
    found.push(...this.#keyObstacles(job));
    const labels = job.options.lane?.requires;
    if (labels !== undefined) found.push({ kind: "requires", labels });
    // What a limit holds now says nothing about a job that comes to its line later.
    if (job.order > 0) found.push(...this.#limitObstacles(job, nowMs));
    return found;
  }

  /** Where a ready job that nothing stops stands. */
  standing(job: Job, nowMs: number): Standing {
    return standingOf(this.#core.lines, job, nowMs);
  }

  /** Jobs of the queue that come before a ready job and take of what the target has. */
  takersBefore(job: Job, target: LimitTarget, nowMs: number): number {
    if (target.scope === "queue") return this.standing(job, nowMs).before;
    return sharingBefore(this.#core.lines, job, nameOf(target));
  }

  /** What is ready in a queue, and what stops it there. */
  queue(name: string, nowMs: number): QueueStanding {
    return standingIn(this.#core.lines, name, nowMs);
  }

  /** Is the queue drained, so that it takes no new jobs? */
  isDraining(queue: string): boolean {
    return this.#core.queueSettings.get(queue)?.draining === true;
  }

  /** What stops every job of a queue, of its limits. */
  queueLimits(name: string, nowMs: number): LimitObstacle[] {
    const { gates } = this.#core.lines;
    const gate = gates.open("queue", name);
    const found = this.shutBy({ gate, slots: 1, cost: 1 }, nowMs);
    gates.tidy(gate);
    return found;
  }

  /** Why a gate does not let a need through. */
  shutBy(need: Need, nowMs: number): LimitObstacle[] {
    const { target } = need.gate;
    return this.#core.lines.gates.shutBy(need, nowMs).map((shut) => {
      const common = { status: this.#limits.status(target, nowMs), slots: need.slots };
      return shut.kind === "full"
        ? { ...common, kind: "full", holders: this.holders(target) }
        : { ...common, ...shut };
    });
  }

  /** Active jobs that hold units of a target, the oldest first; some of them, when there are many. */
  holders(target: LimitTarget): number[] {
    const found: number[] = [];
    const { leases, lines, state } = this.#core;
    if (target.scope !== "queue") {
      for (const seq of lines.gates.find(nameOf(target))?.holders ?? []) {
        found.push(seq);
        if (found.length === holdersMax) break;
      }
      return found.sort((one, other) => one - other);
    }
    let seen = 0;
    for (const seq of leases.values()) {
      if (found.length === holdersMax || ++seen > leasesSeenMax) break;
      if (state.getJob(seq)?.queue === target.queue) found.push(seq);
    }
    return found.sort((one, other) => one - other);
  }

  #whyHeld({ seq, queue, options }: Job): Obstacle {
    const key = options.uniqueKey;
    if (key === undefined || followUpOf(this.#core, queue, key)?.seq !== seq) {
      return { kind: "held" };
    }
    const holder = must(holderOf(this.#core, queue, key), "while a job waits for a key it is held");
    return { kind: "followUp", key, holder: holder.seq };
  }

  #keyObstacles({ seq, queue, options }: Job): Obstacle[] {
    const key = options.lane?.fifo;
    const fifo = key === undefined ? undefined : this.#core.lines.fifo.find(queue, key);
    if (fifo === undefined) return [];
    const oldest = fifo.jobs.topKey();
    if (oldest !== seq) return [{ kind: "fifo", key: fifo.key, holder: oldest }];
    // Run again by hand, it waits for a younger one that runs already.
    return fifo.active === 0 ? [] : [{ kind: "fifo", key: fifo.key, holder: fifo.runner }];
  }

  #limitObstacles({ queue, options }: Job, nowMs: number): LimitObstacle[] {
    const { lane } = options;
    const { lines } = this.#core;
    const own = { gate: lines.gates.open("queue", queue), slots: 1, cost: costOf(lane) };
    const needs = [own, ...(lane === undefined ? [] : lines.needsOf(queue, lane))];
    const found = needs.flatMap((need) => this.shutBy(need, nowMs));
    for (const { gate } of needs) lines.gates.tidy(gate);
    return found;
  }
}
