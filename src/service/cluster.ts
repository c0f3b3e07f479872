/** What the cluster operations need from the node: its members, its role, and the changes an operator may ask for. */

export interface ClusterMember {
  readonly id: number;
  readonly uuid: string;
  /** Address of its HTTP API, as other machines reach it. */
  readonly httpUrl: string;
  /** `HOST:PORT` of its peer port. */
  readonly peerAddress: string;
  readonly version: string;
  readonly voter: boolean;
  /** As seen from this node; the leader knows all of them, a follower only itself and the leader. */
  readonly role: "leader" | "follower" | "candidate" | "learner" | "unknown";
  readonly self: boolean;
  /** Entries that it lacks; undefined when this node does not know. */
  readonly lag: number | undefined;
  readonly lastContactMs: number | undefined;
  /** Of its file system and of its log and state, by its own word; undefined when it said nothing. */
  readonly disk: { readonly freeBytes: number; readonly usedBytes: number } | undefined;
  readonly state: "ok" | "draining" | "catching up" | "unreachable" | "unknown";
  /** By its own word, jobs use blobs that it has not fetched yet. */
  readonly lacksBlobs: boolean;
  /** How far its wall clock is ahead of this node's, or behind if negative; undefined when it did not say. */
  readonly clockSkewMs: number | undefined;
  /** It calls this node, which cannot call it: it runs, and what lies between does not let both ways through. */
  readonly isOneWay: boolean;
  /** Why this node cannot call it, when it cannot. */
  readonly failure: string | undefined;
}

export interface ClusterView {
  /** Which changes the log may hold; it rises once all nodes run a version that knows more. */
  readonly featureLevel: number;
  readonly clusterId: string;
  readonly recoveryEpoch: number;
  readonly selfId: number;
  readonly role: "leader" | "follower" | "candidate" | "learner";
  readonly term: number;
  readonly leaderId: number | undefined;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly members: readonly ClusterMember[];
  /** Every shard as this node sees it; empty where there is one. */
  readonly shards: readonly ShardView[];
}

export interface ShardView {
  readonly shard: number;
  readonly leaderId: number | undefined;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
}

export interface JoinRequest {
  readonly uuid: string;
  readonly httpUrl: string;
  readonly peerAddress: string;
  readonly version: string;
  /** Shows that the joiner knows the cluster's secret, without telling it. */
  readonly proof?: string;
  /** It shows other nodes a certificate and asks for theirs. */
  readonly peerTls?: boolean;
  /** Cluster that the joiner's directory already belongs to, if any. */
  readonly clusterId?: string;
  /** Shards that it was told the cluster has, if any. */
  readonly shards?: number;
}

/** A node that was started to form a cluster with others asks another one how it is. */
export interface MeetRequest {
  readonly uuid: string;
  readonly httpUrl: string;
  readonly peerAddress: string;
  /** Nodes that it waits for. */
  readonly expect: number;
  readonly proof?: string;
  /** It shows other nodes a certificate and asks for theirs. */
  readonly peerTls?: boolean;
}

export interface MeetAnswer {
  readonly uuid: string;
  readonly httpUrl: string;
  /** Of the cluster that it belongs to; undefined while it waits itself. */
  readonly clusterId: string | undefined;
  /** Do nodes have to prove that they know a secret? */
  readonly hasSecret: boolean;
  /** Whom it has met lately that waits as well. */
  readonly knows: readonly string[];
}

export interface JoinAnswer {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly shards: number;
  /** How often the cluster was cut down to one node by force. */
  readonly recoveryEpoch: number;
  /** Peer addresses of the members by id. */
  readonly peers: readonly {
    readonly id: number;
    readonly uuid: string;
    readonly peerAddress: string;
  }[];
}

export interface SnapshotMade {
  readonly nodeId: number;
  /** Last entry that it holds. */
  readonly index: number;
  readonly bytes: number;
  readonly durationMs: number;
  /** Where the node's log begins after it. */
  readonly logFirst: number;
}

/** Whether this node gives out work to its own clients; see `net/http/drain.ts`. */
export interface DrainControl {
  readonly isOn: boolean;
  /** Nobody is given work here any more, and nobody holds what was given out. */
  readonly isDone: boolean;
  readonly leaseCount: number;
  begin(): void;
  end(): void;
  /** Resolves when nobody is given work any more, which is soon after it began. */
  quiet(): Promise<void>;
}

/** All of these reject with a CorvoError; those that change something only work on the leader. */
export interface ClusterControl {
  view(): ClusterView;
  /** Adds a node as learner; it is promoted by itself once it has caught up. The same uuid gets the same id again. */
  join(request: JoinRequest): Promise<JoinAnswer>;
  /** What a member says to a node that would form a cluster. Throws when that does not know the secret. */
  meet(request: MeetRequest): MeetAnswer;
  remove(nodeId: number): Promise<void>;
  /** Hands leadership to this member, or to the one that is furthest when none is named. */
  transferLeadership(nodeId: number | undefined): Promise<void>;
  setVoter(nodeId: number, voter: boolean): Promise<void>;
  /** Lets another voter lead, if this node does and another one can. Says in the log why not. */
  handOver(): Promise<void>;
  /** On this member, or on the leader when none is named. */
  snapshot(nodeId: number | undefined): Promise<SnapshotMade>;
  /** HTTP address of the leader, when it is another node and known. */
  leaderUrl(): string | undefined;
}
