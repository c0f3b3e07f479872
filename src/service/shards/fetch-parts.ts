/**
 * Claims from queues of several shards. First each shard is asked in turn for what it has at once, another one first each
 * time. When none has anything, the call waits in all of them, and the first that brings jobs answers it. So the order of
 * jobs is exact within a shard and approximate between shards, and nobody ever gets more jobs than were asked for: what comes
 * in excess is given back without spending the attempt.
 *
 * A wait on another node is never broken off, because jobs that are on their way back would wait for their leases to end.
 * It is made in short slices instead; one that is left over when its call is answered is taken up by the next equal call,
 * or else gives back what it brings.
 */
import { requestLimits as limits } from "../../api/limits.ts";
import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Timers } from "../../base/ports.ts";
import { waitMsOf } from "../fetch.ts";
import {
  type AnswerFor,
  type InputFor,
  type NoteLease,
  type ResultFor,
  type ShardCalls,
  splitBy,
} from "./shard-calls.ts";

type FetchBody = InputFor<"fetchJobs">["body"];
type Claimed = ResultFor<"fetchJob">;

/** How long one wait on another node lasts at most. */
const sliceMs = 1000;
/** How soon a shard that refused is asked again. */
const retryMs = 100;
/** A wait of this node is ended by its signal; one of another node runs to its end. */
const never = new AbortController().signal;

interface FetchDeps {
  readonly calls: ShardCalls;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly isHere: (shard: number) => boolean;
  readonly noteLease: NoteLease;
}

export function createFetchParts(deps: FetchDeps): Pick<Handlers, "fetchJob" | "fetchJobs"> {
  const claims = new ShardedClaims(deps);
  const { calls, noteLease } = deps;
  const claim = async (body: FetchBody, count: number, context: CallContext) => {
    const [only, ...others] = shardsOf(calls, body.queues);
    const input = { params: {}, query: {}, body: { ...body, count } };
    const jobs =
      only !== undefined && others.length === 0
        ? (await calls.body(only, "fetchJobs", input, context)).jobs
        : await claims.claim(body, count, context);
    for (const { job_id, lease_token } of jobs) noteLease(job_id, lease_token);
    return jobs;
  };
  return {
    async fetchJob(
      input: InputFor<"fetchJob">,
      context: CallContext,
    ): Promise<AnswerFor<"fetchJob">> {
      const [job] = await claim(input.body, 1, context);
      return job ?? new Reply<Claimed>(204, undefined);
    },

    async fetchJobs(
      input: InputFor<"fetchJobs">,
      context: CallContext,
    ): Promise<AnswerFor<"fetchJobs">> {
      const count = Math.min(limits.batchItemsMax, Math.max(1, input.body.count ?? 1));
      return { jobs: await claim(input.body, count, context) };
    },
  };
}

function shardsOf(calls: ShardCalls, queues: readonly string[]): number[] {
  return [...splitBy(queues, (queue) => calls.ofQueue(queue)).keys()];
}

/** What one shard is asked for. */
interface Ask {
  readonly shard: number;
  readonly body: FetchBody;
}

class ShardedClaims {
  readonly #deps: FetchDeps;
  /** Waits on other nodes that no call waits for any more, by what they ask for. */
  readonly #leftOver = new Map<string, Set<Promise<readonly Claimed[]>>>();
  #turn = 0;

  constructor(deps: FetchDeps) {
    this.#deps = deps;
  }

