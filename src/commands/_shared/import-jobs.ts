/**
 * `corvo enqueue --file`: reads records as they come, checks each, and adds them in batches, one after the other and in
 * the order of the file. Memory holds one batch and one record, however long the file is.
 *
 * Every batch carries an idempotency key made from its content and its place, so the same import repeated after an
 * interruption adds only what is missing. A batch that the server refuses because of its content is halved until the
 * records at fault stand alone; the others are added.
 */
import { CorvoError, exitCodes } from "../../base/errors.ts";
import { stringifyJson } from "../../base/json.ts";
import type { Client } from "../../sdk/client.ts";
import { connect, patientRetry } from "./client.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit.ts";
import { type ImportedJob, type ReadRecord, readRecord } from "./import-record.ts";
import { openInput, utf8Decoder } from "./input.ts";
import { count } from "./output.ts";
import { createProgress, type Progress } from "./progress.ts";
import { RecordSplitter } from "./record-splitter.ts";

export interface ImportOptions {
  readonly source: string;
  /** Queue of the records that name none; without it they go to `defaultQueue`. */
  readonly queue: string | undefined;
  /** Members of every job that does not say otherwise; an idempotency key sets this import apart. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
}

const batchJobsMax = 500;
const batchLengthMax = 4 * 1024 * 1024;
/** Problems that are kept for the report, and those of them that are shown to a person. */
const problemsKeptMax = 1000;
const problemsShownMax = 20;

interface Item {
  readonly line: number;
  readonly job: ImportedJob;
}

export async function importJobs(context: Context, options: ImportOptions): Promise<number> {
  if (options.options["unique_key"] !== undefined) {
    throw new UsageError(
      "--unique-key would let only one job of the file be added",
      "Give each record an id or a unique_key of its own.",
    );
  }
  const job = new Import(context, options);
  context.whenInterrupted(() => `interrupted; ${job.summary()}${job.resume()}`);
  try {
    await job.run();
  } catch (error) {
    if (!context.signal.aborted && job.hasBegun) {
      context.log.info(`${job.summary()}${job.resume()}`);
    }
    throw error;
  }
  return job.report();
}

class Import {
  readonly #context: Context;
  readonly #options: ImportOptions;
  readonly #client: Client;
  readonly #progress: Progress;
  readonly #defaults: Readonly<Record<string, unknown>>;
  readonly #salt: string;
  #batch: Item[] = [];
  #batchLength = 0;
  #added = 0;
  #duplicate = 0;
  #invalid = 0;
  readonly #problems: { line: number; error: string }[] = [];

  constructor(context: Context, options: ImportOptions) {
    const { idempotency_key: salt, ...defaults } = options.options;
    this.#context = context;
    this.#options = options;
    this.#client = connect(context, patientRetry);
    this.#progress = createProgress(context);
    this.#defaults = options.queue === undefined ? defaults : { queue: options.queue, ...defaults };
    this.#salt = String(salt ?? "");
  }

