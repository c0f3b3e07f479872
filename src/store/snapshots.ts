/**
 * Snapshots of the state database: made beside the running engine, and put in place of an older state at a start.
 *
 * A received snapshot is installed by the next start of the node, which is also what recovers from a crash halfway:
 * a note says that the received file is complete; the state is replaced by it, the log begins after it, and only
 * then the note goes. Each step can be repeated.
 */
import { Database } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  fdatasync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import type { HardState, Log } from "../base/log.ts";
import type { ConfState } from "../raft/message.ts";
import { writeDurably } from "./durable-file.ts";
import type { ShardFiles } from "./shard-files.ts";
import type { SnapshotReply } from "./snapshot-worker.ts";
import { startWorker } from "./start-worker.ts";
import { syncDirectory } from "./superblock.ts";
import { isDamage, removeTextIndex } from "./text-files.ts";

export interface SnapshotFile {
  readonly path: string;
  readonly bytes: number;
  readonly index: number;
  readonly conf: ConfState;
}

interface Point {
  readonly index: number;
  readonly term: number;
}

const syncEveryMs = 50;

/** Where snapshots are made and, in that of shard 0, received; emptied of what an earlier run left. */
export function openSnapshotFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(path)) rmSync(join(path, name), { force: true, recursive: true });
}

/** Copies the stored state. The state goes on changing meanwhile; the copy is one moment of it. */
export async function makeSnapshot(statePath: string, directory: string): Promise<SnapshotFile> {
  const target = join(directory, "made.db");
  const fd = openSync(target, "w");
  const worker = startWorker("snapshot");
  try {
    const made = new Promise<SnapshotReply>((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<SnapshotReply>) => resolve(event.data);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ statePath, target });
    });
    const [reply] = await Promise.all([made, syncUntil(fd, made)]);
    if (reply.kind === "fault") throw new Error(`no snapshot could be made: ${reply.message}`);
    const path = join(directory, `${reply.index}.db`);
    renameSync(target, path);
    return {
      path,
      bytes: reply.bytes,
      index: reply.index,
      conf: JSON.parse(reply.conf) as ConfState,
    };
  } finally {
    worker.terminate();
    closeSync(fd);
  }
}

/** What the Worker writes in one long step goes to the disk bit by bit, so that no fsync of the log waits for all of it. */
async function syncUntil(fd: number, over: Promise<unknown>): Promise<void> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  over.then(end, end);
  while (!isOver) {
    await new Promise<void>((resolve, reject) => {
      fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
    });
    await Promise.race([over, Bun.sleep(syncEveryMs)]);
  }
}

/** Keeps a received snapshot for the next start. The file must be complete, verified and fsynced. */
export function keepIncoming(
  { directory, incoming, note }: ShardFiles,
  path: string,
  point: Point,
): void {
  // That of one which came before would be taken to speak of this one, if there is no room for another.
  rmSync(join(directory, note), { force: true });
  syncDirectory(directory);
  renameSync(path, join(directory, incoming));
  syncDirectory(directory);
  writeDurably(directory, note, `${JSON.stringify(point)}\n`);
}

/** First half of the installation, before anything is opened: the received state takes the place of the old one. */
export function placeIncoming({
  directory,
  statePath,
  textPath,
  incoming,
  note,
}: ShardFiles): Point | undefined {
  const notePath = join(directory, note);
  if (!existsSync(notePath)) {
    rmSync(join(directory, incoming), { force: true });
    return undefined;
  }
  const point = JSON.parse(readFileSync(notePath, "utf8")) as Point;
  if (existsSync(join(directory, incoming))) {
    if (appliedIn(statePath) >= point.index) {
      // The node went on after it came, and its log may no longer reach back so far. The note goes first: alone it would
      // say that the state was replaced.
      rmSync(notePath);
      syncDirectory(directory);
      rmSync(join(directory, incoming));
      return undefined;
    }
    for (const suffix of ["-wal", "-shm"]) rmSync(statePath + suffix, { force: true });
    // It follows the changes of the old state, of which the new one knows nothing.
    removeTextIndex(textPath);
    renameSync(join(directory, incoming), statePath);
    syncDirectory(directory);
  }
  return point;
}

/** The last entry that a state has; 0 for none that could be gone on from. */
function appliedIn(statePath: string): number {
  if (!existsSync(statePath)) return 0;
  try {
    using db = new Database(statePath, { readonly: true });
    const row = db.query("SELECT value FROM meta WHERE key = 'applied'").get();
    return Number((row as { value: string } | null)?.value ?? 0);
  } catch (error) {
    // A damaged one is what the snapshot replaces. One that cannot be looked at now may be ahead of it.
    if (isDamage(error)) return 0;
    throw error;
  }
}

/** Second half, with the log open: it begins after the snapshot, unless it already goes on from it. */
export async function alignLog(
  { directory, note, shard: group }: ShardFiles,
  log: Log,
  point: Point,
): Promise<void> {
  const { last, first, hardState } = log.bounds(group);
  const entry =
    point.index >= first && point.index <= last ? log.read(group, point.index, 1)[0] : undefined;
  if (entry?.term !== point.term) {
    const work = { group, entries: [], resetTo: point, hardState: reaching(hardState, point) };
    await new Promise<void>((resolve, reject) => {
      log.append(work, (fault) =>
        fault === undefined ? resolve() : reject(new Error(fault.message)),
      );
    });
  }
  rmSync(join(directory, note));
  syncDirectory(directory);
}

/** The term in which a snapshot came may not have been on disk when it was installed; no log ends in a term to come. */
export function reaching(hardState: HardState, { index, term }: Point): HardState {
  const commit = Math.max(hardState.commit, index);
  return hardState.term < term ? { term, vote: "0", commit } : { ...hardState, commit };
}
