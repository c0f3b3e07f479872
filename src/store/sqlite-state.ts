/**
 * `State` as a write-back cache over SQLite. The engine works on memory; a read that misses falls through to a SELECT
 * by row key; a checkpoint hands what changed to a writer, which stores it in one transaction together with the applied
 * index. Between checkpoints the log is what makes the changes durable.
 *
 * Nothing here may change an outcome: the contract suite and a property test hold this class to `MemoryState` with any
 * cache size and with crashes in between.
 */
import { Database, type Statement } from "bun:sqlite";
import { must } from "../base/assert.ts";
import { EventTail } from "../engine/event-tail.ts";
import { type Attempt, type Job, stateCode } from "../engine/job.ts";
import { splitUnique, uniqueName } from "../engine/memory-state.ts";
import { type RecordKind, Records, type RecordTable, type RecordTypes } from "../engine/records.ts";
import {
  createMeta,
  type IdempotencyRecord,
  type LiveJob,
  type Meta,
  type QueueRecord,
  retentionClassOf,
  type State,
  type UniqueLock,
} from "../engine/state.ts";
import type { StateContents, UniqueRecord } from "../engine/state-hash.ts";
import { DirtyTable } from "./dirty-table.ts";
import { packEvents } from "./event-rows.ts";
import { JobCache } from "./job-cache.ts";
import {
  type AttemptRow,
  attemptRow,
  eachRow,
  readAttempt,
  readAttempts,
  readIdempotency,
  readLiveJobs,
  readQueues,
  readRecords,
  type StoredIdempotency,
  type StoredQueue,
  splitName,
  writeQueue,
} from "./state-rows.ts";
import {
  configureConnection,
  type JobRow,
  jobColumns,
  numberColumns,
  packRest,
  readJob,
  stateOf,
  stateTables,
  textColumns,
  writeNumbers,
} from "./state-schema.ts";
import type { Checkpoint } from "./state-writer.ts";
import { changedTexts } from "./text-changes.ts";

export interface SqliteStateOptions {
  /** Clean waiting jobs kept in memory. 0 keeps none. */
  readonly cachedJobsMax: number;
  /** Keep a list of the jobs whose text changes, for the index of texts. */
  readonly listTextChanges?: boolean;
}

/** How many rows are read together with one that missed, unless payloads are so large that this would cost memory. */
const aheadJobs = 256;
const aheadPayloadMax = 8192;

/** About as many events as cost what the row of a job costs. */
const eventsPerRow = 64;

