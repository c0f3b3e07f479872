/**
 * Children that are to be cancelled with their parent, as the entries that are applied tell. Those that were unfinished when
 * their parent was cancelled must end after it, by that or by themselves; and none is cancelled for a parent that is not.
 * That takes some batches, so what is owed is looked at in the end. An operator who runs the parent again takes it back.
 */
import { parseJobId } from "../../src/base/ids.ts";
import { isFinished, type Job, type JobState } from "../../src/engine/job.ts";

export class CascadeLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #states = new Map<number, JobState>();
  /** Unfinished children that go with their parent, by parent. */
  readonly #children = new Map<number, Set<number>>();
  /** Children that have not ended since their parent was cancelled, with that parent. */
  readonly #owed = new Map<number, number>();

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  jobChanges(previous: Job | undefined, next: Job): void {
    const { seq, state } = next;
    this.#states.set(seq, state);
    const parent = parentOf(next);
    if (parent !== undefined) this.#childChanges(next, parent);
    const wasLive = previous !== undefined && !isFinished(previous.state);
    if (wasLive && state === "cancelled") {
      for (const child of this.#children.get(seq) ?? []) this.#owed.set(child, seq);
    }
    if (previous?.state !== "cancelled" || state === "cancelled") return;
    for (const [child, owner] of this.#owed) if (owner === seq) this.#owed.delete(child);
  }

  /** At the end, when nothing is left to do. */
  check(): void {
    for (const [child, parent] of this.#owed) {
      this.#report(
        `job ${child} is ${this.#states.get(child)}, and its parent ${parent} was cancelled long ago`,
      );
    }
  }

  #childChanges({ seq, state, reason }: Job, parent: number): void {
    const siblings = this.#children.get(parent) ?? new Set();
    this.#children.set(parent, siblings);
    if (!isFinished(state)) {
      siblings.add(seq);
      return;
    }
    siblings.delete(seq);
    this.#owed.delete(seq);
    if (state !== "cancelled" || reason?.startsWith("cancelled with its parent ") !== true) return;
    this.#note("cascades");
    const found = this.#states.get(parent);
    if (found === "cancelled") return;
    this.#report(`job ${seq} was cancelled with its parent ${parent}, which is ${found}`);
  }
}

function parentOf({ options: { parentId, cascadeCancel } }: Job): number | undefined {
  return cascadeCancel && parentId !== undefined ? parseJobId(parentId)?.seq : undefined;
}
