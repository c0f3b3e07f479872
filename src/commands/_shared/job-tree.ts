/**
 * A job with all that belongs to it, gathered by calls: dependencies, chain, batch, and children with theirs, from the topmost
 * parent down. A chain or batch that several of the jobs share is gathered once. Families can be large, so the number of
 * jobs is bounded; what is left out is counted.
 */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Client } from "../../sdk/client.ts";

type Job = ResultOf<Operations["getJob"]>;

/** A job that is only named; one that is gone has no queue, and the state `removed`. */
export interface NamedJob {
  readonly id: string;
  readonly queue?: string;
  readonly state: string;
}

export interface JobTree extends NamedJob {
  readonly blocked?: boolean;
  readonly chain_step?: number;
  readonly depends_on: readonly NamedJob[];
  readonly chain?: ResultOf<Operations["getChain"]>;
  readonly batch?: ResultOf<Operations["getBatch"]>;
  readonly children: readonly JobTree[];
  /** Children that are not shown. */
  readonly children_left_out: number;
}

/** Levels above and below, and children of one job that are looked at. */
const levelsMax = 20;
const childrenMax = 100;

export class JobTrees {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #shownGroups = new Set<string>();
  #jobsLeft: number;

  constructor(client: Client, jobsMax: number, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.#jobsLeft = jobsMax;
  }

  /** The tree that the job is in. */
  async around(id: string): Promise<JobTree> {
    let top = await this.#client.getJob({ params: { job_id: id } }, { signal: this.#signal });
    for (let level = 0; level < levelsMax && top.parent_id !== undefined; level++) {
      const parent = await this.#find(top.parent_id);
      if (parent === undefined) break;
      top = parent;
    }
    return this.#grow(top, 0);
  }

  async #grow(job: Job, level: number): Promise<JobTree> {
    this.#jobsLeft--;
    const { id, queue, state, chain_id, batch_id } = job;
    const depends_on: NamedJob[] = [];
    for (const other of job.depends_on ?? []) depends_on.push(await this.#name(other));
    const options = { signal: this.#signal };
    const chain =
      chain_id !== undefined && this.#isFirst(chain_id)
        ? await orGone(this.#client.getChain({ params: { chain_id } }, options))
        : undefined;
    const batch =
      batch_id !== undefined && this.#isFirst(batch_id)
        ? await orGone(this.#client.getBatch({ params: { batch_id } }, options))
        : undefined;
    return {
      ...{ id, queue, state, depends_on },
      ...(job.blocked === true && { blocked: true }),
      ...(job.chain_step !== undefined && { chain_step: job.chain_step }),
      ...(chain !== undefined && { chain }),
      ...(batch !== undefined && { batch }),
      ...(await this.#childrenOf(id, level)),
    };
  }

  async #childrenOf(
    job_id: string,
    level: number,
  ): Promise<Pick<JobTree, "children" | "children_left_out">> {
    const input = { params: { job_id }, query: { limit: childrenMax } };
    const page = await orGone(this.#client.listChildren(input, { signal: this.#signal }));
    const children: JobTree[] = [];
    for (const { id } of page?.jobs ?? []) {
      if (level >= levelsMax || this.#jobsLeft <= 0) break;
      const child = await this.#find(id);
      if (child !== undefined) children.push(await this.#grow(child, level + 1));
    }
    return { children, children_left_out: Math.max(0, (page?.total ?? 0) - children.length) };
  }

  #isFirst(group: string): boolean {
    if (this.#shownGroups.has(group)) return false;
    this.#shownGroups.add(group);
    return true;
  }

  async #name(id: string): Promise<NamedJob> {
    const job = await this.#find(id);
    return job === undefined
      ? { id, state: "removed" }
      : { id, queue: job.queue, state: job.state };
  }

  #find(job_id: string): Promise<Job | undefined> {
    return orGone(this.#client.getJob({ params: { job_id } }, { signal: this.#signal }));
  }
}

async function orGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CorvoError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}
