/**
 * One action on many jobs, in the order of their creation. What touches few jobs is done by the call, in chunks, each a change of
 * its own, so that it never stands between other work and the log. What touches many, or is asked to, becomes a record that
 * whoever leads carries on (`engine/bulk.ts`, `replica/sweeper.ts`).
 *
 * Jobs made after the start are not touched. A job in a state that the action does not apply to is skipped.
 */
import type { InputOf, ResultOf } from "../api/operation.ts";
import { type Operations, Reply } from "../api/operations.ts";
import { Filter } from "../api/search.ts";
import { CorvoError } from "../base/errors.ts";
import type { Bulk } from "../engine/bulk.ts";
import type { ManageAction, ManageJobs } from "../engine/change.ts";
import { mayStillMatch } from "../engine/job-match.ts";
import type { JobFilter } from "../engine/query.ts";
import { BulkIds } from "./bulk-ids.ts";
import { type ApiFilter, isEmptyFilter, toFilter } from "./filter/body.ts";
import { type Node, shorten } from "./node.ts";
import { toPriority } from "./values.ts";

export type BulkBody = InputOf<Operations["bulkJobs"]>["body"];
export type BulkResult = ResultOf<Operations["bulkJobs"]>;

const chunkJobs = 500;
/** More ids or matches than this run in the background. */
export const foregroundMax = 10_000;

/** Which jobs: those of these numbers, in growing order, or those that match. */
type Choice =
  | { readonly kind: "named"; readonly seqs: readonly number[] }
  | { readonly kind: "matching"; readonly filter: JobFilter };

type Action = Omit<ManageJobs, "seqs" | "kind">;

interface Count {
  readonly total: number;
  /** False when there may be more. */
  readonly isExact: boolean;
}

export class BulkOperations {
  readonly #node: Node;
  readonly #ids: BulkIds;

  constructor(node: Node) {
    this.#node = node;
    this.#ids = new BulkIds(node.deps.clock, node.options.nodeId);
  }

  async run(body: BulkBody): Promise<BulkResult | Reply<BulkResult>> {
    const { clock } = this.#node.deps;
    const startedMs = clock.monotonicMs();
    const action = actionOf(this.#node, body);
    const known = this.#known(body.bulk_operation_id);
    const choice = choiceOf(this.#node, body, known);
    const { total, isExact } = await this.#count(choice);
    const matched = { matched: total, matched_exact: isExact };
    if (body.dry_run === true) return { ...matched, affected: 0, errors: 0, duration_ms: 0 };
    const isLarge = total > foregroundMax || !isExact;
    // Of one that is under way already few jobs may be left, and those are its own.
    if (body.async === true || isLarge || known !== undefined) {
      const id = body.bulk_operation_id ?? this.#ids.next();
      return this.#startBackground(id, action, choice, { total, isExact });
    }
    const affected = await this.#work(action, choice);
    const duration_ms = Math.round(clock.monotonicMs() - startedMs);
    return { ...matched, affected, errors: 0, duration_ms };
  }

  #known(id: string | null | undefined): Bulk | undefined {
    return id == null ? undefined : this.#node.replica.engine.state.records("bulk").get(id);
  }

  async #count(choice: Choice): Promise<Count> {
    if (choice.kind === "named") return { total: choice.seqs.length, isExact: true };
    const { filter } = choice;
    const request = { filter, sort: "created_at" as const, descending: false, limit: 1 };
    const { total, totalExact } = await this.#node.deps.search.page(request);
    return { total, isExact: totalExact };
  }

  async #startBackground(
    id: string,
    action: Action,
    choice: Choice,
    { total, isExact }: Count,
  ): Promise<Reply<BulkResult>> {
    const which = choice.kind === "named" ? { seqs: choice.seqs } : { filter: choice.filter };
    const size =
      choice.kind === "named" ? choice.seqs.length * 12 : JSON.stringify(choice.filter).length;
    const change = { kind: "startBulk" as const, id, ...action, ...which };
    await this.#node.propose({ ...change, total, totalExact: isExact }, 512 + size);
    return new Reply<BulkResult>(202, {
      bulk_operation_id: id,
      status: "queued",
      estimated_total: this.#known(id)?.total ?? total,
      progress_url: `/api/v1/bulk/${id}/progress`,
    });
  }

  /** How many jobs were affected. */
  async #work(action: Action, choice: Choice): Promise<number> {
    const { state } = this.#node.replica.engine;
    const beforeSeq = state.meta.nextNumber;
    let affected = 0;
    let afterSeq = 0;
    for (;;) {
      const found = await this.#next(choice, afterSeq, beforeSeq);
      const last = found.at(-1);
      if (last === undefined) return affected;
      afterSeq = last;
      const seqs = found.filter((seq) => {
        const job = state.getJob(seq);
        return job !== undefined && (choice.kind === "named" || mayStillMatch(job, choice.filter));
      });
      const change: ManageJobs = { kind: "manage", ...action, seqs };
      const results = await this.#node.proposeItems(change, 64 + seqs.length * 12);
      affected += results.filter((result) => result.kind === "done").length;
    }
  }

  async #next(choice: Choice, afterSeq: number, beforeSeq: number): Promise<readonly number[]> {
    if (choice.kind === "named") {
      const from = choice.seqs.findIndex((seq) => seq > afterSeq);
      return from === -1 ? [] : choice.seqs.slice(from, from + chunkJobs);
    }
    const range = { afterSeq, beforeSeq, limit: chunkJobs };
    return this.#node.deps.search.seqs(choice.filter, range);
  }
}