  async run(): Promise<void> {
    const { system } = this.#context;
    const { source } = this.#options;
    const name = source === "-" ? "standard input" : source;
    const input = openInput(system, source);
    const bytesTotal = source === "-" ? undefined : await sizeOf(this.#context, source);
    const decode = utf8Decoder(name);
    const splitter = new RecordSplitter();
    let bytesRead = 0;
    try {
      for await (const chunk of input) {
        bytesRead += chunk.length;
        for (const record of splitter.push(decode(chunk)))
          await this.#take(readRecord(record, this.#defaults));
        const share = bytesTotal === undefined ? undefined : bytesRead / Math.max(1, bytesTotal);
        this.#progress.update(share, this.summary());
      }
      for (const record of splitter.push(decode(undefined)))
        await this.#take(readRecord(record, this.#defaults));
      for (const record of splitter.end()) await this.#take(readRecord(record, this.#defaults));
      await this.#flush();
    } finally {
      this.#progress.done();
    }
  }

  get hasBegun(): boolean {
    return this.#added + this.#duplicate + this.#invalid > 0;
  }

  summary(): string {
    const added = this.#options.dryRun ? "valid" : "added";
    return `${added} ${this.#added.toLocaleString("en-US")}, duplicate ${this.#duplicate.toLocaleString("en-US")}, invalid ${this.#invalid.toLocaleString("en-US")}`;
  }

  /** What a person can do after an import that did not reach its end. */
  resume(): string {
    return this.#options.dryRun ? "" : "; the same command again goes on where this one ended";
  }

  report(): number {
    const { output } = this.#context;
    if (output.json) {
      output.line(
        JSON.stringify({
          added: this.#added,
          duplicate: this.#duplicate,
          invalid: this.#invalid,
          dry_run: this.#options.dryRun,
          problems: this.#problems,
          problems_left_out: this.#invalid - this.#problems.length,
        }),
      );
    } else if (!output.quiet) {
      output.line(this.summary());
    }
    const hidden = this.#invalid - problemsShownMax;
    if (hidden > 0 && !output.json) output.warn(`and ${count(hidden, "invalid record")} more`);
    return this.#invalid === 0 ? exitCodes.ok : exitCodes.partial;
  }

  async #take(read: ReadRecord): Promise<void> {
    if ("problem" in read) {
      this.#refuse(read.line, read.problem);
      return;
    }
    if (this.#options.dryRun) {
      this.#added++;
      return;
    }
    const length = stringifyJson(read.job).length;
    if (this.#batch.length > 0 && this.#batchLength + length > batchLengthMax) await this.#flush();
    this.#batch.push(read);
    this.#batchLength += length;
    if (this.#batch.length === batchJobsMax) await this.#flush();
  }

  #refuse(line: number, error: string): void {
    this.#invalid++;
    if (this.#problems.length < problemsKeptMax) this.#problems.push({ line, error });
    if (this.#invalid > problemsShownMax || this.#context.output.json) return;
    this.#progress.done();
    this.#context.output.warn(`line ${line}: ${error}`);
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchLength = 0;
    if (batch.length > 0) await this.#send(batch);
  }

  async #send(items: readonly Item[]): Promise<void> {
    const { signal, output } = this.#context;
    const jobs = items.map((item) => item.job);
    const body = { jobs, idempotency_key: this.#keyOf(items[0]?.line ?? 0, jobs) };
    try {
      const { results } = await this.#client.enqueueJobs({ body }, { signal });
      results.forEach((result, i) => {
        if ("error" in result) {
          this.#refuse(items[i]?.line ?? 0, result.error ?? "");
          return;
        }
        if (result.status === "duplicate") this.#duplicate++;
        else this.#added++;
        if (output.quiet && !output.json) output.line(result.job_id);
      });
    } catch (error) {
      if (!(error instanceof CorvoError) || !isFaultOfContent(error)) throw error;
      if (items.length === 1) {
        this.#refuse(items[0]?.line ?? 0, error.message);
        return;
      }
      const half = Math.ceil(items.length / 2);
      await this.#send(items.slice(0, half));
      await this.#send(items.slice(half));
    }
  }

  #keyOf(line: number, jobs: readonly ImportedJob[]): string {
    const hash = new Bun.CryptoHasher("sha256");
    hash.update(`${this.#salt}\n${line}\n${stringifyJson(jobs)}`);
    return `import-${hash.digest("hex")}`;
  }
}

/** Would another set of jobs have been accepted? */
function isFaultOfContent(error: CorvoError): boolean {
  return (
    error.code === "VALIDATION_ERROR" ||
    error.code === "PARSE_ERROR" ||
    error.code === "PAYLOAD_TOO_LARGE" ||
    error.code === "LIMIT_EXCEEDED"
  );
}

async function sizeOf(context: Context, path: string): Promise<number | undefined> {
  try {
    return await context.system.fileBytes(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`cannot read ${path}: ${reason}`, "Check the path.");
  }
}
