/**
 * Reads queues with all that belongs to them from a copy of a state, a bounded piece at a time: jobs with their attempts, settings,
 * limits, schedules. What retention has let go is left out, whether or not its rows are gone.
 */
import { Database } from "bun:sqlite";
import { type Attempt, isFinished, type Job, jobStates, stateCode } from "../engine/job.ts";
import type { LimitSetting } from "../engine/limits/setting.ts";
import type { QueueContents } from "../engine/query.ts";
import type { QueueSettings } from "../engine/queue-settings.ts";
import type { ScheduleRecord } from "../engine/schedule.ts";
import { createMeta, type Meta, retentionClassOf } from "../engine/state.ts";
import { readAttempts, readQueues, readRecords, type StoredQueue } from "./state-rows.ts";
import { type JobRow, jobColumns, readJob } from "./state-schema.ts";

export interface ExportedJob {
  readonly job: Job;
  readonly attempts: readonly Attempt[];
}

/** Of one piece: at a hundred kilobytes each they are some megabytes. */
const pageJobs = 50;

export class QueueExport {
  readonly #db: Database;
  readonly #queues: readonly StoredQueue[];
  readonly #floor: Meta["floor"];
  readonly #settings = new Map<string, QueueSettings>();
  readonly #limits: LimitSetting[] = [];
  readonly #schedules: ScheduleRecord[] = [];

  constructor(path: string) {
    this.#db = new Database(path, { readonly: true });
    this.#queues = readQueues(this.#db);
    const row = this.#db.query("SELECT value FROM meta WHERE key = 'engine'").get() as {
      value: string;
    } | null;
    this.#floor = (row === null ? createMeta() : (JSON.parse(row.value) as Meta)).floor;
    for (const { kind, key, value } of readRecords(this.#db)) {
      if (kind === "queueSettings") this.#settings.set(key, value as QueueSettings);
      else if (kind === "limits") this.#limits.push(value as LimitSetting);
      else if (kind === "schedule") this.#schedules.push(value as ScheduleRecord);
    }
  }

  /** Those of these names, or all. */
  queues(names: readonly string[] | undefined): QueueContents[] {
    return this.#queues
      .filter(({ record }) => names === undefined || names.includes(record.name))
      .map(({ record: { name, createdAtMs, paused } }) => ({
        ...{ name, createdAtMs, paused, settings: this.#settings.get(name) },
        limits: this.#limits.filter(({ target }) => target.queue === name),
        schedules: this.#schedules.filter(({ spec }) => spec.job.queue === name),
      }));
  }

  /** Limits of what jobs of several queues share. */
  resourceLimits(): readonly LimitSetting[] {
    return this.#limits.filter(({ target }) => target.scope === "resource");
  }

  /** The jobs of a queue by state, in the order of their numbers. */
  *jobs(queue: string): Generator<readonly ExportedJob[]> {
    const stored = this.#queues.find(({ record }) => record.name === queue);
    if (stored === undefined) return;
    const page = this.#db.prepare(
      `SELECT ${jobColumns} FROM jobs INDEXED BY by_queue WHERE queue = ? AND state = ? AND seq > ? ORDER BY seq LIMIT ?`,
    );
    for (const state of jobStates) {
      let afterSeq = 0;
      for (;;) {
        const rows = page.all(stored.id, stateCode[state], afterSeq, pageJobs) as JobRow[];
        const jobs = rows.map((row) => readJob(row, queue)).filter((job) => this.#isKept(job));
        yield jobs.map((job) => ({ job, attempts: readAttempts(this.#db, job.seq) }));
        afterSeq = rows.at(-1)?.seq ?? afterSeq;
        if (rows.length < pageJobs) break;
      }
    }
    page.finalize();
  }

  close(): void {
    this.#db.close();
  }

  #isKept({ state, finish }: Job): boolean {
    return !isFinished(state) || finish >= this.#floor[retentionClassOf(state)];
  }
}
