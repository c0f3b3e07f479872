/**
 * One action on many jobs. The jobs are walked in the order of creation in chunks, each chunk one change in the log, so
 * a large action never stands between other work and the log. Jobs made after the start are not touched. A job in a
 * state that the action does not apply to is skipped.
 *
 * Progress of background actions is kept in this process and lost when it ends; the action then stops between chunks,
 * and repeating it goes on with what is left, since every action is idempotent per job.
 */
import type { InputOf, ResultOf } from "../api/operation.ts";
import { type Operations, Reply } from "../api/operations.ts";
import { Filter } from "../api/search.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { ManageAction, ManageJobs } from "../engine/change.ts";
import type { JobFilter } from "../engine/query.ts";
import { isEmptyFilter, toFilter } from "./filter/body.ts";
import type { Node } from "./node.ts";
import { toPriority } from "./values.ts";

type BulkBody = InputOf<Operations["bulkJobs"]>["body"];
type BulkResult = ResultOf<Operations["bulkJobs"]>;
type BulkView = ResultOf<Operations["getBulk"]>;

const chunkJobs = 500;
/** More ids or matches than this run in the background. */
const foregroundMax = 10_000;
/** Background actions remembered, and running at once. */
const rememberedMax = 1000;
const runningMax = 8;

/** Where the jobs come from, chunk by chunk. */
interface Source {
  readonly total: number;
  /** False when there may be more. */
  readonly isExact: boolean;
  next(): Promise<readonly number[]>;
}

interface Progress {
  readonly view: BulkView;
}

export class BulkOperations {
  readonly #node: Node;
  readonly #known = new Map<string, Progress>();
  #nextNumber = 1;

  constructor(node: Node) {
    this.#node = node;
  }

  async run(body: BulkBody): Promise<BulkResult | Reply<BulkResult>> {
    const startedMs = this.#node.deps.clock.monotonicMs();
    const change = this.#changeOf(body);
    const source = await this.#sourceOf(body);
    if (body.dry_run === true) {
      return { matched: source.total, affected: 0, errors: 0, duration_ms: 0 };
    }
    if (body.async === true || source.total > foregroundMax || !source.isExact) {
      return new Reply<BulkResult>(202, this.#startBackground(body.action, change, source));
    }
    const progress = this.#track(body.action, source.total);
    await this.#work(progress, change, source);
    return {
      matched: source.total,
      affected: progress.view.affected,
      errors: 0,
      duration_ms: this.#node.deps.clock.monotonicMs() - startedMs,
    };
  }

  get(id: string): BulkView {
    const progress = this.#known.get(id);
    if (progress === undefined) {
      throw new CorvoError("NOT_FOUND", `no bulk action "${id}"; they are forgotten at a restart`);
    }
    return progress.view;
  }

  #changeOf(body: BulkBody): Omit<ManageJobs, "seqs"> {
    const action: ManageAction =
      body.action === "change_priority" ? "changePriority" : (body.action as ManageAction);
    if (action === "move" && body.move_to_queue == null) {
      throw new CorvoError("BULK_ERROR", "action move needs move_to_queue");
    }
    if (body.move_to_queue != null) this.#node.refuseElsewhere(body.move_to_queue);
    if (action === "changePriority" && body.priority == null) {
      throw new CorvoError("BULK_ERROR", "action change_priority needs priority");
    }
    return {
      kind: "manage",
      action,
      ...(body.move_to_queue == null ? {} : { queue: body.move_to_queue }),
      ...(body.priority == null ? {} : { priority: toPriority(body.priority) }),
    };
  }

  async #sourceOf(body: BulkBody): Promise<Source> {
    if (body.job_ids != null) return this.#idSource(body.job_ids);
    if (body.filter == null) {
      throw new CorvoError("BULK_ERROR", "neither job_ids nor filter was given");
    }
    if (body.filter.state?.length === 0) {
      throw new CorvoError(
        "BULK_ERROR",
        "filter.state is an empty list; name the states, or leave it out",
      );
    }
    const filter = toFilter(body.filter, this.#node.options.shard);
    refuseUnknownMembers(body.filter);
    if (isEmptyFilter(filter)) {
      throw new CorvoError(
        "BULK_ERROR",
        "the filter is empty and would select every job; name the states or queues that are meant",
      );
    }
    return this.#filterSource(filter);
  }

  #idSource(ids: readonly string[]): Source {
    const seqs: number[] = [];
    for (const id of ids) {
      const job = this.#node.tryFindJob(id);
      if (job !== undefined) seqs.push(job.seq);
    }
    let at = 0;
    return {
      total: seqs.length,
      isExact: true,
      next: async () => {
        const chunk = seqs.slice(at, at + chunkJobs);
        at += chunkJobs;
        return chunk;
      },
    };
  }

  async #filterSource(filter: JobFilter): Promise<Source> {
    const { search } = this.#node.deps;
    const beforeSeq = this.#node.replica.engine.state.meta.nextNumber;
    const page = await search.page({ filter, sort: "created_at", descending: false, limit: 1 });
    let afterSeq = 0;
    return {
      total: page.total,
      isExact: page.totalExact,
      next: async () => {
        const seqs = await search.seqs(filter, { afterSeq, beforeSeq, limit: chunkJobs });
        afterSeq = seqs.at(-1) ?? afterSeq;
        return seqs;
      },
    };
  }

  #startBackground(action: string, change: Omit<ManageJobs, "seqs">, source: Source): BulkResult {
    const running = [...this.#known.values()].filter((one) => one.view.finished_at === undefined);
    if (running.length >= runningMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${running.length} bulk actions are running; at most ${runningMax} (bulkRunningMax)`,
        { retryAfterMs: 1000 },
      );
    }
    const progress = this.#track(action, source.total);
    const { id } = progress.view;
    this.#known.set(id, progress);
    if (this.#known.size > rememberedMax) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#work(progress, change, source).catch((error: unknown) => {
      this.#node.deps.logger.warn("a bulk action stopped", { id, error });
    });
    return {
      bulk_operation_id: id,
      status: "queued",
      estimated_total: source.total,
      progress_url: `/api/v1/bulk/${id}`,
    };
  }

  #track(action: string, total: number): Progress {
    const now = formatTime(this.#node.deps.clock.nowMs());
    const id = `bulk_${this.#node.deps.clock.nowMs().toString(36)}_${this.#nextNumber++}`;
    return {
      view: {
        id,
        status: "running",
        action,
        total,
        processed: 0,
        affected: 0,
        errors: 0,
        created_at: now,
        updated_at: now,
      },
    };
  }

  async #work(progress: Progress, change: Omit<ManageJobs, "seqs">, source: Source): Promise<void> {
    const { view } = progress;
    try {
      for (;;) {
        const seqs = await source.next();
        if (seqs.length === 0) break;
        const results = await this.#node.proposeItems({ ...change, seqs }, 64 + seqs.length * 12);
        view.processed += seqs.length;
        view.affected += results.filter((result) => result.kind === "done").length;
        view.updated_at = formatTime(this.#node.deps.clock.nowMs());
      }
      view.status = "completed";
    } catch (error) {
      view.status = "failed";
      view.error = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      view.finished_at = formatTime(this.#node.deps.clock.nowMs());
      view.updated_at = view.finished_at;
    }
  }
}

/** A search may ignore a name that it does not know; an action on everything that matches what is left may not. */
export function refuseUnknownMembers(filter: object): void {
  for (const name of Object.keys(filter)) {
    if (Object.hasOwn(Filter.properties, name)) continue;
    throw new CorvoError("BULK_ERROR", `filter.${name}: no filter has this name`);
  }
}
