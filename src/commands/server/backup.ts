/**
 * Backups of a running node. Each shard is copied as it is when this node has all that was acknowledged before the call, which its
 * leader says; so any node can be asked. The copy is made beside the running engine as snapshots are, sent, and removed before
 * the next shard is copied; a start removes what an earlier run left.
 *
 * One backup at a time: each needs as much free space as the largest shard.
 */
import { closeSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import type { BackupControl } from "../../service/backup.ts";
import { type BackupManifest, pieceBytes, type StateSection } from "../../store/backup-format.ts";
import { type BackupSection, encodeBackup } from "../../store/backup-writer.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { makeSnapshot, type SnapshotFile } from "../../store/snapshots.ts";
import { buildVersion } from "../_shared/build.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import type { ShardCore } from "./shard.ts";

interface BackupEnv {
  readonly identity: NodeIdentity;
  readonly logger: Logger;
}

/** A connection on which nothing comes for two minutes is closed. */
const beatMs = 10_000;

export function createBackupControl(cores: readonly ShardCore[], env: BackupEnv): BackupControl {
  let isBusy = false;
  return {
    async create() {
      if (isBusy) {
        throw new CorvoError("OVERLOADED", "a backup is being made on this node (backupsMax 1)", {
          retryAfterMs: 10_000,
        });
      }
      isBusy = true;
      try {
        await Promise.all(cores.map(({ replica }) => replica.readBarrier()));
      } catch (error) {
        isBusy = false;
        throw error;
      }
      return untilOver(encodeBackup(manifestOf(cores, env), stateSections(cores)), () => {
        isBusy = false;
      });
    },
  };
}

/** `over` is called when the last piece was taken, or nobody takes any more, even if nobody ever did. */
function untilOver(
  pieces: AsyncGenerator<Uint8Array>,
  over: () => void,
): AsyncIterable<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        const result = await pieces.next();
        if (result.done === true) over();
        return result;
      } catch (error) {
        over();
        throw error;
      }
    },
    async return() {
      over();
      return pieces.return(undefined);
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

function manifestOf(cores: readonly ShardCore[], { identity }: BackupEnv): BackupManifest {
  const levels = cores.map(({ replica }) => replica.engine.featureLevel);
  return {
    version: buildVersion,
    featureLevel: Math.max(...levels),
    clusterId: identity.clusterId,
    createdAtMs: systemClock.nowMs(),
    shards: cores.length,
  };
}

async function* stateSections(cores: readonly ShardCore[]): AsyncGenerator<BackupSection | "beat"> {
  for (const core of cores) {
    const folder = join(core.storage.files.snapshotPath, "backup");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    try {
      const making = copyOf(core, folder);
      while ((await firstOf(making, beatMs)) === "late") yield "beat";
      const { path, index, bytes } = await making;
      const { term } = core.group.state;
      const head: StateSection = { kind: "state", shard: core.shard, index, term, bytes };
      yield { head, content: piecesOf(path) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

async function copyOf({ replica, storage }: ShardCore, folder: string): Promise<SnapshotFile> {
  await replica.storeState();
  return makeSnapshot(storage.files.statePath, folder);
}

function firstOf(work: Promise<unknown>, withinMs: number): Promise<"done" | "late"> {
  return new Promise((resolve, reject) => {
    const cancel = systemTimers.after(withinMs, () => resolve("late"));
    work.then(
      () => {
        cancel();
        resolve("done");
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

function* piecesOf(path: string): Generator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    for (;;) {
      const piece = new Uint8Array(pieceBytes);
      const count = readSync(fd, piece, 0, piece.length, null);
      if (count === 0) return;
      yield piece.subarray(0, count);
    }
  } finally {
    closeSync(fd);
  }
}
