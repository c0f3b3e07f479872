/**
 * How two nodes come to trust one connection. No I/O: bytes of frames in, bytes of frames out.
 *
 *   caller   hello      versions, purpose, who I am, whom I want, nonce
 *   acceptor challenge  version, who I am, nonce            or  refused
 *   caller   proof      HMAC(secret, caller label, hello, challenge)
 *   acceptor welcome    HMAC(secret, acceptor label, hello, challenge)   or  refused
 *
 * Both proofs cover both payloads whole, so nothing in them (versions, ids, purpose) can be altered or played back, and
 * the two labels keep a proof from being reflected to its maker. The caller proves first: whoever only listens on the
 * port gets no sample of the secret. Payloads may be longer than a reader knows: later versions append, and the proof
 * covers what they appended.
 *
 * An acceptor may know a second secret, while a cluster goes over from one to another, and answers with the one that the caller showed.
 * So two nodes trust each other when each accepts the secret that the other one shows when it calls.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { encodeFrame, type FrameType, frameTypes } from "./frame.ts";
import { peerLimits } from "./limits.ts";

/** What this program speaks. The lowest one is raised only when no release that can still be upgraded from needs it. */
export const peerVersions = { min: 1, max: 2 } as const;

/** From this version on a node tells its condition with every ping; an older one would end the connection. */
export const conditionVersion = 2;

/** What a connection is for: consensus messages, or one snapshot file. */
export type Purpose = "messages" | "snapshot";
const purposeCodes: Readonly<Record<Purpose, number>> = { messages: 1, snapshot: 2 };

export interface PeerIdentity {
  /** UUID of the cluster. */
  readonly clusterId: string;
  /** UUID of the node's data directory. */
  readonly uuid: string;
  /** Consensus id. */
  readonly nodeId: number;
  /** How often the cluster was cut down to one node by force; programs that cannot say so are of epoch 0. */
  readonly recoveryEpoch: number;
}

/** The other side, proven. */
export interface KnownPeer {
  readonly uuid: string;
  readonly nodeId: number;
  readonly version: number;
  readonly purpose: Purpose;
  /** The groups it says it hosts. */
  readonly groups: readonly number[];
}

export interface HandshakeConfig {
  readonly self: PeerIdentity;
  readonly secret: Uint8Array;
  /** Callers may show this one instead. */
  readonly alsoAccepted?: Uint8Array;
  readonly versions: { readonly min: number; readonly max: number };
  readonly groups?: () => readonly number[];
}

export type HandshakeStep =
  | { readonly kind: "reply"; readonly bytes: Uint8Array }
  /** `bytes`, if any, is sent first. */
  | { readonly kind: "ready"; readonly peer: KnownPeer; readonly bytes?: Uint8Array }
  /** Over. `bytes`, if any, tells the other side why. */
  | { readonly kind: "failed"; readonly reason: string; readonly bytes?: Uint8Array };

const magic = 0x50_56_52_43;
const nonceBytes = 32;
const proofBytes = 32;
const callerLabel = "corvo peer 1: caller";
const acceptorLabel = "corvo peer 1: acceptor";

interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly purpose: Purpose;
  readonly from: PeerIdentity;
  readonly to: { readonly uuid: string; readonly nodeId: number };
  readonly groups: readonly number[];
}

interface Challenge {
  readonly version: number;
  readonly from: PeerIdentity;
  readonly groups: readonly number[];
}

function proofOf(
  secret: Uint8Array,
  label: string,
  hello: Uint8Array,
  challenge: Uint8Array,
): Buffer {
  const writer = new ByteWriter(1024);
  writer.text(label);
  writer.bytes(hello);
  writer.bytes(challenge);
  return createHmac("sha256", secret).update(writer.written()).digest();
}

function isProof(given: Uint8Array, wanted: Buffer): boolean {
  return given.length === proofBytes && timingSafeEqual(given, wanted);
}

