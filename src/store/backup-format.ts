/**
 * The form of a backup, which is read from beginning to end and written the same way:
 *
 *   "CORVOBAK" and the version (4 bytes)
 *   manifest                              JSON: of what, by whom, when
 *   for each section: begin (JSON), data … data, end (JSON: bytes and SHA-256 of what the data hold)
 *   end                                   JSON: number of sections, SHA-256 of every byte before this frame
 *   beat                                  nothing, anywhere but in a section: the writer is at work on the next one
 *
 * Each of these is a frame: kind (1 byte), length of its content (4), CRC-32 of the content (4), content. Numbers are little
 * endian. The content of a data frame is one zstd frame. A file that was cut off has no end, and is refused as a whole, as is one
 * with anything behind its end.
 *
 * A section is the state database of a shard (`state`), what follows in its log up to a moment that all shards have in common
 * (`entries`), a blob that jobs of them use (`blob`), or what was chosen of queues (`queues`); entries and queues are lines of
 * JSON.
 */

export const backupVersion = 1;
export const magic = new TextEncoder().encode("CORVOBAK");
export const headBytes = 12;
export const frameHeadBytes = 9;

/** Of what a data frame holds, before it is compressed; and of any frame's content. */
export const pieceBytes = 256 * 1024;
export const frameBytesMax = 4 * 1024 * 1024;

export const frameKinds = { manifest: 1, begin: 2, data: 3, end: 4, last: 5, beat: 6 } as const;

export interface BackupManifest {
  /** Of the program that made it. */
  readonly version: string;
  /** What a program must know to read the sections. */
  readonly featureLevel: number;
  readonly clusterId: string;
  readonly createdAtMs: number;
  readonly shards: number;
  /** Everything, or only these queues. */
  readonly queues?: readonly string[];
}

/** The state of a shard as it was after this entry of its log. */
export interface StateSection {
  readonly kind: "state";
  readonly shard: number;
  readonly index: number;
  readonly term: number;
  /** Size of the database. */
  readonly bytes: number;
}

/** The payload or result of jobs, under its own SHA-256. */
export interface BlobSection {
  readonly kind: "blob";
  readonly hash: string;
  readonly bytes: number;
}

/** Queues of a shard with their jobs, settings, limits and schedules. */
export interface QueuesSection {
  readonly kind: "queues";
  readonly shard: number;
}

/** Entries of a shard's log that follow its state, as lines of JSON: up to the moment that all shards have in common. */
export interface EntriesSection {
  readonly kind: "entries";
  readonly shard: number;
  /** The first and the last of them. */
  readonly from: number;
  readonly to: number;
}

export type SectionHead = StateSection | BlobSection | QueuesSection | EntriesSection;

export interface SectionEnd {
  readonly bytes: number;
  readonly sha256: string;
}

export interface BackupEnd {
  readonly sections: number;
  readonly sha256: string;
}

/** The file is no backup, or not all of one. */
export class BackupDamaged extends Error {
  override name = "BackupDamaged";
}
