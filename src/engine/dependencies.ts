/**
 * Who waits for whom. A job with open dependencies has a `blocked` record for as long as it is unfinished; it stands in no line
 * (`order` 0). From these records the reverse is kept in memory: the dependents of each job that somebody waits for.
 *
 * A dependent that waits for an end without success to be put right (`wait`) must hear when retention removes that job,
 * which no transition tells. So the finish numbers of such jobs are kept too (`awaited`), in the order in which they go.
 *
 * A job of another shard is waited for by its id. That shard keeps who is to be told (`watchers`), for as long as anybody waits.
 */
import { must } from "../base/assert.ts";
import type { Job } from "./job.ts";
import { Links, type Owner } from "./links.ts";
import type { RecordTable } from "./records.ts";
import { SeqList } from "./seq-list.ts";
import { type RetentionClass, retentionClassOf } from "./state.ts";

/** How a job ended for those who wait for it; `removed` is by retention. */
export type DependencyEnd =
  | "completed"
  | "dead"
  | "cancelled"
  | "deleted"
  | "removed"
  /** Of a job of another shard: it is not there. */
  | "missing";

export interface Blocked {
  /** Jobs that it waits for, and the batch of another shard in which it is to be counted before it runs. Never empty. */
  readonly open: readonly Owner[];
  /** From the counter of the state: an end that was written down with a smaller number came before it waited. */
  readonly since: number;
}

/** A job, and the other shards in which jobs wait for it: each with what comes back to it with the news (`mail.ts`). */
export interface Watchers {
  readonly id: string;
  readonly at: Readonly<Record<string, number>>;
}

/** A finished job that others still wait for. */
export interface Awaited {
  readonly of: RetentionClass;
  readonly finish: number;
}

/** A job ended that others wait for. */
export interface DependencyEnded {
  readonly kind: "dependencyEnded";
  readonly seq: Owner;
  readonly how: DependencyEnd;
  /** Concerns those who waited before this number was given. */
  readonly before: number;
  /** And only those who waited from this number on. */
  readonly from?: number;
  /** The dependents up to this one have been told. */
  readonly after: number;
}

/** Retention removed finished jobs, some of which others wait for. */
export interface DependenciesRemoved {
  readonly kind: "dependenciesRemoved";
  readonly of: RetentionClass;
  /** Their finish numbers: from this one up to, not with, the other. */
  readonly from: number;
  readonly below: number;
}

export class Dependencies {
  readonly #blocked: RecordTable<Blocked>;
  readonly #awaited: RecordTable<Awaited>;
  readonly #watchers: RecordTable<Watchers>;
  readonly #onLetGo: (id: string) => void;
  readonly #dependents = new Links();
  /** Finish numbers of awaited jobs per class, and whose they are. */
  readonly #finishes = { done: new SeqList(), dead: new SeqList() };
  readonly #finished = { done: new Map<number, number>(), dead: new Map<number, number>() };
  #openCount = 0;

  /** `onLetGo` hears when nobody waits any more for something of another shard. */
  constructor(
    tables: {
      readonly blocked: RecordTable<Blocked>;
      readonly awaited: RecordTable<Awaited>;
      readonly watchers: RecordTable<Watchers>;
    },
    onLetGo: (id: string) => void,
  ) {
    const { blocked, awaited, watchers } = tables;
    this.#blocked = blocked;
    this.#awaited = awaited;
    this.#watchers = watchers;
    this.#onLetGo = onLetGo;
    const numbers = [...blocked.entries()].map(([key, { open }]) => ({ seq: Number(key), open }));
    for (const { seq, open } of numbers.sort((one, other) => one.seq - other.seq)) {
      this.#link(seq, open);
    }
    const removals = [...awaited.entries()].sort(([, one], [, other]) => one.finish - other.finish);
    for (const [key, { of, finish }] of removals) {
      this.#finishes[of].add(finish);
      this.#finished[of].set(finish, Number(key));
    }
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#blocked.size === 0 && this.#watchers.size === 0;
  }

  /** Dependencies that are open, over all jobs. */
  get openCount(): number {
    return this.#openCount;
  }

