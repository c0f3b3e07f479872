/**
 * Calls to single shards, wherever they are led: in process on this node, else over HTTP on the node that leads the shard.
 * What comes back is the same either way, failures included.
 *
 * A stale read is answered from this node's copy of the shard, which every node has. A call that waits ends when the shard
 * gets another leader: what it waits for would not come any more.
 */
import type { InputOf, Operation, ResultOf } from "../../api/operation.ts";
import {
  type CallContext,
  type Handlers,
  type OperationName,
  type Operations,
  operations,
  Reply,
} from "../../api/operations.ts";
import type { StreamSession } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import { shardOfId } from "../../base/ids.ts";
import { shardOfQueue } from "../../base/placement.ts";
import type { Timers } from "../../base/ports.ts";
import type { Service } from "../service.ts";

export type ResultFor<Name extends OperationName> = ResultOf<Operations[Name]>;
export type AnswerFor<Name extends OperationName> = ResultFor<Name> | Reply<ResultFor<Name>>;
export type InputFor<Name extends OperationName> = InputOf<Operations[Name]>;

/** The shards of a cluster as one of its nodes has them. */
export interface ShardSet {
  readonly count: number;
  /** This node's copy of the shard, whoever leads it. */
  service(shard: number): Service;
  /** `here`, the address of the HTTP API of the node that leads the shard, or undefined when none is known. */
  leaderOf(shard: number): "here" | { readonly url: string } | undefined;
  /** Calls back once when this node does not lead the shard (any more), until the returned function is called. */
  whenNotLeading(shard: number, callback: () => void): () => void;
  readonly remote: RemoteShards;
  readonly timers: Timers;
}

/** Hears of every lease that goes out to a client through this node. */
export type NoteLease = (jobId: string, token: string) => void;

/** Calls on other nodes. Failures are thrown as `CorvoError`: those of the other node, and those of the way there. */
export interface RemoteShards {
  call<Name extends OperationName>(
    target: { readonly url: string; readonly shard: number; readonly name: Name },
    input: InputFor<Name>,
    signal: AbortSignal,
  ): Promise<AnswerFor<Name>>;

  /**
   * A streaming session there. Frames are answered with UNAVAILABLE or OUTCOME_UNKNOWN once the way there is gone; `lost` is
   * called then, once.
   */
  openStream(
    target: { readonly url: string; readonly shard: number },
    events: { readonly push: (text: string) => void; readonly lost: () => void },
  ): StreamSession;
}

type AnyHandler<Name extends OperationName> = (
  input: InputFor<Name>,
  context: CallContext,
) => Promise<AnswerFor<Name>>;

/** An election is usually over after this. */
const noLeaderRetryMs = 250;
/**
 * A leader that hands over is replaced within milliseconds, or leads on after an election timeout of a second. For an
 * election it is the caller who has to wait.
 */
const pausesMs = [20, 60, 200, 400, 500];

export class ShardCalls {
  readonly #set: ShardSet;

  constructor(set: ShardSet) {
    this.#set = set;
  }

  get count(): number {
    return this.#set.count;
  }

