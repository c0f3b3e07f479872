/** Every bound of the peer transport. A frame or queue beyond its bound is refused by name, never cut short. */

const kib = 1024;
const mib = 1024 * kib;

export const peerLimits = {
  /** A frame before the handshake is done: nobody unknown may make this node hold more. */
  handshakeFrameBytesMax: 64 * kib,
  /** A frame of a known node. Must hold the largest entry that consensus lets through. */
  frameBytesMax: 96 * mib,
  /** Messages of one frame; a larger single message gets a frame of its own. */
  batchBytes: 1 * mib,
  /** Waiting for one peer. Beyond it the oldest message that consensus repeats by itself gives way. */
  queueMessagesMax: 8192,
  queueBytesMax: 64 * mib,
  /** Groups that a node may name in its handshake. */
  groupsMax: 4096,
  textBytesMax: 256,
  refusalBytesMax: 1024,
  /** Accepted connections that have not yet proven anything. */
  pendingHandshakesMax: 64,
  handshakeMs: 5000,
  pingMs: 1000,
  /** Silent pings in a row after which a connection is dead: 3 s, counted in pings so that a pause of this process is not held against the peer. */
  silentPingsMax: 3,
  backoffMsMin: 50,
  backoffMsMax: 2000,
  /** Between two log lines of one kind about one address. */
  logEveryMs: 10_000,
  /** Lines of all kinds in that time: a stranger can make up a new reason for every connection. */
  logLinesMax: 50,
  snapshotChunkBytes: 256 * kib,
  snapshotWindowChunks: 8,
  snapshotIdleMs: 10_000,
  /** Written and not yet synced: what else shares the disk must not wait for long, nor the sender at the end. */
  snapshotUnsyncedBytesMax: 8 * mib,
  snapshotMetaBytesMax: 1 * mib,
  /** 1 TiB: no state is larger, and a forged size must not fill a disk unnoticed. */
  snapshotBytesMax: 1024 * 1024 * mib,
} as const;
