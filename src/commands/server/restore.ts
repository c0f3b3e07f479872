/**
 * Makes the data directory of a new cluster of one node from a backup of everything. The jobs are those of the old cluster, with their
 * ids; its members are not: the node has a number that none of them had, and forgets them, so that the two clusters have nothing to
 * do with each other.
 */
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Logger } from "../../base/ports.ts";
import { newestFeatureLevel } from "../../engine/feature-levels.ts";
import { BackupDamaged, type BackupManifest, type SectionHead } from "../../store/backup-format.ts";
import { type BackupPart, readBackup } from "../../store/backup-reader.ts";
import { DataDirError } from "../../store/data-dir.ts";
import { writeNodeIdentity } from "../../store/node-identity.ts";
import { isDiskFull } from "../../store/reserve.ts";
import { RestoreDir, type RestoreTarget } from "../../store/restore-dir.ts";
import { cutDown } from "./recover.ts";
import { appendEntries, keepEntries, MemberNumbers } from "./restore-entries.ts";
import { openStorage, type Storage } from "./storage.ts";

export interface Restored {
  readonly manifest: BackupManifest;
  readonly clusterId: string;
  readonly nodeId: number;
  readonly queues: number;
  readonly jobs: number;
}

interface RestoreEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the states that were written. */
  readonly onProgress: (bytes: number) => void;
}

/** Nothing is claimed here. */
const cachedJobsMax = 1000;

/** What the backup says of itself; the parts go on with it. */
export async function openBackup(chunks: AsyncIterable<Uint8Array>): Promise<{
  readonly manifest: BackupManifest;
  readonly parts: AsyncGenerator<BackupPart, void>;
}> {
  const parts = readBackup(chunks);
  try {
    const first = await parts.next();
    if (first.done !== true && first.value.kind === "manifest") {
      return { manifest: first.value.manifest, parts };
    }
    throw new BackupDamaged("it says nothing of itself");
  } catch (error) {
    throw damaged(error);
  }
}

export async function restoreWhole(
  { manifest, parts }: Awaited<ReturnType<typeof openBackup>>,
  directory: string,
  env: RestoreEnv,
): Promise<Restored> {
  refuseUnknown(manifest);
  const target = openTarget(directory);
  let storage: Storage | undefined;
  try {
    const { shards } = manifest;
    const entries = await place(parts, shards, { ...env, target });
    storage = await openStorage(
      target.dir,
      { shards, cachedJobsMax, textIndex: false },
      env.logger,
    );
    const clusterId = crypto.randomUUID();
    const nodeId = await makeAlone(storage, entries, env.clock);
    writeNodeIdentity(target.dir.path, { clusterId, nodeId, shards, recoveryEpoch: 0 });
    const counted = countIn(storage);
    target.finish();
    await storage.close();
    return { manifest, clusterId, nodeId, ...counted };
  } catch (error) {
    await storage?.close();
    target.abandon();
    throw withoutRoom(error, directory);
  }
}

function openTarget(directory: string): RestoreDir {
  try {
    return RestoreDir.open(directory);
  } catch (error) {
    if (isDiskFull(error)) throw withoutRoom(error, directory);
    const reason = error instanceof Error ? error.message : String(error);
    const said = error instanceof DataDirError ? reason : `${directory} cannot be used: ${reason}`;
    throw new CorvoError("CONFLICT", said, { cause: error, hint: "Name another --data-dir." });
  }
}

function withoutRoom(error: unknown, directory: string): unknown {
  if (!isDiskFull(error)) return damaged(error);
  return new CorvoError(
    "DISK_BUDGET",
    `the disk of ${directory} is full: the backup was not restored`,
    { cause: error, hint: "Free some space, or name another --data-dir." },
  );
}

/** A backup that cannot be used is the caller's matter, not a fault of this program. */
export function damaged(error: unknown): unknown {
  if (!(error instanceof BackupDamaged)) return error;
  return new CorvoError("VALIDATION_ERROR", error.message, {
    hint: "Take another backup; `corvo backup verify FILE` tells whether one is whole.",
  });
}

async function place(
  parts: AsyncIterable<BackupPart>,
  count: number,
  { target, onProgress }: RestoreEnv & { readonly target: RestoreDir },
): Promise<ReadonlySet<number>> {
  let section: RestoreTarget | undefined;
  const states = new Set<number>();
  const entries = new Set<number>();
  let bytes = 0;
  for await (const part of parts) {
    if (part.kind === "begin") {
      const { head } = part;
      section = open(head, target);
      if (head.kind === "state") states.add(head.shard);
      else if (head.kind === "entries") entries.add(head.shard);
    } else if (part.kind === "data") {
      section?.write(part.bytes);
      bytes += part.bytes.length;
      onProgress(bytes);
    } else if (part.kind === "end") {
      section?.place(part.end.sha256);
      section = undefined;
    }
  }
  for (let shard = 0; shard < count; shard++) {
    if (!states.has(shard)) throw new BackupDamaged(`shard ${shard} is missing`);
  }
  return entries;
}

function open(head: SectionHead, target: RestoreDir): RestoreTarget {
  if (head.kind === "state") return target.state(head);
  if (head.kind === "blob") return target.blob(head);
  if (head.kind === "entries") return keepEntries(target.dir.path, head);
  throw new BackupDamaged("it is not of everything");
}

export function refuseUnknown({ featureLevel, version }: BackupManifest): void {
  if (featureLevel > newestFeatureLevel) {
    throw new CorvoError(
      "UNSUPPORTED",
      `the backup was made by corvo ${version}, with feature level ${featureLevel}; this program knows levels up to ${newestFeatureLevel}`,
      { hint: `Restore it with corvo ${version} or later.` },
    );
  }
}

/** The only member is a new one, which will admit itself when it starts. */
async function makeAlone(
  storage: Storage,
  withEntries: ReadonlySet<number>,
  clock: Clock,
): Promise<number> {
  const [main] = storage.shards;
  if (main === undefined) throw new BackupDamaged("it has no shard");
  const { members, nextMemberId } = main.store.state.meta;
  const numbers = new MemberNumbers(members, nextMemberId);
  for (const shard of storage.shards) {
    if (!withEntries.has(shard.shard)) continue;
    await appendEntries(shard, storage.dir.path, (entry) => {
      if (shard.shard === 0) numbers.see(entry);
    });
  }
  // The shards are of one moment, so nothing has to be said anew.
  const forgotten = numbers.ids;
  await cutDown(storage, { self: numbers.next, forgotten, clock, reunites: false });
  return numbers.next;
}

function countIn({ shards }: Storage): { queues: number; jobs: number } {
  let queues = 0;
  let jobs = 0;
  for (const { store } of shards) {
    for (const { counts } of store.state.queues()) {
      queues++;
      for (const count of Object.values(counts)) jobs += count;
    }
  }
  return { queues, jobs };
}
