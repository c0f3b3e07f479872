/**
 * What a node tells a Prometheus server of the others in its cluster: how it reaches them and, of the shards that it leads,
 * how far their logs are.
 */
import type { PeerStats } from "../../net/peer/transport.ts";
import type { ProgressState } from "../../raft/progress.ts";
import type { Page } from "./metrics-page.ts";
import type { ShardCore } from "./shard.ts";

interface MeasuredPeers {
  readonly cores: readonly ShardCore[];
  readonly peers: readonly PeerStats[];
}

export function tellPeers(page: Page, measured: MeasuredPeers): void {
  tellLinks(page, measured.peers);
  tellLogs(page, measured);
}

function tellLinks(page: Page, peers: readonly PeerStats[]): void {
  const each = (value: (peer: PeerStats) => number | undefined) =>
    peers.flatMap((peer) => {
      const found = value(peer);
      return found === undefined ? [] : [[{ peer: String(peer.nodeId) }, found] as const];
    });
  page.gauge(
    "corvo_peer_connected",
    "1 while this node has a connection to the peer.",
    each(({ isConnected }) => (isConnected ? 1 : 0)),
  );
  page.gauge(
    "corvo_peer_silent_seconds",
    "Since the peer was last heard, or since it became one.",
    each(({ silentMs }) => silentMs / 1000),
  );
  page.gauge(
    "corvo_peer_round_trip_seconds",
    "From a ping to its answer, the last time.",
    each(({ rttMs }) => (rttMs === undefined ? undefined : rttMs / 1000)),
  );
  page.gauge(
    "corvo_peer_clock_skew_seconds",
    "How far the clock of the peer is ahead of that of this node.",
    // Of one that does not call it is old.
    each(({ isCalling, clockSkewMs }) =>
      isCalling && clockSkewMs !== undefined ? clockSkewMs / 1000 : undefined,
    ),
  );
  page.gauge(
    "corvo_peer_queued_bytes",
    "Of messages that wait to be sent to the peer.",
    each(({ queuedBytes }) => queuedBytes),
  );
  page.counter(
    "corvo_peer_sent_bytes_total",
    "Messages sent to the peer, without snapshots.",
    each(({ sentBytes }) => sentBytes),
  );
  page.counter(
    "corvo_peer_received_bytes_total",
    "Messages received from the peer, without snapshots.",
    each(({ receivedBytes }) => receivedBytes),
  );
  page.counter(
    "corvo_peer_sent_snapshot_bytes_total",
    "Snapshots sent to the peer, as far as it has written them.",
    each(({ sentSnapshotBytes }) => sentSnapshotBytes),
  );
}

const sendingStates: Readonly<Record<ProgressState, number>> = {
  StateProbe: 0,
  StateReplicate: 1,
  StateSnapshot: 2,
};

/** Only a leader knows the logs of the others. */
function tellLogs(page: Page, { cores, peers }: MeasuredPeers): void {
  const known = cores
    .filter(({ group }) => group.state.role === "leader")
    .flatMap(({ shard, group: { state } }) =>
      peers.flatMap(({ nodeId }) => {
        const progress = state.tracker.get(nodeId);
        if (progress === undefined) return [];
        const labels = { shard: String(shard), peer: String(nodeId) };
        return { labels, progress, lastIndex: state.log.lastIndex() };
      }),
    );
  page.gauge(
    "corvo_peer_lag_entries",
    "Log entries that the peer is not known to have on its disk.",
    known.map(({ labels, progress, lastIndex }) => [
      labels,
      Math.max(0, lastIndex - progress.match),
    ]),
  );
  page.gauge(
    "corvo_peer_replication_state",
    "0 while the end of the peer's log is looked for, 1 replicating, 2 while a snapshot is on its way.",
    known.map(({ labels, progress }) => [labels, sendingStates[progress.state]]),
  );
}
