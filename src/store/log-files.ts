/**
 * The files of the log and how they come to be: each is made under another name and renamed, so that a crash during the
 * first start leaves nothing half-made that a later start would have to guess about.
 */
import { constants, Database } from "bun:sqlite";
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatVersion, LogDamaged } from "./log-format.ts";
import { asDamage } from "./log-verify.ts";
import { Superblock, syncDirectory } from "./superblock.ts";

export const pageBytes = 4096;

export function logPaths(dir: string) {
  const database = join(dir, "log.db");
  return {
    database,
    wal: `${database}-wal`,
    superblock: join(dir, "log.superblock"),
    reserve: join(dir, "reserve"),
  };
}

/**
 * Opens the superblock, after making the files of a new store. The superblock comes first: a database without one is
 * damage, a superblock at transaction 0 without a database is a start that was interrupted.
 */
export function openSuperblock(dir: string, storeId: string): Superblock {
  const paths = logPaths(dir);
  if (!existsSync(paths.superblock) && !existsSync(paths.database)) {
    Superblock.create(paths.superblock, storeId);
  }
  const superblock = Superblock.open(paths.superblock);
  try {
    const { found } = superblock;
    if (found.storeId !== storeId) {
      throw new LogDamaged(
        {},
        `its superblock belongs to store ${found.storeId}, the directory to ${storeId}: the files of two stores were mixed`,
      );
    }
    const isNew = found.sequence === 0 && found.groups.length === 0;
    if (!existsSync(paths.database)) {
      if (!isNew) throw new LogDamaged({}, `${paths.database} is missing`);
      createDatabase(paths.database, storeId);
    }
    return superblock;
  } catch (error) {
    superblock.close();
    throw asDamage(error);
  }
}

/** Made under another name and renamed, so that a crash leaves either no database or a whole one. */
function createDatabase(path: string, storeId: string): void {
  const temporary = `${path}.new`;
  for (const suffix of ["", "-wal", "-shm"]) rmSync(temporary + suffix, { force: true });
  const db = new Database(temporary, { create: true, readwrite: true });
  db.run(`PRAGMA page_size = ${pageBytes}`);
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.run(
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER, store_id TEXT)",
  );
  db.run("CREATE TABLE groups (id INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  db.run("INSERT INTO meta (id, format, store_id) VALUES (1, ?, ?)", [formatVersion, storeId]);
  db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
  renameSync(temporary, path);
  syncDirectory(dirname(path));
}

export function openWriter(path: string): Database {
  const db = new Database(path, { readwrite: true });
  try {
    // Otherwise SQLite deletes the write-ahead log on close and makes it anew at open: two directory changes for nothing.
    db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
    db.run("PRAGMA synchronous = FULL");
    // On macOS an ordinary fsync stops at the drive's cache; elsewhere this changes nothing.
    db.run("PRAGMA fullfsync = ON");
    db.run("PRAGMA busy_timeout = 5000");
    db.run("PRAGMA wal_autocheckpoint = 0");
    db.run("PRAGMA cell_size_check = ON");
    db.run("PRAGMA cache_size = -4096");
    return db;
  } catch (error) {
    db.close();
    throw asDamage(error);
  }
}