export class SqliteState implements State {
  readonly meta: Meta;
  readonly events: EventTail;
  /** Index of the last log entry whose effects the database holds. */
  readonly storedIndex: number;
  /** JSON of the membership after that entry; undefined in a new database. */
  readonly storedConf: string | undefined;
  readonly #db: Database;
  readonly #selectJob: Statement;
  readonly #selectAhead: Statement;
  readonly #selectUnique: Statement;
  readonly #jobs: JobCache;
  readonly #queues = new Map<string, StoredQueue>();
  readonly #queueNames = new Map<number, string>();
  #nextQueueId = 1;
  readonly #dirtyQueues = new DirtyTable<StoredQueue>();
  readonly #dirtyUniques = new DirtyTable<UniqueRecord>();
  readonly #idempotency = new Map<string, StoredIdempotency>();
  #nextIdempotency = 1;
  readonly #dirtyIdempotency = new DirtyTable<StoredIdempotency>();
  readonly #dirtyAttempts = new DirtyTable<Attempt>();
  readonly #dirtyRecords = new DirtyTable<unknown>();
  readonly #records = new Records((kind, key, value) =>
    this.#dirtyRecords.set(`${kind}\n${key}`, value),
  );
  /** Jobs read together with one that missed, because a line is claimed in order. Dropped when they change. */
  readonly #ahead = new Map<number, Job>();
  #floors = "";
  readonly #listTextChanges: boolean;
  /** Restored since the last checkpoint was stored. */
  readonly #restored = new Set<number>();
  #takenRestored: readonly number[] = [];
  /** The last change in that list that the index has taken in. */
  textTakenIn = 0;
  #takenFloor: Meta["floor"];
  #storedFloor: Meta["floor"];

  constructor(path: string, options: SqliteStateOptions) {
    this.#db = new Database(path, { create: true });
    configureConnection(this.#db, 16 * 1024);
    this.#db.exec(stateTables);
    this.#selectJob = this.#db.prepare(`SELECT ${jobColumns} FROM jobs WHERE seq = ?`);
    this.#selectAhead = this.#db.prepare(
      `SELECT ${jobColumns} FROM jobs WHERE seq BETWEEN ? AND ? ORDER BY seq`,
    );
    this.#selectUnique = this.#db.prepare(
      "SELECT seq, until FROM uniques WHERE queue = ? AND key = ?",
    );
    this.#jobs = new JobCache(options.cachedJobsMax);
    this.#listTextChanges = options.listTextChanges ?? false;
    this.meta = this.#readMeta();
    this.events = new EventTail(this.meta.nextEvent, true);
    this.#storedFloor = { ...this.meta.floor };
    this.#takenFloor = this.#storedFloor;
    this.storedIndex = Number(this.#metaValue("applied") ?? 0);
    this.storedConf = this.#metaValue("conf");
    for (const queue of readQueues(this.#db)) {
      this.#queues.set(queue.record.name, queue);
      this.#queueNames.set(queue.id, queue.record.name);
      this.#nextQueueId = Math.max(this.#nextQueueId, queue.id + 1);
    }
    this.#readIdempotency();
    for (const record of readRecords(this.#db)) this.#records.load(record);
  }

  getJob(seq: number): Job | undefined {
    const cached = this.#jobs.get(seq);
    if (cached !== undefined) return this.#isPurged(cached) ? undefined : cached;
    if (this.#jobs.isGone(seq)) return undefined;
    const ahead = this.#ahead.get(seq);
    if (ahead !== undefined) return ahead;
    const row = this.#selectJob.get(seq) as (JobRow & { queue: number }) | null;
    // Before the row is read: the queue of a job that no longer exists may be gone too.
    if (row === null || this.#isPurged({ finish: row.finish, state: stateOf(row.state) })) {
      return undefined;
    }
    const job = this.#readRow(row);
    if (job.state === "pending" && job.payload.length <= aheadPayloadMax) this.#readAhead(seq);
    return job;
  }

  noteRestored(seq: number): void {
    if (this.#listTextChanges) this.#restored.add(seq);
  }

  putJob(job: Job): void {
    this.#ahead.delete(job.seq);
    this.#jobs.put(job);
  }

  deleteJob(seq: number): void {
    this.#ahead.delete(seq);
    this.#jobs.delete(seq);
  }

  putAttempt(attempt: Attempt): void {
    this.#dirtyAttempts.set(`${attempt.seq} ${attempt.ordinal}`, attempt);
  }

  deleteAttempt(seq: number, ordinal: number): void {
    this.#dirtyAttempts.set(`${seq} ${ordinal}`, undefined);
  }

  /** The attempts of a job, oldest first. */
  attemptsOf(job: Job): Attempt[] {
    const found: Attempt[] = [];
    const stored = new Map(readAttempts(this.#db, job.seq).map((one) => [one.ordinal, one]));
    for (let ordinal = Math.max(0, job.history - 64); ordinal < job.history; ordinal++) {
      const recent = this.#dirtyAttempts.get(`${job.seq} ${ordinal}`);
      const attempt = recent.known ? recent.value : stored.get(ordinal);
      if (attempt !== undefined) found.push(attempt);
    }
    return found;
  }

  getQueue(name: string): QueueRecord | undefined {
    return this.#queues.get(name)?.record;
  }

  putQueue(record: QueueRecord): void {
    const stored = { id: this.#nextQueueId++, record };
    this.#queues.set(record.name, stored);
    this.#queueNames.set(stored.id, record.name);
    this.#dirtyQueues.set(record.name, stored);
  }

  touchQueue(record: QueueRecord): void {
    this.#dirtyQueues.set(record.name, this.#queues.get(record.name));
  }

  deleteQueue(name: string): void {
    const stored = this.#queues.get(name);
    if (stored !== undefined) this.#queueNames.delete(stored.id);
    this.#queues.delete(name);
    this.#dirtyQueues.set(name, undefined);
  }

  *queues(): Iterable<QueueRecord> {
    for (const stored of this.#queues.values()) yield stored.record;
  }

  get queueCount(): number {
    return this.#queues.size;
  }

  getUnique(queue: string, key: string): UniqueLock | undefined {
    const recent = this.#dirtyUniques.get(uniqueName(queue, key));
    if (recent.known) return recent.value?.lock;
    const row = this.#selectUnique.get(queue, key) as { seq: number; until: number } | null;
    return row === null ? undefined : { seq: row.seq, untilMs: row.until };
  }

  putUnique(queue: string, key: string, lock: UniqueLock): void {
    this.#dirtyUniques.set(uniqueName(queue, key), { queue, key, lock });
  }

  deleteUnique(queue: string, key: string): void {
    this.#dirtyUniques.set(uniqueName(queue, key), undefined);
  }

  getIdempotency(key: string): IdempotencyRecord | undefined {
    return this.#idempotency.get(key)?.record;
  }

  putIdempotency(record: IdempotencyRecord): void {
    const stored = { ordinal: this.#nextIdempotency++, record };
    this.#idempotency.set(record.key, stored);
    this.#dirtyIdempotency.set(String(stored.ordinal), stored);
  }

  deleteIdempotency(key: string): void {
    const stored = this.#idempotency.get(key);
    if (stored === undefined) return;
    this.#idempotency.delete(key);
    this.#dirtyIdempotency.set(String(stored.ordinal), undefined);
  }

  oldestIdempotency(): IdempotencyRecord | undefined {
    return this.#idempotency.values().next().value?.record;
  }

  get idempotencyCount(): number {
    return this.#idempotency.size;
  }

  records<Kind extends RecordKind>(kind: Kind): RecordTable<RecordTypes[Kind]> {
    return this.#records.table(kind);
  }

  /** Rows below the floor are invisible from now on; the writer removes them when it has time. */
  purgeFinished(): void {}

  liveJobs(): Iterable<LiveJob> {
    return readLiveJobs(
      this.#db,
      new Map([...this.#queues.values()].map(({ id, record }) => [id, record])),
    );
  }

  /** Everything there is, what the database holds and what it does not hold yet. */
  contents(): StateContents {
    return {
      meta: this.meta,
      jobs: () => this.#allJobs(),
      attempts: () => this.#allAttempts(),
      queues: () => this.queues(),
      uniques: () => this.#allUniques(),
      idempotency: () => [...this.#idempotency.values()].map((stored) => stored.record),
      records: () => this.#records.all(),
    };
  }

  /** Records that a checkpoint would write now. */
  get dirtyCount(): number {
    return (
      this.#jobs.dirtyCount +
      this.#dirtyQueues.size +
      this.#dirtyAttempts.size +
      this.#dirtyRecords.size +
      Math.ceil(this.events.unstored / eventsPerRow)
    );
  }

  /** Bytes of the pages of the database that hold something, and of those that can be used again. */
  pageBytes(): { readonly used: number; readonly free: number } {
    const number = (pragma: string): number =>
      Object.values(this.#db.query(`PRAGMA ${pragma}`).get() as Record<string, number>)[0] ?? 0;
    const size = number("page_size");
    const free = number("freelist_count");
    return { used: (number("page_count") - free) * size, free: free * size };
  }

  get cachedJobs(): number {
    return this.#jobs.size;
  }

  /** Everything that changed since the last one. `settle` or `restore` must follow before the next. */
  takeCheckpoint(appliedIndex: number, conf = "{}"): Checkpoint {
    const { jobs, deleted, returned } = this.#jobs.take();
    // Retention may have removed what was not stored yet. An older row of it, perhaps an unfinished one, must go.
    const kept = jobs.filter((job) => !this.#isPurged(job));
    const purged = jobs.filter((job) => this.#isPurged(job)).map((job) => job.seq);
    this.#takenFloor = { ...this.meta.floor };
    this.#takenRestored = [...this.#restored];
    const queues = this.#dirtyQueues.take();
    const uniques = this.#dirtyUniques.take();
    const idempotency = this.#dirtyIdempotency.take();
    const attempts = this.#dirtyAttempts.take();
    const records = this.#dirtyRecords.take();
    return {
      appliedIndex,
      conf,
      meta: JSON.stringify(this.meta),
      ...this.#encodeJobs(kept),
      deletedJobs: [...deleted, ...purged],
      returnedJobs: returned,
      attempts: attempts.put.flatMap(([, one]) => (this.#isOwn(one) ? [attemptRow(one)] : [])),
      deletedAttempts: attempts.deleted.map(
        (key) => key.split(" ").map(Number) as [number, number],
      ),
      queues: queues.put.map(([, stored]) => [
        stored.id,
        stored.record.name,
        writeQueue(stored.record),
      ]),
      deletedQueues: queues.deleted,
      uniques: uniques.put.map(([, { queue, key, lock }]) => [queue, key, lock.seq, lock.untilMs]),
      deletedUniques: uniques.deleted.map((name) => {
        const { queue, key } = splitUnique(name);
        return [queue, key];
      }),
      idempotency: idempotency.put.map(([, { ordinal, record }]) => [
        ordinal,
        record.key,
        record.fingerprint,
        record.expiresAtMs,
        JSON.stringify(
          record.batch === undefined
            ? record.results
            : { results: record.results, batch: record.batch },
        ),
      ]),
      deletedIdempotency: idempotency.deleted.map(Number),
      records: records.put.map(([name, value]) => [...splitName(name), JSON.stringify(value)]),
      deletedRecords: records.deleted.map(splitName),
      events: this.events.take().map(packEvents),
      textChanges: this.#listTextChanges
        ? changedTexts(kept, attempts.put, this.#takenRestored)
        : undefined,
      textTakenIn: this.textTakenIn,
    };
  }

  /** The writer has stored the last checkpoint. */
  settle(): void {
    for (const seq of this.#takenRestored) this.#restored.delete(seq);
    this.#storedFloor = this.#takenFloor;
    this.#jobs.settle();
    this.#dirtyQueues.settle();
    this.#dirtyUniques.settle();
    this.#dirtyIdempotency.settle();
    this.#dirtyAttempts.settle();
    this.#dirtyRecords.settle();
    this.events.settle();
  }

  /** The writer could not store it: nothing is lost, it goes with the next one. */
  restore(): void {
    this.#jobs.restore();
    this.#dirtyQueues.restore();
    this.#dirtyUniques.restore();
    this.#dirtyIdempotency.restore();
    this.#dirtyAttempts.restore();
    this.#dirtyRecords.restore();
    this.events.restore();
  }

  /**
   * The floors that the database holds, when they rose since the last call. Not those of this moment: rows below them may
   * be needed to replay the log from the stored index, and a job may have been run again in the meantime.
   */
  takeFloors(): Meta["floor"] | undefined {
    const text = JSON.stringify(this.#storedFloor);
    if (text === this.#floors) return undefined;
    this.#floors = text;
    return this.#storedFloor;
  }

  close(): void {
    this.#db.close();
  }

  *#allJobs(): Iterable<Job> {
    for (const job of this.#jobs.values()) if (!this.#isPurged(job)) yield job;
    for (const row of eachRow(this.#db, `SELECT ${jobColumns} FROM jobs`)) {
      const { seq } = row as JobRow;
      if (this.#jobs.get(seq) !== undefined || this.#jobs.isGone(seq)) continue;
      const job = this.getJob(seq);
      if (job !== undefined) yield job;
    }
  }

  *#allAttempts(): Iterable<Attempt> {
    for (const [, attempt] of this.#dirtyAttempts.entries()) {
      if (attempt !== undefined && this.#isOwn(attempt)) yield attempt;
    }
    for (const row of eachRow(this.#db, "SELECT * FROM attempts")) {
      const attempt = readAttempt(row as AttemptRow);
      if (this.#dirtyAttempts.get(`${attempt.seq} ${attempt.ordinal}`).known) continue;
      if (this.#isOwn(attempt)) yield attempt;
    }
  }

  /** A job that came back under its number has none of the attempts from before it was deleted. */
  #isOwn({ seq, ordinal }: Attempt): boolean {
    return ordinal < (this.getJob(seq)?.history ?? 0);
  }

  *#allUniques(): Iterable<UniqueRecord> {
    for (const [, record] of this.#dirtyUniques.entries()) if (record !== undefined) yield record;
    for (const found of eachRow(this.#db, "SELECT * FROM uniques")) {
      const row = found as { queue: string; key: string; seq: number; until: number };
      if (this.#dirtyUniques.get(uniqueName(row.queue, row.key)).known) continue;
      yield { queue: row.queue, key: row.key, lock: { seq: row.seq, untilMs: row.until } };
    }
  }

  #encodeJobs(jobs: readonly Job[]): Pick<Checkpoint, "numbers" | "lengths" | "texts"> {
    const numbers = new Float64Array(jobs.length * numberColumns);
    const lengths = new Int32Array(jobs.length * textColumns).fill(-1);
    const texts: string[] = [];
    for (let i = 0; i < jobs.length; i++) {
      const job = jobs[i] as Job;
      const queue = must(this.#queues.get(job.queue), "a job's queue exists");
      writeNumbers(numbers, i * numberColumns, job, queue.id);
      const at = i * textColumns;
      const columns = [job.workerId, job.payload, job.result, packRest(job)];
      for (let column = 0; column < textColumns; column++) {
        const text = columns[column];
        if (text === undefined) continue;
        lengths[at + column] = text.length;
        texts.push(text);
      }
    }
    return { numbers, lengths, texts: texts.join("") };
  }

  #readRow(row: JobRow & { queue: number }): Job {
    return readJob(row, must(this.#queueNames.get(row.queue), "a stored job's queue exists"));
  }

  /** Jobs that became ready one after the other were mostly created so too: the next in line are the next rows. */
  #readAhead(seq: number): void {
    this.#ahead.clear();
    const rows = this.#selectAhead.all(seq, seq + aheadJobs - 1) as (JobRow & { queue: number })[];
    for (const row of rows) {
      if (row.state !== stateCode.pending || this.#jobs.get(row.seq) !== undefined) continue;
      if (this.#jobs.isGone(row.seq)) continue;
      this.#ahead.set(row.seq, this.#readRow(row));
    }
  }

  #isPurged(job: Pick<Job, "finish" | "state">): boolean {
    return job.finish > 0 && job.finish < this.meta.floor[retentionClassOf(job.state)];
  }

  #metaValue(key: string): string | undefined {
    const row = this.#db.query("SELECT value FROM meta WHERE key = ?").get(key) as {
      value: string;
    } | null;
    return row?.value;
  }

  #readMeta(): Meta {
    const text = this.#metaValue("engine");
    return text === undefined ? createMeta() : { ...createMeta(), ...(JSON.parse(text) as Meta) };
  }

  #readIdempotency(): void {
    for (const stored of readIdempotency(this.#db)) {
      this.#idempotency.set(stored.record.key, stored);
      this.#nextIdempotency = stored.ordinal + 1;
    }
  }
}
