/** Tests jobs for the part of a filter that SQL does not tell, reading no more of each than the filter asks for. */
import type { Database } from "bun:sqlite";
import { must } from "../base/assert.ts";
import { formatJobId } from "../base/ids.ts";
import { jsonOf } from "../base/stored-value.ts";
import { type MatchSubject, matchesJob } from "../engine/filter-match.ts";
import type { JobFilter } from "../engine/query.ts";
import { ErrorReader } from "./error-groups.ts";
import { type JobRow, jobColumns, readJob } from "./state-schema.ts";
import { errorsOf } from "./text-rows.ts";

export class JobAcceptor {
  readonly #db: Database;
  readonly #filter: JobFilter;
  readonly #groups: ErrorReader;
  readonly #names = new Map<number, string>();

  constructor(db: Database, filter: JobFilter) {
    this.#db = db;
    this.#filter = filter;
    this.#groups = new ErrorReader(db);
  }

  readonly accepts = (seq: number): boolean => {
    const row = this.#db
      .query(`SELECT ${jobColumns} FROM jobs WHERE seq = ?`)
      .get(seq) as JobRow & {
      queue: number;
    };
    return matchesJob(this.#subjectOf(row), this.#filter);
  };

  #subjectOf(row: JobRow & { queue: number }): MatchSubject {
    const { seq } = row;
    const job = readJob(row, this.#nameOf(row.queue));
    return {
      job,
      id: () => formatJobId(seq, row.created, 0),
      json: () => jsonOf(row.payload),
      errors: () => (job.history === 0 ? [] : errorsOf(this.#db, seq)),
      errorGroup: () => this.#groups.groupOf(seq)?.id,
    };
  }

  #nameOf(id: number): string {
    let name = this.#names.get(id);
    if (name === undefined) {
      const row = this.#db.query("SELECT name FROM queues WHERE id = ?").get(id);
      name = must(row as { name: string } | null, "the queue of a job exists").name;
      this.#names.set(id, name);
    }
    return name;
  }
}
