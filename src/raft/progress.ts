/**
 * What the leader knows about the log of one member, and how it may send to it.
 *
 * - probe: the end of the member's log is a guess. One append per heartbeat until one is answered.
 * - replicate: the guess is confirmed. Appends are pipelined, `next` runs ahead of `match`, and the
 *   in-flight window bounds how far.
 * - snapshot: the entries it needs are gone. Nothing is sent until the snapshot's fate is known.
 *
 * Invariants: match < next; match never falls while this object lives; in `snapshot` the window is
 * empty and next = pendingSnapshot + 1.
 */
import { assert } from "../base/assert.ts";
import type { Inflights } from "./inflights.ts";
import type { Index } from "./message.ts";

export type ProgressState = "StateProbe" | "StateReplicate" | "StateSnapshot";

export class Progress {
  /** Highest index known to be in the member's durable log and equal to ours. */
  match: Index;
  /** Index of the next entry to send. Entries between match and next are under way. */
  next: Index;
  state: ProgressState = "StateProbe";
  /** In `StateSnapshot`, the index of the snapshot that was sent; otherwise 0. */
  pendingSnapshot: Index = 0;
  /** Heard from since the last quorum check. Always true for the leader itself. */
  recentActive = false;
  /** One unanswered probe or a full window: send nothing until a heartbeat response. */
  paused = false;
  /** The leader's tick at which the last heartbeat was sent that the member has answered. */
  ackedBeat = 0;
  isLearner: boolean;
  readonly inflights: Inflights;
  /** Highest commit index already on its way to the member, to avoid empty appends. */
  #sentCommit: Index = 0;

  constructor(next: Index, inflights: Inflights, isLearner: boolean) {
    this.match = 0;
    this.next = next;
    this.inflights = inflights;
    this.isLearner = isLearner;
  }

  /** A copy that may change its role without touching the original. The window is shared. */
  clone(): Progress {
    const copy = new Progress(this.next, this.inflights, this.isLearner);
    copy.match = this.match;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.paused = this.paused;
    copy.ackedBeat = this.ackedBeat;
    copy.#sentCommit = this.#sentCommit;
    return copy;
  }

  becomeProbe(): void {
    // After a delivered snapshot the member's log ends at the snapshot, not at match.
    const delivered = this.state === "StateSnapshot" ? this.pendingSnapshot : 0;
    this.#enter("StateProbe");
    this.next = Math.max(this.match, delivered) + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter("StateReplicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: Index): void {
    this.#enter("StateSnapshot");
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.#sentCommit = index;
  }

  sentEntries(count: number, bytes: number): void {
    assert(this.state !== "StateSnapshot", "nothing is appended while a snapshot is under way");
    if (this.state === "StateProbe") {
      if (count > 0) this.paused = true;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.inflights.add(this.next - 1, bytes);
    }
    // A message into a full window is itself a probe: wait for a heartbeat before the next one.
    this.paused = this.inflights.isFull;
  }

  /** Whether telling the member about `commit` could move its commit index. */
  canBumpCommit(commit: Index): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.next - 1;
  }

  sentCommit(commit: Index): void {
    this.#sentCommit = commit;
  }

  /** Takes an acknowledgement of everything up to `index`. False if that was known already. */
  maybeUpdate(index: Index): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.paused = false;
    return true;
  }

  /**
   * Takes the rejection of an append that followed entry `rejected`, with a hint where the logs may
   * meet. False if the rejection is older than what we know.
   */
  maybeDecrease(rejected: Index, hint: Index): boolean {
    if (this.state === "StateReplicate") {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      // Only one probe is under way, so anything else is a late or repeated answer.
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
      this.paused = false;
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
    return true;
  }

  get isPaused(): boolean {
    return this.state === "StateSnapshot" || this.paused;
  }

  toString(): string {
    let text = `${this.state} match=${this.match} next=${this.next}`;
    if (this.isLearner) text += " learner";
    if (this.isPaused) text += " paused";
    if (this.pendingSnapshot > 0) text += ` pendingSnap=${this.pendingSnapshot}`;
    if (!this.recentActive) text += " inactive";
    if (this.inflights.count > 0) {
      text += ` inflight=${this.inflights.count}${this.inflights.isFull ? "[full]" : ""}`;
    }
    return text;
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }
}
