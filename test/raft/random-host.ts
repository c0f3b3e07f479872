/** A machine in a random cluster: a node, its disk, its state machine, and what they have to do. */
import { emptySnapshot, MemoryLog } from "../../src/raft/memory-log.ts";
import type { NodeId, Snapshot } from "../../src/raft/message.ts";
import type { RaftNode } from "../../src/raft/node.ts";
import type { AppendWork, ApplyWork } from "../../src/raft/ready.ts";

/** Makes a new snapshot whenever it is asked for one that the stored one cannot stand in for. */
class FreshSnapshotLog extends MemoryLog {
  current: () => Snapshot = () => emptySnapshot;

  override snapshot(to: NodeId): Snapshot | "unavailable" {
    if (super.snapshot(to) === "unavailable") this.saveSnapshot(this.current());
    return super.snapshot(to);
  }
}

export class Host {
  readonly id: NodeId;
  readonly storage = new FreshSnapshotLog();
  state: Snapshot;
  node: RaftNode | undefined;
  appends: AppendWork[] = [];
  applies: ApplyWork[] = [];

  constructor(id: NodeId, start: Snapshot) {
    this.id = id;
    this.state = start;
    this.storage.current = () => this.state;
    if (start.index > 0) this.storage.installSnapshot(start);
  }
}
