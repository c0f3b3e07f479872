/**
 * Drives a `RaftNode` one step after another, for hosts that write, send and apply in turn: the
 * transcripts and small tools. Take a batch, persist it, send its messages, apply what is committed,
 * then `advance`.
 *
 * Because persisting comes first, committed entries may be applied from the same batch that writes
 * them, and the messages that wait for the disk are part of the batch's messages.
 */
import { assert } from "../base/assert.ts";
import type { RaftOptions } from "./config.ts";
import type { Entry, HardState, Message, ReadState, Snapshot, SoftState } from "./message.ts";
import { RaftNode } from "./node.ts";
import type { Ready } from "./ready.ts";

export interface SyncBatch {
  readonly soft: SoftState | undefined;
  readonly hard: HardState | undefined;
  readonly reads: readonly ReadState[];
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly committed: readonly Entry[];
  readonly messages: readonly Message[];
  /** A snapshot has to reach the disk as well, whatever this says. */
  readonly mustSync: boolean;
}

export class SyncNode {
  readonly node: RaftNode;
  #taken: Ready | undefined;

  constructor(options: RaftOptions) {
    this.node = new RaftNode({ ...options, applyUnstable: true });
  }

  take(): SyncBatch {
    assert(this.#taken === undefined, "a batch is finished with advance before the next is taken");
    const ready = this.node.takeReady();
    this.#taken = ready;
    const { append, apply, soft, reads } = ready;
    const forPeers = append?.after.filter((message) => message.to !== this.node.state.id) ?? [];
    return {
      soft,
      hard: append?.hard,
      reads,
      entries: append?.entries ?? [],
      snapshot: append?.snapshot,
      committed: apply?.entries ?? [],
      messages: [...ready.messages, ...forPeers],
      mustSync: append !== undefined && (append.entries.length > 0 || append.newTermOrVote),
    };
  }

  /** The batch is persisted, its messages are sent, its committed entries are applied. */
  advance(): void {
    const ready = this.#taken;
    this.#taken = undefined;
    if (ready?.append !== undefined) this.node.appended(ready.append);
    if (ready?.apply !== undefined) this.node.applied(ready.apply);
  }
}
