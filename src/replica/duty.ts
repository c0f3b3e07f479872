/**
 * The loop around what whoever leads has to see to: plans of schedules, redrives, bulk actions. It looks when it is asked, when
 * the time comes that the last look named, and once a node begins to lead.
 *
 * - One look at a time. What is asked for during a look is looked for again after it, since that look may not have seen it.
 * - A look that fails is repeated after a pause, which nothing shortens: what was refused is not sent again at once. A
 *   refusal (`CorvoError`) is expected and not logged; anything else is.
 * - Nothing is done on a node that does not lead, and nothing is remembered here: the records say where to go on, so the
 *   next leader does. Another one may look at the same time, so each change that a look proposes names what it was made from.
 */
import { CorvoError } from "../base/errors.ts";
import type { Logger, Timers } from "../base/ports.ts";
import type { Effects } from "../engine/outcome.ts";
import type { Replica } from "./replica.ts";

/** What a node tells those who have a duty to see to. */
export interface LeaderPart {
  /** This node leads now. */
  lead(): void;
  /** What a batch caused, on the node that leads. */
  onEffects(effects: Effects): void;
  /** For good. */
  stop(): void;
}

export interface DutyDeps {
  readonly replica: Pick<Replica, "isLeader">;
  readonly timers: Timers;
  readonly logger: Logger;
}

export interface DutyTask {
  /** What could not be done, as a log says it: "dead jobs could not be redriven". */
  readonly failure: string;
  /**
   * Does what there is to do now; resolves with the milliseconds until there may be more, or `never`. Between two steps it
   * asks `Duty.isOn`, and ends when that is false.
   */
  readonly look: () => Promise<number>;
}

export const never = Number.POSITIVE_INFINITY;

/** How soon a look that failed is repeated. */
const retryMs = 500;

export class Duty {
  readonly #deps: DutyDeps;
  readonly #task: DutyTask;
  #isLooking = false;
  #isAskedFor = false;
  /** Set while a look is put off after a failure. */
  #isHeldBack = false;
  #isStopped = false;
  #cancelTimer: (() => void) | undefined;

  constructor(deps: DutyDeps, task: DutyTask) {
    this.#deps = deps;
    this.#task = task;
  }

  /** May a look go on? */
  get isOn(): boolean {
    return !this.#isStopped && this.#deps.replica.isLeader;
  }

  /** There may be something to do. Cheap; begins before it returns unless a look is under way or held back. */
  ask(): void {
    this.#isAskedFor = true;
    if (this.#isLooking || this.#isHeldBack || !this.isOn) return;
    this.#look();
  }

  /** A node that begins to lead does not wait for the end of a pause from the time when it led before. */
  lead(): void {
    this.#isHeldBack = false;
    this.ask();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  #look(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#isAskedFor = false;
    this.#isLooking = true;
    // Also a look that throws before its first wait is one that failed: the loop must not stay in it.
    Promise.try(() => this.#task.look()).then(
      (waitMs) => this.#looked(waitMs),
      (error: unknown) => this.#failed(error),
    );
  }

  #looked(waitMs: number): void {
    this.#isLooking = false;
    if (!this.isOn) return;
    if (this.#isAskedFor) this.#look();
    else if (waitMs !== never) this.#sleep(waitMs);
  }

  #failed(error: unknown): void {
    this.#isLooking = false;
    const { failure } = this.#task;
    if (!(error instanceof CorvoError)) this.#deps.logger.error(failure, { error });
    if (!this.isOn) return;
    this.#isHeldBack = true;
    this.#sleep(retryMs);
  }

  /** Whole milliseconds: what rounding leaves of a wait would make look follow look at one and the same time. */
  #sleep(waitMs: number): void {
    this.#cancelTimer = this.#deps.timers.after(Math.ceil(waitMs), () => {
      this.#isHeldBack = false;
      this.ask();
    });
  }
}