  isBlocked(seq: number): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(String(seq));
  }

  blockedOf(seq: number): Blocked | undefined {
    return this.#blocked.get(String(seq));
  }

  hasDependents(seq: number): boolean {
    return this.#dependents.has(seq) || this.watchersOf(seq) !== undefined;
  }

  /** The other shards in which jobs wait for this one. */
  watchersOf(seq: number): Watchers | undefined {
    return this.#watchers.size === 0 ? undefined : this.#watchers.get(String(seq));
  }

  /** Jobs of another shard wait for this one. */
  watch(seq: number, id: string, { shard, at }: { shard: number; at: number }): void {
    const known = this.watchersOf(seq)?.at;
    // Of the questions of one entry the one that stands for the latest may come first.
    const latest = Math.max(known?.[shard] ?? 0, at);
    this.#watchers.put(String(seq), { id, at: { ...known, [shard]: latest } });
  }

  /** What the other shards want to know they will say again. */
  unwatchAll(): void {
    for (const key of [...this.#watchers.entries()].map(([seq]) => seq)) {
      this.#watchers.delete(key);
      if (!this.hasDependents(Number(key))) this.forgetRemoval(Number(key));
    }
  }

  /** None of that shard does any more. */
  unwatch(seq: number, shard: number): void {
    const known = this.watchersOf(seq);
    if (known === undefined) return;
    const { [shard]: _, ...at } = known.at;
    if (Object.keys(at).length > 0) this.#watchers.put(String(seq), { ...known, at });
    else this.#watchers.delete(String(seq));
    if (!this.hasDependents(seq)) this.forgetRemoval(seq);
  }

  /** The first dependent of a job whose number is above `after`, or undefined. */
  dependentAfter(seq: Owner, after: number): number | undefined {
    return this.#dependents.after(seq, after);
  }

  /** Lets a job wait for others, at least one. */
  block(seq: number, open: readonly Owner[], since: number): void {
    this.#blocked.put(String(seq), { open, since });
    this.#link(seq, open);
  }

  /** The job waits for nothing any more. */
  drop(seq: number): void {
    const blocked = this.#blocked.get(String(seq));
    if (blocked === undefined) return;
    this.#blocked.delete(String(seq));
    for (const dependency of blocked.open) this.#unlink(seq, dependency);
  }

  /** One dependency less. True when it was the last. */
  settle(seq: number, dependency: Owner): boolean {
    const blocked = must(this.#blocked.get(String(seq)), "a job with a dependency is blocked");
    const open = blocked.open.filter((one) => one !== dependency);
    if (open.length === 0) this.#blocked.delete(String(seq));
    else this.#blocked.put(String(seq), { ...blocked, open });
    this.#unlink(seq, dependency);
    return open.length === 0;
  }

  /** A finished job is waited for still: from now on its removal matters. */
  awaitRemoval(job: Job): void {
    this.forgetRemoval(job.seq);
    const of = retentionClassOf(job.state);
    this.#awaited.put(String(job.seq), { of, finish: job.finish });
    this.#finishes[of].add(job.finish);
    this.#finished[of].set(job.finish, job.seq);
  }

  forgetRemoval(seq: number): void {
    const awaited = this.#awaited.get(String(seq));
    if (awaited === undefined) return;
    this.#awaited.delete(String(seq));
    this.#finishes[awaited.of].remove(awaited.finish);
    this.#finished[awaited.of].delete(awaited.finish);
  }

  isAwaited(seq: number): boolean {
    return this.#awaited.size > 0 && this.#awaited.has(String(seq));
  }

  /** The awaited job that finished first of those from one finish number up to, not with, another; or undefined. */
  awaitedBetween(of: RetentionClass, from: number, below: number): number | undefined {
    const finish = this.#finishes[of].after(from - 1);
    return finish === undefined || finish >= below ? undefined : this.#finished[of].get(finish);
  }

  #link(seq: number, open: readonly Owner[]): void {
    for (const dependency of open) this.#dependents.add(dependency, seq);
    this.#openCount += open.length;
  }

  #unlink(seq: number, dependency: Owner): void {
    this.#dependents.remove(dependency, seq);
    this.#openCount--;
    if (this.#dependents.has(dependency)) return;
    if (typeof dependency === "string") this.#onLetGo(dependency);
    else if (!this.hasDependents(dependency)) this.forgetRemoval(dependency);
  }
}
