/**
 * Brings queues of a backup, or of a JSON document, back into a running server: a bounded number of jobs in each call, queues
 * before their jobs. Whether the file is whole is known before the first call.
 */

import { type BodyOf, rawTreeOf } from "../../api/operation.ts";
import { operations } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { parseJson, stringifyJson } from "../../base/json.ts";
import type { BytesClient } from "../../sdk/bytes.ts";
import type { Client } from "../../sdk/client.ts";
import { readBackup } from "../../store/backup-reader.ts";

type Body = BodyOf<typeof operations.adminRestore>;
type JobDocument = NonNullable<Body["jobs"]>[number];
type QueueDocument = NonNullable<Body["queues"]>[number];

export interface QueuesRestored {
  jobs: number;
  queues: number;
  /** The first of them, and how many there are. */
  readonly refused: { job_id: string; code: string; error: string }[];
  refusedCount: number;
  readonly kept: string[];
}

export interface QueuesTarget {
  readonly client: Client;
  readonly bytes: Pick<BytesClient, "upload">;
  readonly signal: AbortSignal;
  readonly hasNewIds: boolean;
  readonly onProgress: (jobs: number) => void;
}

const callJobsMax = 500;
const callLengthMax = 4 * 1024 * 1024;
const refusedShownMax = 1000;
/** A job with payload, result and checkpoint of the largest size, a long history and room to spare. */
const lineLengthMax = 32 * 1024 * 1024;
/** A document as deep as a payload may be, some levels down. */
const depthMax = 160;

const bodyTree = rawTreeOf(operations.adminRestore.body);
const jobTree = rawTreeOf(operations.adminRestore.body.properties.jobs);
const lineTree =
  jobTree !== undefined && jobTree !== "raw" && "elements" in jobTree
    ? { members: { job: jobTree.elements } }
    : undefined;

/** The blobs of a backup of queues, then the lines of its sections, one after the other: it is read twice. */
export async function restoreBackup(
  open: () => AsyncIterable<Uint8Array>,
  target: QueuesTarget,
): Promise<QueuesRestored> {
  await uploadBlobs(open(), target);
  const calls = new RestoreCalls(target);
  for await (const line of linesOf(open())) {
    const { job, queue } = parse(line, lineTree) as { job?: JobDocument; queue?: QueueDocument };
    if (queue !== undefined) await calls.addQueue(queue);
    if (job !== undefined) await calls.addJob(job, line.length);
  }
  return calls.finish();
}

/** Each is held in memory while it goes up; what is kept for a while is named by jobs soon. */
async function uploadBlobs(
  chunks: AsyncIterable<Uint8Array>,
  { bytes, signal }: QueuesTarget,
): Promise<void> {
  let blob: { readonly hash: string; readonly pieces: Uint8Array[] } | undefined;
  for await (const part of readBackup(chunks)) {
    if (part.kind === "begin" && part.head.kind === "blob") {
      blob = { hash: part.head.hash, pieces: [] };
    } else if (part.kind === "data") blob?.pieces.push(part.bytes);
    else if (part.kind === "end" && blob !== undefined) {
      const { hash, pieces } = blob;
      blob = undefined;
      const kept = await bytes.upload(async function* () {
        yield* pieces;
      }, signal);
      if (kept.hash === hash) continue;
      throw new CorvoError(
        "VALIDATION_ERROR",
        `the backup names a blob ${hash} that is ${kept.hash}`,
      );
    }
  }
}

/** A document as `GET /api/v1/admin/backup` gives it, or 0.3 did. */
export async function restoreDocument(text: string, target: QueuesTarget): Promise<QueuesRestored> {
  const calls = new RestoreCalls(target);
  const { jobs, queues } = parse(text, bodyTree) as Body;
  if (jobs == null && queues == null) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      "the file is no document of a backup: it has neither jobs nor queues",
    );
  }
  for (const queue of queues ?? []) await calls.addQueue(queue);
  for (const job of jobs ?? []) await calls.addJob(job, stringifyJson(job).length);
  return calls.finish();
}

function parse(text: string, tree: ReturnType<typeof rawTreeOf>): unknown {
  const parsed = parseJson(text, tree, depthMax);
  if (parsed.ok && typeof parsed.value === "object" && parsed.value !== null) return parsed.value;
  const why = parsed.ok ? "it is no object" : parsed.message;
  throw new CorvoError("VALIDATION_ERROR", `the file is no document of a backup: ${why}`);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let isOfLines = false;
  for await (const part of readBackup(chunks)) {
    if (part.kind === "begin") isOfLines = part.head.kind === "queues";
    if (part.kind !== "data" || !isOfLines) continue;
    const lines = (rest + decoder.decode(part.bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineLengthMax) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `a line of the backup is over ${lineLengthMax} long`,
      );
    }
    yield* lines;
  }
  if (rest !== "") yield rest;
}

class RestoreCalls {
  readonly #target: QueuesTarget;
  readonly #restored: QueuesRestored = {
    jobs: 0,
    queues: 0,
    refused: [],
    refusedCount: 0,
    kept: [],
  };
  #jobs: JobDocument[] = [];
  #length = 0;

  constructor(target: QueuesTarget) {
    this.#target = target;
  }

  async addQueue(queue: QueueDocument): Promise<void> {
    await this.#flush();
    await this.#call({ queues: [queue] });
    this.#restored.queues++;
  }

  async addJob(job: JobDocument, length: number): Promise<void> {
    if (this.#jobs.length >= callJobsMax || this.#length + length > callLengthMax) {
      await this.#flush();
    }
    this.#jobs.push(job);
    this.#length += length;
  }

  async finish(): Promise<QueuesRestored> {
    await this.#flush();
    return this.#restored;
  }

  async #flush(): Promise<void> {
    if (this.#jobs.length === 0) return;
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#length = 0;
    await this.#call({ jobs });
  }

  async #call(part: Pick<Body, "jobs" | "queues">): Promise<void> {
    const { client, signal, hasNewIds, onProgress } = this.#target;
    const body = { ...part, ...(hasNewIds ? { new_ids: true } : {}) };
    const answer = await client.adminRestore({ body }, { signal });
    const found = this.#restored;
    found.jobs += answer.restored_jobs;
    found.refusedCount += answer.refused.length;
    found.refused.push(...answer.refused.slice(0, refusedShownMax - found.refused.length));
    found.kept.push(...answer.kept);
    onProgress(found.jobs);
  }
}
