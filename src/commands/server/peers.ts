/** Joins the consensus group of a node with the network between the nodes. */
import { readFileSync, rmSync } from "node:fs";
import type { Logger } from "../../base/ports.ts";
import type { Member } from "../../engine/state.ts";
import { decodeMessage, encodeMessage } from "../../net/peer/codec.ts";
import type { NodeCondition } from "../../net/peer/condition.ts";
import type { PeerTls } from "../../net/peer/connection.ts";
import type { PeerIdentity } from "../../net/peer/handshake.ts";
import { createPeerTransport, type PeerTransport } from "../../net/peer/transport.ts";
import type { Message } from "../../raft/message.ts";
import type { Group } from "../../replica/group.ts";
import type { Snapshots } from "../../replica/snapshots.ts";
import { keepIncoming } from "../../store/snapshots.ts";
import { systemClock, systemRandom, systemTimers } from "../_shared/system.ts";
import { mainGroup } from "./storage.ts";

export interface PeerSettings {
  readonly clusterId: string;
  readonly uuid: string;
  readonly nodeId: number;
  readonly recoveryEpoch: number;
  readonly secret: Uint8Array;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
  readonly directory: string;
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
  send(to: number, messages: readonly Message[]): void;
  sendSnapshot(to: number, message: Message, done: (ok: boolean) => void): void;
  setMembers(members: readonly Member[]): void;
  lastContactMs(nodeId: number): number | undefined;
  /** How another node is, by its own word. */
  conditionOf(nodeId: number): NodeCondition | undefined;
}

interface PeerEnv {
  readonly logger: Logger;
  readonly group: () => Group;
  readonly snapshots: () => Snapshots;
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
    ...(settings.tls === undefined ? {} : { tls: readTls(settings.tls) }),
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: env.logger,
    groups: () => [mainGroup],
    condition: env.condition,
    isMember: (uuid, nodeId) => known.get(nodeId)?.uuid === uuid,
    onMessages: (group, _from, messages) => {
      if (group === mainGroup) env.group().receive(messages);
    },
    onUnreachable: (nodeId) => env.group().reportUnreachable(nodeId),
    snapshotDirectory: settings.snapshotDirectory,
    onSnapshot: (snapshot) => {
      const decoded = decodeMessage(snapshot.meta);
      const isNewer = decoded.kind === "value" && snapshot.index > env.group().appliedIndex;
      if (!isNewer) {
        rmSync(snapshot.path, { force: true });
        return;
      }
      keepIncoming(settings.directory, snapshot.path, {
        index: snapshot.index,
        term: snapshot.term,
      });
      env.onSnapshotKept();
    },
  });
  const statsOf = (nodeId: number) =>
    transport.stats().peers.find((peer) => peer.nodeId === nodeId);
  const peers: Peers = {
    transport,
    send: (to, messages) => transport.send(to, mainGroup, messages),
    sendSnapshot(to, message, done) {
      const { snapshot } = message;
      const file = snapshot === undefined ? undefined : env.snapshots().lend(snapshot.index);
      if (snapshot === undefined || file === undefined) {
        done(false);
        return;
      }
      transport.sendSnapshot(
        to,
        {
          group: mainGroup,
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
    conditionOf: (nodeId) => statsOf(nodeId)?.condition,
  };
  const connect = () => {
    const others = [...known.values()].filter((peer) => peer.id !== settings.nodeId);
    transport.setPeers(
      new Map(
        others.map(({ id, uuid, peerAddress }) => {
          const at = peerAddress.lastIndexOf(":");
          const host = peerAddress.slice(0, at).replace(/^\[|\]$/g, "");
          return [id, { host, port: Number(peerAddress.slice(at + 1)), uuid }];
        }),
      ),
    );
  };
  connect();
  return peers;
}