  get all(): readonly number[] {
    return Array.from({ length: this.#set.count }, (_, shard) => shard);
  }

  ofQueue(queue: string): number {
    return shardOfQueue(queue, this.#set.count);
  }

  /** The shard that the id of a job, or of a group of jobs, names. What is no id of any shard is left to the first one to refuse. */
  ofJob(id: string): number {
    const shard = shardOfId(id) ?? 0;
    return shard < this.#set.count ? shard : 0;
  }

  /** The answer of one shard. What it did not accept while it changes its leader is sent again a few times. */
  async call<Name extends OperationName>(
    shard: number,
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<AnswerFor<Name>> {
    for (const pauseMs of pausesMs) {
      try {
        return await this.#callOnce(shard, name, input, context);
      } catch (error) {
        if (!(error instanceof CorvoError) || error.code !== "UNAVAILABLE") throw error;
        if (context.signal.aborted) throw error;
        await new Promise<void>((resolve) => this.#set.timers.after(pauseMs, resolve));
      }
    }
    return this.#callOnce(shard, name, input, context);
  }

  #callOnce<Name extends OperationName>(
    shard: number,
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<AnswerFor<Name>> {
    if (isStale(input.query)) return this.here(shard, name, input, context);
    const leader = this.#set.leaderOf(shard);
    if (leader === undefined) {
      return operations[name].answersAlone
        ? this.here(shard, name, input, context)
        : Promise.reject(leaderless(shard));
    }
    if (leader !== "here") {
      return this.#set.remote.call({ url: leader.url, shard, name }, input, context.signal);
    }
    const operation: Operation = operations[name];
    return operation.waits
      ? this.#wait(shard, name, input, context)
      : this.here(shard, name, input, context);
  }

  /** The same from this node's copy, even if another node leads. */
  here<Name extends OperationName>(
    shard: number,
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<AnswerFor<Name>> {
    const handlers: Handlers = this.#set.service(shard).handlers;
    return (handlers[name] as unknown as AnyHandler<Name>)(input, context);
  }

  /** `call`, for an answer whose status is of no interest. */
  async body<Name extends OperationName>(
    shard: number,
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<ResultFor<Name>> {
    return bodyOf(await this.call(shard, name, input, context));
  }

  async #wait<Name extends OperationName>(
    shard: number,
    name: Name,
    input: InputFor<Name>,
    context: CallContext,
  ): Promise<AnswerFor<Name>> {
    const left = new AbortController();
    const stop = this.#set.whenNotLeading(shard, () => left.abort(leaderless(shard)));
    try {
      const signal = AbortSignal.any([context.signal, left.signal]);
      return await this.here(shard, name, input, { signal });
    } finally {
      stop();
    }
  }
}

function bodyOf<T>(answer: T | Reply<T>): T {
  return answer instanceof Reply ? (answer.body as T) : answer;
}

export function leaderless(shard: number): CorvoError {
  return new CorvoError("UNAVAILABLE", `shard ${shard} has no leader at the moment`, {
    retryAfterMs: noLeaderRetryMs,
    hint: "An election takes about a second. If this lasts, `corvo cluster status` says what is missing.",
  });
}

function isStale(query: unknown): boolean {
  return (query as { readonly consistency?: unknown }).consistency === "stale";
}

/** The items of a call by shard, each with its place in the call. */
export function splitBy<Item>(
  items: readonly Item[],
  shardOf: (item: Item) => number,
): Map<number, { readonly item: Item; readonly at: number }[]> {
  const parts = new Map<number, { readonly item: Item; readonly at: number }[]>();
  items.forEach((item, at) => {
    const shard = shardOf(item);
    const part = parts.get(shard);
    if (part === undefined) parts.set(shard, [{ item, at }]);
    else part.push({ item, at });
  });
  return parts;
}

/** What became of the part of a call that one shard got. */
export type Part<Result> =
  | { readonly kind: "answered"; readonly shard: number; readonly result: Result }
  | { readonly kind: "refused"; readonly shard: number; readonly error: CorvoError };

/** All parts at once. Only what is no expected failure is thrown. */
export function settleParts<Result>(
  shards: Iterable<number>,
  call: (shard: number) => Promise<Result>,
): Promise<Part<Result>[]> {
  return Promise.all(
    [...shards].map(async (shard): Promise<Part<Result>> => {
      try {
        return { kind: "answered", shard, result: await call(shard) };
      } catch (error) {
        if (error instanceof CorvoError) return { kind: "refused", shard, error };
        throw error;
      }
    }),
  );
}

/** The failure of a call of which no part was answered. What may have happened counts more than what did not. */
export function throwIfAllRefused(parts: readonly Part<unknown>[]): void {
  const refused = parts.filter((part) => part.kind === "refused");
  if (refused.length < parts.length) return;
  const worst = refused.find(({ error }) => error.code === "OUTCOME_UNKNOWN") ?? refused[0];
  if (worst !== undefined) throw worst.error;
}
