/** Joins the consensus groups of a node with the network between the nodes. */
import { readFileSync, rmSync } from "node:fs";
import type { Logger } from "../../base/ports.ts";
import type { Member } from "../../engine/state.ts";
import { decodeMessage, encodeMessage } from "../../net/peer/codec.ts";
import type { NodeCondition } from "../../net/peer/condition.ts";
import type { PeerTls } from "../../net/peer/connection.ts";
import type { PeerIdentity } from "../../net/peer/handshake.ts";
import type { ReceivedSnapshot } from "../../net/peer/snapshot-inbox.ts";
import {
  createPeerTransport,
  type PeerStats,
  type PeerTransport,
} from "../../net/peer/transport.ts";
import type { Message } from "../../raft/message.ts";
import type { Group } from "../../replica/group.ts";
import type { Snapshots } from "../../replica/snapshots.ts";
import type { ShardFiles } from "../../store/shard-files.ts";
import { keepIncoming } from "../../store/snapshots.ts";
import { systemClock, systemRandom, systemTimers } from "../_shared/system.ts";
import { partsOf } from "./addresses.ts";

export interface PeerSettings {
  readonly clusterId: string;
  readonly uuid: string;
  readonly nodeId: number;
  readonly recoveryEpoch: number;
  readonly secret: Uint8Array;
  readonly alsoAccepted: Uint8Array | undefined;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
  /** Of each shard, by its number. */
  readonly files: readonly ShardFiles[];
  readonly snapshotDirectory: string;
  /** Members as the node that was asked to join told them; the log tells the rest. */
  readonly firstPeers: readonly {
    readonly id: number;
    readonly uuid: string;
    readonly peerAddress: string;
  }[];
}

export interface Peers {
  readonly transport: PeerTransport;
  send(to: number, group: number, messages: readonly Message[]): void;
  sendSnapshot(
    to: number,
    what: { readonly group: number; readonly message: Message },
    done: (ok: boolean) => void,
  ): void;
  setMembers(members: readonly Member[]): void;
  lastContactMs(nodeId: number): number | undefined;
  /** What the transport knows of another node; undefined of this one, and of nodes that it has not been told of. */
  statsOf(nodeId: number): PeerStats | undefined;
  /** How a node is by its own word, this one included. */
  conditionOf(nodeId: number): NodeCondition | undefined;
}

interface PeerEnv {
  readonly logger: Logger;
  /** Of each shard, by its number. */
  readonly shards: () => readonly { readonly group: Group; readonly snapshots: Snapshots }[];
  readonly condition: () => NodeCondition;
  /** A newer state has arrived; the node has to start again to take it on. */
  readonly onSnapshotKept: () => void;
}

function readTls(files: { cert: string; key: string; ca: string }): PeerTls {
  const read = (path: string) => readFileSync(path, "utf8");
  return {
    cert: read(files.cert),
    key: read(files.key),
    ca: read(files.ca),
    requireClientCert: true,
  };
}

function identityOf({ clusterId, uuid, nodeId, recoveryEpoch }: PeerSettings): PeerIdentity {
  return { clusterId, uuid, nodeId, recoveryEpoch };
}

export function createPeers(settings: PeerSettings, env: PeerEnv): Peers {
  const known = new Map(settings.firstPeers.map((peer) => [peer.id, peer]));
  const transport = createPeerTransport({
    self: identityOf(settings),
    secret: settings.secret,
    ...(settings.alsoAccepted === undefined ? {} : { alsoAccepted: settings.alsoAccepted }),
    ...(settings.tls === undefined ? {} : { tls: readTls(settings.tls) }),
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: env.logger,
    groups: () => settings.files.map(({ shard }) => shard),
    condition: env.condition,
    isMember: (uuid, nodeId) => known.get(nodeId)?.uuid === uuid,
    onMessages: (group, _from, messages) => env.shards()[group]?.group.receive(messages),
    onUnreachable: (nodeId) => {
      for (const { group } of env.shards()) group.reportUnreachable(nodeId);
    },
    snapshotDirectory: settings.snapshotDirectory,
    onSnapshot: (snapshot) => takeSnapshot(snapshot, settings, env),
  });
  const statsOf = (nodeId: number) =>
    transport.stats().peers.find((peer) => peer.nodeId === nodeId);
  const peers: Peers = {
    transport,
    send: (to, group, messages) => transport.send(to, group, messages),
    sendSnapshot(to, { group, message }, done) {
      const { snapshot } = message;
      const made = env.shards()[group]?.snapshots;
      const file = snapshot === undefined ? undefined : made?.lend(snapshot.index);
      if (snapshot === undefined || file === undefined) {
        done(false);
        return;
      }
      transport.sendSnapshot(
        to,
        {
          group,
          index: snapshot.index,
          term: snapshot.term,
          meta: encodeMessage(message),
          path: file.path,
          sizeBytes: file.bytes,
        },
        (ok, reason) => {
          file.giveBack();
          if (!ok) env.logger.warn(`a snapshot did not reach node ${to}: ${reason}`);
          done(ok);
        },
      );
    },
    setMembers(members) {
      for (const { id, uuid, peerAddress } of members) known.set(id, { id, uuid, peerAddress });
      const gone = [...known.keys()].filter((id) => !members.some((member) => member.id === id));
      if (members.length > 0) for (const id of gone) known.delete(id);
      connect();
    },
    lastContactMs: (nodeId) => statsOf(nodeId)?.lastContactMs,
    statsOf,
    conditionOf: (nodeId) =>
      nodeId === settings.nodeId ? env.condition() : statsOf(nodeId)?.condition,
  };
  const connect = () => {
    const others = [...known.values()].filter((peer) => peer.id !== settings.nodeId);
    transport.setPeers(
      new Map(
        others.map(({ id, uuid, peerAddress }) => {
          return [id, { ...partsOf(peerAddress), uuid }];
        }),
      ),
    );
  };
  connect();
  return peers;
}

/** Keeps a snapshot that is newer than what the shard has, for the next start. */
function takeSnapshot(snapshot: ReceivedSnapshot, settings: PeerSettings, env: PeerEnv): void {
  const { path, index, term } = snapshot;
  const isWhole = decodeMessage(snapshot.meta).kind === "value";
  const files = settings.files[snapshot.group];
  const appliedIndex = env.shards()[snapshot.group]?.group.appliedIndex;
  if (!isWhole || files === undefined || appliedIndex === undefined || index <= appliedIndex) {
    rmSync(path, { force: true });
    return;
  }
  keepIncoming(files, path, { index, term });
  env.onSnapshotKept();
}
