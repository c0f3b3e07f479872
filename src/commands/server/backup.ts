/**
 * Backups of a running node. Each shard is copied as it is when this node has all that was acknowledged before the call, which its
 * leader says; so any node can be asked. The copy is made beside the running engine as snapshots are, sent or read from, and
 * removed before the next shard is copied; a start removes what an earlier run left.
 *
 * One backup at a time: each needs as much free space as the largest shard.
 */
import { closeSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CorvoError } from "../../base/errors.ts";
import { formatJobId } from "../../base/ids.ts";
import { stringifyJson } from "../../base/json.ts";
import { formatTime } from "../../base/time.ts";
import type { BlobAccess } from "../../net/http/blob-access.ts";
import type { BackupControl } from "../../service/backup.ts";
import { jobLine, queueLine } from "../../service/backup-lines.ts";
import { type BackupManifest, pieceBytes, type StateSection } from "../../store/backup-format.ts";
import { type BackupSection, encodeBackup } from "../../store/backup-writer.ts";
import { blobsInState } from "../../store/blobs/blobs-in-state.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { QueueExport } from "../../store/queue-export.ts";
import { makeSnapshot, type SnapshotFile } from "../../store/snapshots.ts";
import { buildVersion } from "../_shared/build.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import type { ShardCore } from "./shard.ts";

interface BackupEnv {
  readonly identity: NodeIdentity;
  readonly blobs: { readonly access: Pick<BlobAccess, "open"> };
}
type Queues = readonly string[] | undefined;

/** A connection on which nothing comes for two minutes is closed. */
const beatMs = 10_000;

export function createBackupControl(
  cores: readonly ShardCore[],
  { identity, blobs }: BackupEnv,
): BackupControl {
  let isBusy = false;
  /** Nothing else is begun until the pieces are over. */
  const begin = async <T>(queues: Queues, pieces: () => AsyncGenerator<T>) => {
    if (isBusy) {
      throw new CorvoError("OVERLOADED", "a backup is being made on this node (backupsMax 1)", {
        retryAfterMs: 1000,
      });
    }
    isBusy = true;
    try {
      await Promise.all(cores.map(({ replica }) => replica.readBarrier()));
      refuseUnknown(cores, queues);
    } catch (error) {
      isBusy = false;
      throw error;
    }
    return untilOver(pieces(), () => {
      isBusy = false;
    });
  };
  return {
    create: (queues) =>
      begin(queues, () =>
        encodeBackup(
          manifestOf(cores, identity, queues),
          queues === undefined ? stateSections(cores, blobs.access) : queueSections(cores, queues),
        ),
      ),
    document: (queues) => begin(queues, () => documentOf(cores, queues)),
  };
}

function refuseUnknown(cores: readonly ShardCore[], queues: Queues): void {
  for (const name of queues ?? []) {
    if (cores.some(({ replica }) => replica.engine.state.getQueue(name) !== undefined)) continue;
    throw new CorvoError("NOT_FOUND", `no queue "${name.slice(0, 80)}"`);
  }
}

