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
import { isGap } from "../../raft/storage.ts";
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
import { type Cut, entriesOf, findCut, pinLog } from "./backup-cut.ts";
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
          queues === undefined
            ? stateSections(cores, blobs.access)
            : queueSections(cores, queues, blobs.access),
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

/**
 * The states, each followed by the blobs that it is the first to name; and where there are several, what happened to each until
 * all were copied.
 */
async function* stateSections(
  cores: readonly ShardCore[],
  access: Pick<BlobAccess, "open">,
): AsyncGenerator<BackupSection | "beat"> {
  const unpin: (() => void)[] = [];
  const ends: number[] = [];
  const given = new Set<string>();
  try {
    for (const core of cores) {
      unpin.push(pinLog(core, core.replica.checkpointedIndex));
      for await (const copy of copied(core)) {
        if (copy === "beat") {
          yield copy;
          continue;
        }
        const { path, index, bytes } = copy;
        const term = termOf(core, index);
        const head: StateSection = { kind: "state", shard: core.shard, index, term, bytes };
        // Those of the copy itself: what jobs use by now may be others.
        const used = blobsInState(path);
        yield { head, content: piecesOf(path) };
        yield* blobSections(used, given, access);
        ends.push(index);
      }
    }
    if (cores.length > 1) {
      const cut = await findCut(cores);
      yield* entriesSections(cores, ends, cut);
      yield* blobSections(cut.blobs, given, access);
    }
  } finally {
    for (const release of unpin) release();
  }
}

async function* entriesSections(
  cores: readonly ShardCore[],
  ends: readonly number[],
  cut: Cut,
): AsyncGenerator<BackupSection> {
  for (const [i, core] of cores.entries()) {
    const from = (ends[i] ?? 0) + 1;
    const head = { kind: "entries" as const, shard: core.shard, from, to: cut.ends[i] ?? 0 };
    if (head.to >= from) yield { head, content: packed(entriesOf(core, head)) };
  }
}

/** Of the entry that a state ends with. One that is gone from the log is older than all that follow. */
function termOf({ group }: ShardCore, index: number): number {
  const term = group.storage.term(index);
  return isGap(term) ? group.state.term : term;
}

/** A backup without a blob that its jobs use is none. */
async function* blobSections(
  hashes: Iterable<string>,
  given: Set<string>,
  access: Pick<BlobAccess, "open">,
): AsyncGenerator<BackupSection> {
  for (const hash of hashes) {
    if (given.has(hash)) continue;
    given.add(hash);
    const content = await access.open(hash);
    if (content === undefined) {
      throw new CorvoError("BLOB_NOT_FOUND", `no node that could be asked has blob ${hash}`);
    }
    const head = { kind: "blob" as const, hash, bytes: content.size };
    yield { head, content: inPieces(content.stream()) };
  }
}

/** In pieces that are small enough. */
async function* inPieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    for (let at = 0; at < piece.length; at += pieceBytes) yield piece.subarray(at, at + pieceBytes);
  }
}

async function* queueSections(
  cores: readonly ShardCore[],
  queues: Queues,
  access: Pick<BlobAccess, "open">,
): AsyncGenerator<BackupSection | "beat"> {
  const given = new Set<string>();
  for (const core of cores) {
    const named = new Set<string>();
    for await (const copy of copied(core)) {
      if (copy === "beat") yield copy;
      else {
        const head = { kind: "queues" as const, shard: core.shard };
        const note = (hash: string) => named.add(hash);
        yield { head, content: packed(linesOf(core, copy.path, { queues, note })) };
      }
    }
    yield* blobSections(named, given, access);
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

interface Wanted {
  readonly queues: Queues;
  /** Hears of each blob that a job names. */
  readonly note?: (hash: string) => void;
}

/** A line of JSON for each queue and job; a queue comes before its jobs. Lines come in groups that cost little each. */
async function* linesOf(
  core: ShardCore,
  path: string,
  { queues, note }: Wanted,
): AsyncGenerator<string> {
  const source = new QueueExport(path);
  try {
    for (const queue of source.queues(queues)) {
      yield `${JSON.stringify({ queue: queueLine(queue) })}\n`;
      for (const jobs of source.jobs(queue.name)) {
        const lines = jobs.map(({ job, attempts }) => {
          const id = formatJobId(job.seq, job.createdAtMs, core.shard);
          const line = jobLine(id, job, attempts);
          if (line.payload_blob !== undefined) note?.(line.payload_blob);
          if (line.result_blob !== undefined) note?.(line.result_blob);
          return `${stringifyJson({ job: line })}\n`;
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
      for await (const group of linesOf(core, copy.path, { queues })) {
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
