/** What the loop needs from outside: consensus over a log, and a state that can be checkpointed. */
import type { State } from "../engine/state.ts";
import type { ConfState } from "../raft/message.ts";
import type { ProposeResult } from "../raft/node.ts";

/** The committed sequence of batches, as far as the replica uses it. `Group` is the one implementation. */
export interface Consensus {
  /** Does this node lead, with everything from before its term applied? Only then it may propose. */
  readonly isReady: boolean;
  /** Index of the last applied entry of any kind. */
  readonly appliedIndex: number;
  propose(data: Uint8Array): ProposeResult;
  /** Resolves when reading the applied state is linearizable; rejects when this node does not lead. */
  readBarrier(): Promise<void>;
}

/** Where the applied state stands in the log; stored together with it. */
export interface AppliedPoint {
  readonly index: number;
  /** The membership after that entry. */
  readonly conf: ConfState;
}

/** The state with the means to store it. */
export interface StateStore {
  readonly state: State;
  /** What the stored state reflects; index 0 and no members in a new store. */
  readonly stored: AppliedPoint;
  /** Records that changed since the last checkpoint. */
  readonly dirtyCount: number;
  /** Stores everything up to the applied point. Rejects when it could not; nothing is lost then. */
  checkpoint(point: AppliedPoint): Promise<void>;
}