/** `over` is called when the last piece was taken, or nobody takes any more, even if nobody ever did. */
function untilOver<T>(pieces: AsyncGenerator<T>, over: () => void): AsyncIterable<T> {
  const iterator: AsyncIterator<T> = {
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
      try {
        return await pieces.return(undefined);
      } finally {
        over();
      }
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

function manifestOf(
  cores: readonly ShardCore[],
  { clusterId }: NodeIdentity,
  queues: Queues,
): BackupManifest {
  const levels = cores.map(({ replica }) => replica.engine.featureLevel);
  return {
    version: buildVersion,
    featureLevel: Math.max(...levels),
    clusterId,
    createdAtMs: systemClock.nowMs(),
    shards: cores.length,
    ...(queues === undefined ? {} : { queues }),
  };
}

/** The states, each followed by the blobs that it is the first to name. */
async function* stateSections(
  cores: readonly ShardCore[],
  access: Pick<BlobAccess, "open">,
): AsyncGenerator<BackupSection | "beat"> {
  const given = new Set<string>();
  for (const core of cores) {
    for await (const copy of copied(core)) {
      if (copy === "beat") {
        yield copy;
        continue;
      }
      const { path, index, bytes } = copy;
      const { term } = core.group.state;
      const head: StateSection = { kind: "state", shard: core.shard, index, term, bytes };
      // Those of the copy itself: what jobs use by now may be others.
      const used = blobsInState(path);
      yield { head, content: piecesOf(path) };
      for (const hash of used) {
        if (given.has(hash)) continue;
        given.add(hash);
        yield await blobSection(hash, access);
      }
    }
  }
}

/** A backup without a blob that its jobs use is none. */
async function blobSection(hash: string, access: Pick<BlobAccess, "open">): Promise<BackupSection> {
  const content = await access.open(hash);
  if (content === undefined) {
    throw new CorvoError("BLOB_NOT_FOUND", `no node that could be asked has blob ${hash}`);
  }
  return { head: { kind: "blob", hash, bytes: content.size }, content: cut(content.stream()) };
}

/** In pieces that are small enough. */
async function* cut(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    for (let at = 0; at < piece.length; at += pieceBytes) yield piece.subarray(at, at + pieceBytes);
  }
}

async function* queueSections(
  cores: readonly ShardCore[],
  queues: Queues,
): AsyncGenerator<BackupSection | "beat"> {
  for (const core of cores) {
    for await (const copy of copied(core)) {
      if (copy === "beat") yield copy;
      else {
        const head = { kind: "queues" as const, shard: core.shard };
        yield { head, content: packed(linesOf(core, copy.path, queues)) };
      }
    }
  }
}

/** Beats while the copy is made, then the copy, which is there until the next step. */
async function* copied(core: ShardCore): AsyncGenerator<SnapshotFile | "beat"> {
  const { replica, storage } = core;
  const folder = join(storage.files.snapshotPath, "backup");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  try {
    const making = replica.storeState().then(() => makeSnapshot(storage.files.statePath, folder));
    while ((await firstOf(making, beatMs)) === "late") yield "beat";
    yield await making;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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

/** A line of JSON for each queue and job; a queue comes before its jobs. Lines come in groups that cost little each. */
async function* linesOf(core: ShardCore, path: string, queues: Queues): AsyncGenerator<string> {
  const source = new QueueExport(path);
  try {
    for (const queue of source.queues(queues)) {
      yield `${JSON.stringify({ queue: queueLine(queue) })}\n`;
      for (const jobs of source.jobs(queue.name)) {
        const lines = jobs.map(({ job, attempts }) => {
          const id = formatJobId(job.seq, job.createdAtMs, core.shard);
          return `${stringifyJson({ job: jobLine(id, job, attempts) })}\n`;
        });
        yield lines.join("");
        // Others have their turn.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  } finally {
    source.close();
  }
}

/** As bytes, in the size of pieces. */
async function* packed(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const group of lines) {
    const bytes = encoder.encode(group);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      yield bytes.subarray(at, at + pieceBytes);
    }
  }
}

/** The same lines as one document; blanks stand for beats. */
async function* documentOf(cores: readonly ShardCore[], queues: Queues): AsyncGenerator<string> {
  const found: string[] = [];
  const createdAt = formatTime(systemClock.nowMs());
  yield `{"namespace":"default","created_at":"${createdAt}","jobs":[`;
  let isFirst = true;
  for (const core of cores) {
    for await (const copy of copied(core)) {
      if (copy === "beat") {
        yield " ";
        continue;
      }
      for await (const group of linesOf(core, copy.path, queues)) {
        const jobs: string[] = [];
        for (const line of group.split("\n")) {
          if (line.startsWith(queueStart)) found.push(line.slice(queueStart.length, -1));
          else if (line !== "") jobs.push(line.slice(jobStart.length, -1));
        }
        if (jobs.length === 0) continue;
        yield `${isFirst ? "" : ","}${jobs.join(",")}`;
        isFirst = false;
      }
    }
  }
  const meta = JSON.stringify({ format: 1, version: buildVersion });
  yield `],"queues":[${found.join(",")}],"meta":${meta}}\n`;
}

const queueStart = '{"queue":';
const jobStart = '{"job":';
