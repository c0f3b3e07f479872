/**
 * Membership changes as they travel through the log: the data type, its bytes and its text.
 *
 * Bytes: transition, number of changes, then kind and id of each, then the context to the end; all
 * numbers are base-128, low bits first. The change that leaves a joint configuration is empty in
 * every field and is encoded as no bytes at all, so that a size limit can never refuse it.
 */
import { type EntryType, emptyData, type NodeId } from "./message.ts";

/**
 * auto: joint consensus only if more than one node changes; left again without being asked.
 * implicit: always joint, left without being asked. explicit: always joint, left by another change.
 */
export type Transition = "auto" | "implicit" | "explicit";
type ChangeKind = "addVoter" | "remove" | "update" | "addLearner";

export interface NodeChange {
  readonly kind: ChangeKind;
  /** 0 stands for a change that was withdrawn after it was proposed; it is skipped. */
  readonly id: NodeId;
}

export interface ConfChange {
  readonly transition: Transition;
  readonly changes: readonly NodeChange[];
  /** Opaque to the core; the host may keep addresses here. */
  readonly context: Uint8Array;
}

export const leaveJointChange: ConfChange = {
  transition: "auto",
  changes: [],
  context: emptyData,
};

const transitions: readonly Transition[] = ["auto", "implicit", "explicit"];
const kinds: readonly ChangeKind[] = ["addVoter", "remove", "update", "addLearner"];

export function isLeaveJoint(change: ConfChange): boolean {
  return change.transition === "auto" && change.changes.length === 0;
}

/** Whether applying the change goes through a joint configuration, and how that one ends. */
export function entersJoint(change: ConfChange): { joint: boolean; autoLeave: boolean } {
  const joint = change.transition !== "auto" || change.changes.length > 1;
  return { joint, autoLeave: joint && change.transition !== "explicit" };
}

export function isConfChangeType(type: EntryType): boolean {
  return type === "EntryConfChange" || type === "EntryConfChangeV2";
}

export function encodeConfChange(change: ConfChange): Uint8Array {
  if (isLeaveJoint(change) && change.context.length === 0) return emptyData;
  const bytes: number[] = [];
  writeVarint(bytes, transitions.indexOf(change.transition));
  writeVarint(bytes, change.changes.length);
  for (const { kind, id } of change.changes) {
    writeVarint(bytes, kinds.indexOf(kind));
    writeVarint(bytes, id);
  }
  for (const byte of change.context) bytes.push(byte);
  return Uint8Array.from(bytes);
}

/** Undefined when the bytes are no change: the caller refuses them, or knows its log is damaged. */
export function decodeConfChange(data: Uint8Array): ConfChange | undefined {
  if (data.length === 0) return leaveJointChange;
  const cursor = { data, offset: 0 };
  const transition = transitions[readVarint(cursor) ?? -1];
  const count = readVarint(cursor);
  if (transition === undefined || count === undefined || count > data.length) return undefined;
  const changes: NodeChange[] = [];
  for (let position = 0; position < count; position += 1) {
    const kind = kinds[readVarint(cursor) ?? -1];
    const id = readVarint(cursor);
    if (kind === undefined || id === undefined) return undefined;
    changes.push({ kind, id });
  }
  return { transition, changes, context: data.slice(cursor.offset) };
}

function writeVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function readVarint(cursor: { readonly data: Uint8Array; offset: number }): number | undefined {
  let value = 0;
  let scale = 1;
  for (let length = 0; length < 8; length += 1) {
    const byte = cursor.data[cursor.offset];
    if (byte === undefined) return undefined;
    cursor.offset += 1;
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte < 128) return Number.isSafeInteger(value) ? value : undefined;
  }
  return undefined;
}

const kindLetters: Record<ChangeKind, string> = {
  addVoter: "v",
  addLearner: "l",
  remove: "r",
  update: "u",
};

const kindNames: Record<ChangeKind, string> = {
  addVoter: "ConfChangeAddNode",
  addLearner: "ConfChangeAddLearnerNode",
  remove: "ConfChangeRemoveNode",
  update: "ConfChangeUpdateNode",
};

const transitionNames: Record<Transition, string> = {
  auto: "ConfChangeTransitionAuto",
  implicit: "ConfChangeTransitionJointImplicit",
  explicit: "ConfChangeTransitionJointExplicit",
};

/** Short form, `v3 l4 r1`: make 3 a voter, 4 a learner, remove 1. */
export function describeNodeChanges(changes: readonly NodeChange[]): string {
  return changes.map(({ kind, id }) => `${kindLetters[kind]}${id}`).join(" ");
}

/** Long form, for log lines. */
export function describeConfChange(change: ConfChange): string {
  const changes = change.changes.map(
    ({ kind, id }) => ` changes:{type:${kindNames[kind]} node_id:${id}}`,
  );
  return `transition:${transitionNames[change.transition]}${changes.join("")}`;
}

/** Reads the short form. An error is returned as its text. */
export function parseNodeChanges(text: string): NodeChange[] | string {
  const changes: NodeChange[] = [];
  for (const token of text.trim().split(" ")) {
    if (token === "") continue;
    if (token.length < 2) return `unknown token ${token}`;
    const kind = kinds.find((candidate) => kindLetters[candidate] === token[0]);
    if (kind === undefined) return `unknown input: ${token}`;
    const id = Number(token.slice(1));
    if (!Number.isSafeInteger(id) || id < 0) return `not a node id: ${token.slice(1)}`;
    changes.push({ kind, id });
  }
  return changes;
}
