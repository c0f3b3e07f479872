/**
 * Settings of one member of one group, with defaults, checked once at the border.
 *
 * Time is counted in ticks; the host decides how long a tick is. The defaults assume 50 ms: a
 * heartbeat every 100 ms and an election after one to two seconds of silence.
 */
import type { Random } from "../base/ports.ts";
import { type Index, isLocalThread, type NodeId, none, unbounded } from "./message.ts";
import type { LogStorage } from "./storage.ts";

/** Events worth telling an operator. Debug lines are for transcripts and bug reports. */
export interface RaftLogger {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/**
 * safe: a read waits for a round of heartbeats. lease: it does not if the last round is recent enough,
 * which is right as long as the ticks of members differ in speed by less than a quarter and no member
 * misses ticks unnoticed.
 */
export type ReadMode = "safe" | "lease";

export interface RaftConfig {
  readonly id: NodeId;
  readonly storage: LogStorage;
  /** Spreads election timeouts; members must not share a seed. */
  readonly random: Random;
  readonly logger: RaftLogger;
  /** Index up to which the state machine has applied, after a restart. 0: what the log starts at. */
  readonly applied: Index;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Bytes of one append message. 0 means one entry a message. */
  readonly messageBytesMax: number;
  /** Bytes handed out for applying and not yet reported as applied. */
  readonly applyingBytesMax: number;
  /** Payload bytes a leader accepts beyond what is committed. */
  readonly uncommittedBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Reads that wait for a commit or a quorum, in all. */
  readonly pendingReadsMax: number;
  readonly checkQuorum: boolean;
  readonly preVote: boolean;
  readonly readMode: ReadMode;
  /** Whether a follower passes proposals on. Off when the leader must stamp what it proposes. */
  readonly forwardProposals: boolean;
  /** Off only if something above serialises changes: a wrong one then stops every member. */
  readonly validateConfChanges: boolean;
  /**
   * A leader that was removed steps down at once. The others may not know yet that the removal is
   * committed, and in a very small group they then need its vote, which they do not get while its
   * log is longer: hand leadership over before removing a leader. Without this option it goes on
   * leading, takes no proposals, and has to be shut down.
   */
  readonly stepDownOnRemoval: boolean;
  /** Apply entries that are committed by others before the local disk has them. */
  readonly applyUnstable: boolean;
}

export type RaftOptions = Pick<RaftConfig, "id" | "storage" | "random"> & Partial<RaftConfig>;

export class RaftConfigError extends Error {
  override name = "RaftConfigError";
}

const silentLogger: RaftLogger = { debug() {}, info() {}, warn() {}, error() {} };

const defaults = {
  logger: silentLogger,
  applied: 0,
  electionTicks: 20,
  heartbeatTicks: 2,
  messageBytesMax: 1 << 20,
  uncommittedBytesMax: 64 << 20,
  inflightMessagesMax: 256,
  inflightBytesMax: 8 << 20,
  pendingReadsMax: 65_536,
  checkQuorum: true,
  preVote: true,
  readMode: "safe",
  forwardProposals: false,
  validateConfChanges: true,
  stepDownOnRemoval: true,
  applyUnstable: false,
} as const satisfies Partial<RaftConfig>;

/** A message of no more than 0 bytes still carries one entry. */
const leastBounds = {
  messageBytesMax: 0,
  applyingBytesMax: 1,
  uncommittedBytesMax: 1,
  inflightMessagesMax: 1,
  inflightBytesMax: 1,
  pendingReadsMax: 1,
} as const satisfies Partial<RaftConfig>;

export function resolveConfig(options: RaftOptions): RaftConfig {
  const config: RaftConfig = {
    ...defaults,
    applyingBytesMax: options.messageBytesMax ?? defaults.messageBytesMax,
    ...options,
  };
  const problem = findProblem(config);
  if (problem !== undefined) throw new RaftConfigError(`raft settings: ${problem}`);
  return config;
}

function findProblem(config: RaftConfig): string | undefined {
  const { id, electionTicks, heartbeatTicks } = config;
  if (!Number.isSafeInteger(id) || id <= none || isLocalThread(id)) {
    return `id is ${id}; use a positive id below ${unbounded - 1}`;
  }
  if (!(heartbeatTicks > 0)) return `heartbeatTicks is ${heartbeatTicks}; use 1 or more`;
  if (!(electionTicks > heartbeatTicks)) {
    return `electionTicks is ${electionTicks}; use more than heartbeatTicks (${heartbeatTicks})`;
  }
  for (const [name, least] of Object.entries(leastBounds)) {
    const value = config[name as keyof typeof leastBounds];
    if (!Number.isSafeInteger(value) || value < least) {
      return `${name} is ${value}; use a whole number from ${least}`;
    }
  }
  if (config.inflightBytesMax < config.messageBytesMax) {
    return `inflightBytesMax is ${config.inflightBytesMax}; use at least messageBytesMax (${config.messageBytesMax})`;
  }
  if (config.readMode === "lease" && !config.checkQuorum) {
    return "readMode is lease; turn checkQuorum on, which is what ends a lease";
  }
  return undefined;
}