function actionOf(node: Node, body: BulkBody): Action {
  const action: ManageAction =
    body.action === "change_priority" ? "changePriority" : (body.action as ManageAction);
  if (action === "move" && body.move_to_queue == null) {
    throw new CorvoError("BULK_ERROR", "action move needs move_to_queue");
  }
  if (body.move_to_queue != null) node.refuseElsewhere(body.move_to_queue);
  if (action === "changePriority" && body.priority == null) {
    throw new CorvoError("BULK_ERROR", "action change_priority needs priority");
  }
  return {
    action,
    ...(body.move_to_queue == null ? {} : { queue: body.move_to_queue }),
    ...(body.priority == null ? {} : { priority: toPriority(body.priority) }),
    ...(body.reason == null ? {} : { reason: body.reason }),
  };
}

function choiceOf(node: Node, body: BulkBody, known: Bulk | undefined): Choice {
  refuseContradiction(body);
  if (body.job_ids != null) return { kind: "named", seqs: seqsOf(node, body.job_ids) };
  const given = body.filter;
  if (given == null) return { kind: "matching", filter: {} };
  if (given.state?.length === 0) {
    throw new CorvoError(
      "BULK_ERROR",
      "filter.state is an empty list; name the states, or leave it out",
    );
  }
  const env = node.filterEnv;
  const filter = toFilter(given, env);
  refuseUnknownMembers(given);
  refusePart(given);
  if (isEmptyFilter(filter) && body.all !== true) {
    throw new CorvoError(
      "BULK_ERROR",
      "the filter is empty and would select every job; name the states or queues that are meant, or say all: true",
    );
  }
  // Durations of a call that is sent again count from when it was sent first.
  const shiftMs = shiftOf(known?.filter, filter);
  if (shiftMs === 0) return { kind: "matching", filter };
  return { kind: "matching", filter: toFilter(given, { ...env, nowMs: env.nowMs + shiftMs }) };
}

/** What the first number in which two filters differ is larger by in one of them; 0 when there is none. */
function shiftOf(one: unknown, other: unknown): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one !== "object" || typeof other !== "object" || one === null) return 0;
  for (const [name, value] of Object.entries(one)) {
    const shift = shiftOf(value, (other as Readonly<Record<string, unknown>> | null)?.[name]);
    if (shift !== 0) return shift;
  }
  return 0;
}

/** `job_ids` wins over `filter`, as it does in 0.3; only what means all jobs must stand alone. */
function refuseContradiction({ job_ids, filter, all }: BulkBody): void {
  if (job_ids == null && filter == null && all !== true) {
    throw new CorvoError("BULK_ERROR", "neither job_ids, filter nor all was given");
  }
  if (all === true && job_ids != null) {
    throw new CorvoError("BULK_ERROR", "both job_ids and all were given; leave one out");
  }
}

/** Unknown ids are left out. */
function seqsOf(node: Node, ids: readonly string[]): number[] {
  const seqs = new Set<number>();
  for (const id of ids) {
    const job = node.tryFindJob(id);
    if (job !== undefined) seqs.add(job.seq);
  }
  return [...seqs].sort((one, other) => one - other);
}

/** Who asks for ten jobs must not find all of them deleted. A limit of 0 has always meant that there is none. */
function refusePart({ limit, cursor }: ApiFilter): void {
  const member = limit != null && limit > 0 ? "limit" : cursor ? "cursor" : undefined;
  if (member === undefined) return;
  throw new CorvoError("BULK_ERROR", `filter.${member}: an action is on all jobs that match`, {
    hint: "Leave it out, or search first and name the jobs in job_ids.",
  });
}

/** A search may ignore a name that it does not know; an action on everything that matches what is left may not. */
export function refuseUnknownMembers(filter: object): void {
  for (const name of Object.keys(filter)) {
    if (Object.hasOwn(Filter.properties, name)) continue;
    throw new CorvoError("BULK_ERROR", `filter.${shorten(name)}: no filter has this name`);
  }
}
