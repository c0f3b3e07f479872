/** How a node is, as it tells the others with every ping. Later versions append members, and readers skip what they do not know. */
import { type ByteReader, ByteWriter } from "./bytes.ts";

export interface NodeCondition {
  /** Free bytes of the file system that its data directory is on. */
  readonly diskFreeBytes: number;
  /** Bytes of its log and state. */
  readonly dataBytes: number;
  /** It gives out no work, because somebody wants to stop it. */
  readonly isDraining: boolean;
  /** Jobs use blobs that it has not fetched yet. */
  readonly lacksBlobs: boolean;
  /** Of its shards, by their numbers: the last log entry whose blobs that is about. Undefined from older versions. */
  readonly appliedIndexes: readonly number[] | undefined;
  /** Its wall clock as it says this, in milliseconds since 1970; undefined from older versions. */
  readonly clockMs: number | undefined;
}

/** Bits of one number; readers skip those that they do not know. */
const drainingFlag = 1;
const blobsFlag = 2;

export function encodeCondition(condition: NodeCondition): Uint8Array {
  const writer = new ByteWriter(32);
  writer.varint(condition.diskFreeBytes);
  writer.varint(condition.dataBytes);
  const { isDraining, lacksBlobs, clockMs, appliedIndexes } = condition;
  writer.varint((isDraining ? drainingFlag : 0) | (lacksBlobs ? blobsFlag : 0));
  if (clockMs === undefined) return writer.written();
  writer.varint(Math.max(0, Math.round(clockMs)));
  if (appliedIndexes === undefined) return writer.written();
  writer.varint(appliedIndexes.length);
  for (const index of appliedIndexes) writer.varint(index);
  return writer.written();
}

/** Check the reader's fault before the result is believed. */
export function readCondition(reader: ByteReader): NodeCondition {
  const diskFreeBytes = reader.varint();
  const dataBytes = reader.varint();
  const flags = reader.varint();
  return {
    diskFreeBytes,
    dataBytes,
    isDraining: (flags & drainingFlag) !== 0,
    lacksBlobs: (flags & blobsFlag) !== 0,
    clockMs: reader.remaining === 0 ? undefined : reader.varint(),
    appliedIndexes: reader.remaining === 0 ? undefined : readIndexes(reader),
  };
}

function readIndexes(reader: ByteReader): readonly number[] {
  return Array.from({ length: reader.count(1) }, () => reader.varint());
}