/** Tells the other side, in one sentence, why this connection is over. */
export function refusal(reason: string): HandshakeStep {
  const bytes = encodeFrame(frameTypes.refused, (writer) => writer.text(reason));
  return { kind: "failed", reason, bytes };
}

const failed = (reason: string): HandshakeStep => ({ kind: "failed", reason });

function describe(node: { readonly nodeId: number; readonly uuid: string }): string {
  return `node ${node.nodeId} (${node.uuid})`;
}

/** The caller's side. `start` once, then every frame until something other than a reply comes back. */
export class CallerHandshake {
  readonly #config: HandshakeConfig;
  readonly #target: { readonly uuid: string; readonly nodeId: number };
  readonly #purpose: Purpose;
  #hello = new Uint8Array(0);
  #challengeBytes = new Uint8Array(0);
  #challenge: Challenge | undefined;

  constructor(
    config: HandshakeConfig,
    target: { readonly uuid: string; readonly nodeId: number },
    purpose: Purpose,
  ) {
    this.#config = config;
    this.#target = target;
    this.#purpose = purpose;
  }

  start(): Uint8Array {
    const { versions } = this.#config;
    const writer = new ByteWriter(512);
    writer.u32(magic);
    writer.u8(versions.min);
    writer.u8(versions.max);
    writer.u8(purposeCodes[this.#purpose]);
    writeIdentity(writer, this.#config.self);
    writer.text(this.#target.uuid);
    writer.varint(this.#target.nodeId);
    writer.raw(randomBytes(nonceBytes));
    writeGroups(writer, this.#config.groups?.() ?? []);
    writer.varint(this.#config.self.recoveryEpoch);
    this.#hello = writer.written().slice();
    return encodeFrame(frameTypes.hello, (frame) => frame.raw(this.#hello));
  }

  onFrame(type: FrameType, payload: Uint8Array): HandshakeStep {
    if (type === frameTypes.refused) return failed(readRefusal(payload));
    if (type === frameTypes.challenge && this.#challenge === undefined) {
      return this.#onChallenge(payload.slice());
    }
    if (type === frameTypes.welcome && this.#challenge !== undefined) {
      return this.#onWelcome(payload, this.#challenge);
    }
    return failed(`it answered with a frame of type ${type} in the middle of the handshake`);
  }

  #onChallenge(bytes: Uint8Array<ArrayBuffer>): HandshakeStep {
    const reader = new ByteReader(bytes);
    const version = reader.u8();
    const named = readIdentity(reader);
    reader.raw(nonceBytes);
    const groups = readGroups(reader);
    const from = { ...named, recoveryEpoch: readEpoch(reader) };
    if (reader.fault !== undefined) return failed(`its challenge is malformed: ${reader.fault}`);
    const { self, versions, secret } = this.#config;
    if (from.clusterId !== self.clusterId) return refusal(otherCluster(self, from));
    if (from.recoveryEpoch !== self.recoveryEpoch) return refusal(otherEpoch(self, from));
    if (from.uuid !== this.#target.uuid || from.nodeId !== this.#target.nodeId) {
      return refusal(`${describe(this.#target)} was called and ${describe(from)} answered`);
    }
    if (version < versions.min || version > versions.max) {
      return refusal(`peer protocol ${version} was chosen and was not on offer`);
    }
    this.#challenge = { version, from, groups };
    this.#challengeBytes = bytes;
    const proof = proofOf(secret, callerLabel, this.#hello, bytes);
    return { kind: "reply", bytes: encodeFrame(frameTypes.proof, (frame) => frame.raw(proof)) };
  }

  #onWelcome(payload: Uint8Array, challenge: Challenge): HandshakeStep {
    const wanted = proofOf(this.#config.secret, acceptorLabel, this.#hello, this.#challengeBytes);
    if (!isProof(payload, wanted)) {
      return failed(`${describe(challenge.from)} could not prove that it knows the cluster secret`);
    }
    const { from, version, groups } = challenge;
    const { uuid, nodeId } = from;
    return { kind: "ready", peer: { uuid, nodeId, version, purpose: this.#purpose, groups } };
  }
}

/** The acceptor's side. */
export class AcceptorHandshake {
  readonly #config: HandshakeConfig;
  readonly #isMember: (uuid: string, nodeId: number) => boolean;
  #hello: Hello | undefined;
  #helloBytes = new Uint8Array(0);
  #challengeBytes = new Uint8Array(0);
  #version = 0;

  constructor(config: HandshakeConfig, isMember: (uuid: string, nodeId: number) => boolean) {
    this.#config = config;
    this.#isMember = isMember;
  }

  onFrame(type: FrameType, payload: Uint8Array): HandshakeStep {
    if (type === frameTypes.refused) return failed(`the caller says: ${readRefusal(payload)}`);
    if (type === frameTypes.hello && this.#hello === undefined)
      return this.#onHello(payload.slice());
    if (type === frameTypes.proof && this.#hello !== undefined) {
      return this.#onProof(payload, this.#hello);
    }
    return failed(`a frame of type ${type} came in the middle of the handshake`);
  }

  #onHello(bytes: Uint8Array<ArrayBuffer>): HandshakeStep {
    const reader = new ByteReader(bytes);
    const hello = readHello(reader);
    if (hello === undefined) return failed(`a hello is malformed: ${reader.fault ?? "unknown"}`);
    const { self, versions } = this.#config;
    const version = Math.min(hello.versionMax, versions.max);
    if (version < Math.max(hello.versionMin, versions.min)) {
      return refusal(
        `no common version: the caller speaks peer protocol ${range(hello.versionMin, hello.versionMax)}` +
          ` and this node ${range(versions.min, versions.max)}; upgrade the older one`,
      );
    }
    if (hello.from.clusterId !== self.clusterId) return refusal(otherCluster(hello.from, self));
    if (hello.from.recoveryEpoch !== self.recoveryEpoch) {
      return refusal(otherEpoch(hello.from, self));
    }
    if (hello.from.uuid === self.uuid || hello.from.nodeId === self.nodeId) {
      return refusal(
        `the caller is ${describe(hello.from)} and so is this node, ${describe(self)}; a data directory was copied, an id used twice, or a node called its own address, which was another one's before`,
      );
    }
    if (hello.to.uuid !== self.uuid || hello.to.nodeId !== self.nodeId) {
      return refusal(`${describe(hello.to)} was called and this is ${describe(self)}`);
    }
    this.#hello = hello;
    this.#helloBytes = bytes;
    this.#version = version;
    const writer = new ByteWriter(512);
    writer.u8(version);
    writeIdentity(writer, self);
    writer.raw(randomBytes(nonceBytes));
    writeGroups(writer, this.#config.groups?.() ?? []);
    writer.varint(this.#config.self.recoveryEpoch);
    this.#challengeBytes = writer.written().slice();
    return {
      kind: "reply",
      bytes: encodeFrame(frameTypes.challenge, (frame) => frame.raw(this.#challengeBytes)),
    };
  }

  #onProof(payload: Uint8Array, hello: Hello): HandshakeStep {
    const { secret: own, alsoAccepted, self } = this.#config;
    const { uuid, nodeId } = hello.from;
    const accepted = alsoAccepted === undefined ? [own] : [own, alsoAccepted];
    const secret = accepted.find((known) =>
      isProof(payload, proofOf(known, callerLabel, this.#helloBytes, this.#challengeBytes)),
    );
    if (secret === undefined) {
      return refusal(
        `wrong cluster secret: ${describe(hello.from)} could not prove that it knows the one of this node`,
      );
    }
    if (!this.#isMember(uuid, nodeId)) {
      return refusal(
        `${describe(hello.from)} is not a member of cluster ${self.clusterId}; add it before it connects`,
      );
    }
    const proof = proofOf(secret, acceptorLabel, this.#helloBytes, this.#challengeBytes);
    const bytes = encodeFrame(frameTypes.welcome, (frame) => frame.raw(proof));
    const { purpose, groups } = hello;
    return {
      kind: "ready",
      bytes,
      peer: { uuid, nodeId, version: this.#version, purpose, groups },
    };
  }
}

function range(min: number, max: number): string {
  return min === max ? String(min) : `${min} to ${max}`;
}

function otherCluster(caller: PeerIdentity, acceptor: PeerIdentity): string {
  return `the caller, ${describe(caller)}, belongs to cluster ${caller.clusterId} and the called ${describe(acceptor)} to cluster ${acceptor.clusterId}; check the addresses and the data directories`;
}

function otherEpoch(caller: PeerIdentity, acceptor: PeerIdentity): string {
  const isCallerOld = caller.recoveryEpoch < acceptor.recoveryEpoch;
  const [old, other] = isCallerOld ? [caller, acceptor] : [acceptor, caller];
  return `${describe(old)} is of cluster ${old.clusterId} as it was before a recovery (epoch ${old.recoveryEpoch}, and ${describe(other)} has ${other.recoveryEpoch}); empty its data directory and let it join again`;
}

function writeIdentity(writer: ByteWriter, identity: PeerIdentity): void {
  writer.text(identity.clusterId);
  writer.text(identity.uuid);
  writer.varint(identity.nodeId);
}

/** Programs of the first version of the protocol end before it. */
function readEpoch(reader: ByteReader): number {
  return reader.remaining === 0 ? 0 : reader.varint();
}

function readIdentity(reader: ByteReader): Omit<PeerIdentity, "recoveryEpoch"> {
  const clusterId = readName(reader);
  const uuid = readName(reader);
  return { clusterId, uuid, nodeId: reader.varint() };
}

function writeGroups(writer: ByteWriter, groups: readonly number[]): void {
  const named = groups.slice(0, peerLimits.groupsMax);
  writer.varint(named.length);
  for (const group of named) writer.varint(group);
}

function readGroups(reader: ByteReader): readonly number[] {
  const count = reader.count(1);
  if (count > peerLimits.groupsMax)
    reader.fail(`${count} groups are more than the ${peerLimits.groupsMax} allowed`);
  const groups: number[] = [];
  for (let left = count; left > 0 && reader.fault === undefined; left -= 1)
    groups.push(reader.varint());
  return groups;
}

function readHello(reader: ByteReader): Hello | undefined {
  const low = reader.u16();
  if (low + reader.u16() * 0x1_0000 !== magic)
    reader.fail("this is not the peer protocol of corvo");
  const versionMin = reader.u8();
  const versionMax = reader.u8();
  const purpose = readPurpose(reader);
  const named = readIdentity(reader);
  const to = { uuid: readName(reader), nodeId: reader.varint() };
  reader.raw(nonceBytes);
  const groups = readGroups(reader);
  const from = { ...named, recoveryEpoch: readEpoch(reader) };
  if (reader.fault !== undefined) return undefined;
  return { versionMin, versionMax, purpose, from, to, groups };
}

function readPurpose(reader: ByteReader): Purpose {
  const code = reader.u8();
  if (code !== 1 && code !== 2) reader.fail(`a connection has the unknown purpose ${code}`);
  return code === purposeCodes.snapshot ? "snapshot" : "messages";
}

/** What a stranger sends is shown in log lines: only what cannot forge one is kept. */
function readName(reader: ByteReader): string {
  return printable(reader.text(peerLimits.textBytesMax));
}

function readRefusal(payload: Uint8Array): string {
  const text = printable(new ByteReader(payload).text(peerLimits.refusalBytesMax));
  return text === "" ? "refused without a reason" : text;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
