/** What the loop needs from outside: a log that makes batches durable, and a state that can be checkpointed. */
import type { State } from "../engine/state.ts";

/** Why an append did not happen. `io` is final: the process must end. */
export interface LogFault {
  readonly kind: "io" | "disk_full";
  readonly message: string;
}

/**
 * The committed sequence of batches. On a single node this is the local log; in a cluster it is consensus. `append` calls
 * back once the entry is as durable as promised, in the order of the calls; after a fault the entry never takes effect.
 */
export interface CommitLog {
  append(index: number, text: string, done: (fault: LogFault | undefined) => void): void;
  /** Entries up to this index are not needed any more. */
  compact(throughIndex: number): void;
}

/** The state with the means to store it. */
export interface StateStore {
  readonly state: State;
  /** Index of the last entry whose effects are stored. */
  readonly storedIndex: number;
  /** Records that changed since the last checkpoint. */
  readonly dirtyCount: number;
  /** Stores everything up to the applied index. Rejects when it could not; nothing is lost then. */
  checkpoint(appliedIndex: number): Promise<void>;
}