  async claim(body: FetchBody, count: number, context: CallContext): Promise<Claimed[]> {
    const { calls, clock } = this.#deps;
    const endMs = clock.monotonicMs() + waitMsOf(body);
    const split = splitBy(body.queues, (queue) => calls.ofQueue(queue));
    const asks = [...split].map(([shard, part]): Ask => {
      return { shard, body: { ...body, queues: part.map(({ item }) => item) } };
    });
    const first = this.#turn++ % asks.length;
    const jobs = await this.#atOnce(
      [...asks.slice(first), ...asks.slice(0, first)],
      count,
      context,
    );
    const isOver = clock.monotonicMs() >= endMs || context.signal.aborted;
    if (jobs.length > 0 || isOver) return jobs;
    return this.#wait(asks, { count, endMs, context });
  }

  async #atOnce(asks: readonly Ask[], count: number, context: CallContext): Promise<Claimed[]> {
    const jobs: Claimed[] = [];
    let refused: CorvoError | undefined;
    let refusals = 0;
    for (const { shard, body } of asks) {
      if (jobs.length >= count || context.signal.aborted) break;
      try {
        const part = { ...body, wait_ms: 0, count: count - jobs.length };
        jobs.push(...(await this.#fetch({ shard, body: part }, context.signal)));
      } catch (error) {
        if (!(error instanceof CorvoError)) throw error;
        refused ??= error;
        refusals++;
      }
    }
    if (refused !== undefined && refusals === asks.length) throw refused;
    return jobs;
  }

  #wait(
    asks: readonly Ask[],
    call: { readonly count: number; readonly endMs: number; readonly context: CallContext },
  ): Promise<Claimed[]> {
    const { timers, clock } = this.#deps;
    return new Promise((resolve, reject) => {
      const over = new AbortController();
      const end = (jobs: readonly Claimed[]) => {
        if (over.signal.aborted) return;
        cancelTimer();
        call.context.signal.removeEventListener("abort", onGone);
        over.abort();
        resolve([...jobs]);
      };
      const onGone = () => end([]);
      call.context.signal.addEventListener("abort", onGone, { once: true });
      const cancelTimer = timers.after(Math.max(0, call.endMs - clock.monotonicMs()), onGone);
      for (const ask of asks) {
        const body = { ...ask.body, count: call.count };
        this.#stand({ ...ask, body }, call.endMs, { over: over.signal, end }).catch((error) => {
          if (over.signal.aborted) return;
          over.abort();
          reject(error);
        });
      }
    });
  }

  /** Waits in one shard, again and again, until the call is over. */
  async #stand(
    ask: Ask,
    endMs: number,
    call: { readonly over: AbortSignal; readonly end: (jobs: readonly Claimed[]) => void },
  ): Promise<void> {
    const { clock, isHere } = this.#deps;
    while (!call.over.aborted) {
      const leftMs = Math.max(0, Math.ceil(endMs - clock.monotonicMs()));
      if (leftMs === 0) return;
      try {
        const jobs = isHere(ask.shard)
          ? await this.#fetch({ ...ask, body: { ...ask.body, wait_ms: leftMs } }, call.over)
          : await this.#waitThere(ask, leftMs, call.over);
        if (jobs.length === 0) continue;
        if (call.over.aborted) this.#giveBack(ask.shard, jobs);
        else call.end(jobs);
      } catch (error) {
        if (!(error instanceof CorvoError) || !error.retryable) throw error;
        await new Promise<void>((resolve) => this.#deps.timers.after(retryMs, resolve));
      }
    }
  }

  /** What a wait on another node brings; nothing as soon as the call is over, the wait being left over then. */
  async #waitThere(ask: Ask, leftMs: number, over: AbortSignal): Promise<readonly Claimed[]> {
    const key = JSON.stringify([ask.shard, ask.body]);
    const wait = this.#takeLeftOver(key) ?? this.#begin(ask, leftMs);
    const callOver = Promise.withResolvers<"over">();
    const onOver = () => callOver.resolve("over");
    over.addEventListener("abort", onOver, { once: true });
    try {
      const jobs = await Promise.race([wait, callOver.promise]);
      if (jobs !== "over") return jobs;
    } finally {
      over.removeEventListener("abort", onOver);
    }
    this.#leave(key, ask.shard, wait);
    return [];
  }

  #begin({ shard, body }: Ask, leftMs: number): Promise<readonly Claimed[]> {
    const part = { ...body, wait_ms: Math.min(sliceMs, leftMs) };
    return this.#fetch({ shard, body: part }, never);
  }

  #takeLeftOver(key: string): Promise<readonly Claimed[]> | undefined {
    const waits = this.#leftOver.get(key);
    const [wait] = waits ?? [];
    if (waits === undefined || wait === undefined) return undefined;
    waits.delete(wait);
    if (waits.size === 0) this.#leftOver.delete(key);
    return wait;
  }

  #leave(key: string, shard: number, wait: Promise<readonly Claimed[]>): void {
    const waits = this.#leftOver.get(key) ?? new Set();
    waits.add(wait);
    this.#leftOver.set(key, waits);
    const isStillLeft = () => {
      if (!waits.delete(wait)) return false;
      if (waits.size === 0 && this.#leftOver.get(key) === waits) this.#leftOver.delete(key);
      return true;
    };
    wait.then(
      (jobs) => {
        if (isStillLeft()) this.#giveBack(shard, jobs);
      },
      // A wait that failed brought nothing; whoever takes it up sees the failure itself.
      () => isStillLeft(),
    );
  }

  async #fetch({ shard, body }: Ask, signal: AbortSignal): Promise<readonly Claimed[]> {
    const input = { params: {}, query: {}, body };
    const { jobs } = await this.#deps.calls.body(shard, "fetchJobs", input, { signal });
    return jobs;
  }

  #giveBack(shard: number, jobs: readonly Claimed[]): void {
    for (const { job_id, lease_token } of jobs) {
      const input = { params: { job_id }, query: {}, body: { lease_token } };
      // A refusal is no loss: the lease ends by itself.
      this.#deps.calls.call(shard, "releaseJob", input, { signal: never }).catch(() => undefined);
    }
  }
}
