/** What the parts of `findViolations` have in common: how they say what is wrong, and how they read the records. */
import type { AnyRecord, RecordKind, RecordTypes } from "./records.ts";

/** Says what is wrong when it does not hold. */
export type Check = (holds: boolean, violation: string) => void;

/** The records of one kind, by key. */
export function recordsOf<Kind extends RecordKind>(
  records: readonly AnyRecord[],
  kind: Kind,
): (readonly [string, RecordTypes[Kind]])[] {
  // The table of kinds says what the values are; here they come from a list of all kinds.
  return records
    .filter((record) => record.kind === kind)
    .map(({ key, value }) => [key, value as RecordTypes[Kind]]);
}

/** The same where the keys are numbers. */
export function numberedOf<Kind extends RecordKind>(
  records: readonly AnyRecord[],
  kind: Kind,
): (readonly [number, RecordTypes[Kind]])[] {
  return recordsOf(records, kind).map(([key, value]) => [Number(key), value]);
}
