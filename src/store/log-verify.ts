/**
 * The check that every open makes, on a read-only connection, before anything may change the files: SQLite's own
 * structure check, every row's checksum, the chain of every group from its base to its end, and then the two witnesses
 * from outside (superblock hint, the caller's minimumLast) that nothing is missing at the end.
 */
import { Database } from "bun:sqlite";
import type { HardState } from "../base/log.ts";
import {
  decodeGroup,
  entriesOf,
  formatVersion,
  type GroupRecord,
  LogDamaged,
  LogTooNew,
  readRow,
} from "./log-format.ts";
import type { Hint } from "./superblock.ts";

/** What the writer knows of a group. Invariant: baseIndex <= last; lastCrc is baseCrc when there are no rows. */
export interface GroupState extends GroupRecord {
  readonly last: number;
  readonly lastTerm: number;
  readonly lastCrc: number;
}

interface VerifiedLog {
  readonly groups: Map<number, GroupState>;
  readonly sequence: number;
}

interface Witnesses {
  readonly hint: Hint;
  /** Per group, an index that is known to have been durable, such as the applied index of the state. */
  readonly minimumLast: ReadonlyMap<number, number>;
}

export function tableOf(group: number): string {
  return `log_${group}`;
}

export function verifyLog(path: string, witnesses: Witnesses): VerifiedLog {
  try {
    const db = new Database(path, { readonly: true });
    try {
      const groups = readGroups(db, witnesses.hint.storeId);
      return { groups, sequence: checkWitnesses(groups, witnesses) };
    } finally {
      db.close();
    }
  } catch (error) {
    throw asDamage(error);
  }
}

/** What SQLite says of a broken file, in our words. Other errors (no memory, no permission) stay what they are. */
export function asDamage(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "SQLiteError") return error;
  const code = "code" in error ? String(error.code) : "";
  const isEnvironment = /^SQLITE_(FULL|BUSY|CANTOPEN|NOMEM|LOCKED|PERM|IOERR(?!_SHORT_READ))/.test(
    code,
  );
  if (isEnvironment) return error;
  return new LogDamaged({}, `SQLite cannot read it: ${error.message} (${code})`);
}

function readGroups(db: Database, storeId: string): Map<number, GroupState> {
  checkMeta(db, storeId);
  const finding = db.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
  if (finding !== "ok") throw new LogDamaged({}, `SQLite's structure check says: ${finding}`);
  const tables = new Set(
    db
      .query<{ name: string }, []>(
        "SELECT name FROM sqlite_schema WHERE name LIKE 'log\\_%' ESCAPE '\\'",
      )
      .all()
      .map(({ name }) => name),
  );
  const groups = new Map<number, GroupState>();
  for (const { id, data } of db
    .query<{ id: number; data: Uint8Array }, []>("SELECT id, data FROM groups")
    .all()) {
    if (!tables.delete(tableOf(id))) throw new LogDamaged({ group: id }, "its table is missing");
    groups.set(id, readGroup(db, decodeGroup(data, id)));
  }
  const [orphan] = tables;
  if (orphan !== undefined) throw new LogDamaged({}, `table ${orphan} has no group record`);
  return groups;
}

function checkMeta(db: Database, storeId: string): void {
  const meta = db.query<{ format: number; store_id: string }, []>("SELECT * FROM meta").get();
  if (meta === null || !(meta.format >= 1)) {
    throw new LogDamaged({}, "its description is missing or unreadable");
  }
  if (meta.format > formatVersion) throw new LogTooNew("The log database", meta.format);
  if (meta.store_id !== storeId) {
    throw new LogDamaged(
      {},
      `it belongs to store ${meta.store_id}, but the superblock to ${storeId}: the files of two stores were mixed`,
    );
  }
}

/**
 * Walks the rows of a group. The hard state is the last row's, unless the record is as new: a transaction that writes
 * both writes the record last.
 */
function readGroup(db: Database, record: GroupRecord): GroupState {
  const { group } = record;
  let last = record.baseIndex;
  let lastTerm = record.baseTerm;
  let lastCrc = record.baseCrc;
  let sequence = record.sequence;
  let hardState: HardState = record.hardState;
  let isFirst = true;
  const rows = db.query<{ id: number; data: Uint8Array }, []>(
    `SELECT id, data FROM ${tableOf(group)} ORDER BY id`,
  );
  for (const { id, data } of rows.iterate()) {
    const row = readRow(data, group, id);
    // The first row may begin below the base: compaction takes whole rows only.
    const follows = isFirst ? row.first <= last + 1 && row.last > last : row.first === last + 1;
    if (!follows) {
      throw new LogDamaged(
        { group, index: last + 1 },
        `the entry is missing: after ${last} comes a row that holds ${row.first} to ${row.last}`,
      );
    }
    if (row.previousCrc !== lastCrc) {
      throw new LogDamaged(
        { group, index: row.first },
        "a row does not continue the row before it",
      );
    }
    entriesOf(row);
    ({ last, lastTerm, crc: lastCrc } = row);
    // Rows of one transaction share its number, and the last of them is the newest.
    if (row.sequence > record.sequence) ({ hardState } = row);
    sequence = Math.max(sequence, row.sequence);
    isFirst = false;
  }
  return { ...record, sequence, hardState, last, lastTerm, lastCrc };
}

function checkWitnesses(groups: Map<number, GroupState>, witnesses: Witnesses): number {
  const { hint, minimumLast } = witnesses;
  let sequence = 0;
  for (const group of groups.values()) sequence = Math.max(sequence, group.sequence);
  for (const known of hint.groups) {
    const found = groups.get(known.group);
    if (found !== undefined && found.sequence >= known.sequence) continue;
    throw new LogDamaged(
      { group: known.group, index: (found?.last ?? 0) + 1 },
      `acknowledged transactions are missing: the group ends at index ${found?.last ?? 0} in transaction ` +
        `${found?.sequence ?? 0}, acknowledged were index ${known.last} and transaction ${known.sequence}`,
    );
  }
  if (sequence < hint.sequence) {
    throw new LogDamaged(
      {},
      `acknowledged transactions are missing: the newest one found is ${sequence}, acknowledged was ${hint.sequence}`,
    );
  }
  for (const [group, minimum] of minimumLast) {
    const last = groups.get(group)?.last ?? 0;
    if (last < minimum) {
      throw new LogDamaged(
        { group, index: last + 1 },
        `the log ends at ${last}, but the state has already applied ${minimum}`,
      );
    }
  }
  return sequence;
}
