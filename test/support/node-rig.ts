/**
 * A node in memory whose time and log are in the test's hands: nothing happens between two calls unless the test lets
 * time pass or lets the log become durable. Everything between the operations and the engine is the program's own.
 */
import type { InputOf } from "../../src/api/operation.ts";
import { type Operations, Reply } from "../../src/api/operations.ts";
import type { Clock, Timers } from "../../src/base/ports.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { Drain } from "../../src/net/http/drain.ts";
import { type Entry, emptyConfState } from "../../src/raft/message.ts";
import type { ProposeResult } from "../../src/raft/node.ts";
import type { Consensus } from "../../src/replica/ports.ts";
import { Replica } from "../../src/replica/replica.ts";
import type { ClusterControl } from "../../src/service/cluster.ts";
import { type BlobControl, Node } from "../../src/service/node.ts";
import type { Post } from "../../src/service/outbound-message.ts";
import { createService, type Service } from "../../src/service/service.ts";
import type { ClaimedView } from "../../src/service/views.ts";
import { memoryLogger } from "./system-ports.ts";

export type NewJobBody = InputOf<Operations["enqueueJob"]>["body"];
export type FetchBody = InputOf<Operations["fetchJob"]>["body"];

/** Time that passes only when told. Timers fire in the order of their times. */
export class ManualTime implements Clock, Timers {
  #nowMs = Date.UTC(2030, 0, 1);
  #setForwardMs = 0;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  nowMs(): number {
    return this.#nowMs + this.#setForwardMs;
  }

  /** Time in which nothing else can happen. */
  spend(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  /** Somebody sets the clock on the wall; no time passes. */
  setForward(byMs: number): void {
    this.#setForwardMs += byMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async pass(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      let next: { atMs: number; callback: () => void } | undefined;
      for (const timer of this.#timers) {
        if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs)) next = timer;
      }
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await settle();
    }
    this.#nowMs = endMs;
  }
}

/** Resolves when everything that needs no timer has happened. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Consensus of a node that is alone, over a log that is durable at once, or, while held, when released. */
class ManualLog implements Consensus {
  /** Does the node lead? */
  isReady = true;
  readonly entries: string[] = [];
  appliedIndex = 0;
  isHeld = false;
  /** Takes nothing: proposals are refused. */
  isFull = false;
  onCommitted: (entry: Entry) => void = () => {};
  readonly #waiting: (() => void)[] = [];

  propose(data: Uint8Array): ProposeResult {
    if (this.isFull) return { kind: "dropped", reason: "tooManyUncommittedBytes", leader: 1 };
    this.entries.push(new TextDecoder().decode(data));
    const index = this.entries.length;
    const commit = () => {
      this.appliedIndex = index;
      this.onCommitted({ term: 1, index, type: "EntryNormal", data });
    };
    if (this.isHeld) this.#waiting.push(commit);
    else queueMicrotask(commit);
    return { kind: "appended", term: 1, first: index, last: index, refused: undefined };
  }

  /** What a linearizable read waits for. */
  confirmRead: () => Promise<void> = () => Promise.resolve();

  readBarrier(): Promise<void> {
    return this.confirmRead();
  }

  async release(): Promise<void> {
    this.isHeld = false;
    for (const commit of this.#waiting.splice(0)) commit();
    await settle();
  }
}

/** A cluster of this node alone, which takes no changes. */
function cluster(log: ManualLog, leaderId: () => number | undefined): ClusterControl {
  const refuse = () => Promise.reject(new Error("this node is alone"));
  return {
    view: () => ({
      clusterId: "test",
      recoveryEpoch: 0,
      featureLevel: newestFeatureLevel,
      selfId: 1,
      role: "leader",
      term: 1,
      leaderId: leaderId(),
      commitIndex: log.entries.length,
      appliedIndex: log.appliedIndex,
      members: [],
      shards: [],
    }),
    join: refuse,
    remove: refuse,
    transferLeadership: refuse,
    setVoter: refuse,
    snapshot: refuse,
    handOver: refuse,
    meet: () => ({ uuid: "", httpUrl: "", clusterId: "test", hasSecret: false, knows: [] }),
    leaderUrl: () => undefined,
  };
}

export class NodeRig {
  readonly time = new ManualTime();
  readonly log = new ManualLog();
  /** How long it takes to apply an entry. */
  workMs = 0;
  readonly #logger = memoryLogger();
  /** What was logged. */
  readonly lines = this.#logger.lines;
  readonly replica: Replica;
  readonly node: Node;
  readonly service: Service;
  /** Who gets what the node sends to URLs. */
  post: Post = () => Promise.resolve({ status: 0, error: "nobody is there" });
  /** Whom the node takes for the leader. */
  leaderId: number | undefined = 1;

  constructor(blobs?: BlobControl) {
    const state = new MemoryState();
    state.meta.featureLevel = newestFeatureLevel;
    this.replica = new Replica({
      clock: this.time,
      timers: this.time,
      random: { uint32: () => 1 },
      logger: this.#logger,
      store: {
        state,
        stored: { index: 0, conf: emptyConfState },
        dirtyCount: 0,
        checkpoint: () => Promise.resolve(),
      },
      onStored: () => {},
      onFatal: (reason) => {
        throw new Error(reason);
      },
      onEffects: (effects) => this.node.onEffects(effects),
      onEvents: () => this.node.events.noteAdded(),
    });
    const noSearch = () => Promise.reject(new Error("this node has no search"));
    this.node = new Node(
      this.replica,
      {
        clock: this.time,
        timers: this.time,
        random: { uint32: () => 1 },
        post: (message) => this.post(message),
        logger: this.#logger,
        isCurrent: () => this.log.isReady,
        search: {
          page: noSearch,
          seqs: noSearch,
          errorGroups: noSearch,
          events: async ({ from }) => ({ first: undefined, events: [], next: from }),
          close: noSearch,
        },
        cluster: cluster(this.log, () => this.leaderId),
        backup: {
          create: () => Promise.reject(new Error("this node has no files")),
          document: () => Promise.reject(new Error("this node has no files")),
        },
        drain: new Drain({ tokenOf: () => -1, streamLeases: () => [], isLive: () => false }),
        attemptsOf: (job) => [...(state.attempts.get(job.seq)?.values() ?? [])],
        fingerprint: (text) => text,
        ...(blobs === undefined ? {} : { blobs }),
        sizes: () => ({ logBytes: 0, stateBytes: 0, memoryBytes: 0, texts: undefined }),
        hmac: (key, text) => new Bun.CryptoHasher("sha256", key).update(text).digest(),
      },
      {
        shard: 0,
        shards: 1,
        requireLeaseToken: false,
        serverVersion: "test",
        commit: "test",
        nodeId: "test",
        durability: "none",
      },
    );
    this.service = createService(this.node);
    this.log.onCommitted = (entry) => this.replica.applyEntry(entry);
    const { engine } = this.replica;
    const apply = engine.apply.bind(engine);
    engine.apply = (batch) => {
      this.time.spend(this.workMs);
      return apply(batch);
    };
    this.replica.attach(this.log);
    this.replica.start();
  }

  async enqueue(
    body: NewJobBody,
  ): Promise<{ job_id: string; status: string; unique_existing: boolean }> {
    const input = { params: {}, query: {}, body };
    const answer = await this.service.handlers.enqueueJob(input, { signal: neverAborted });
    return bodyOf(answer);
  }

  /** Undefined when no job came in time. */
  async fetch(body: FetchBody, signal = neverAborted): Promise<ClaimedView | undefined> {
    const answer = await this.service.handlers.fetchJob(
      { params: {}, query: {}, body },
      { signal },
    );
    return answer instanceof Reply ? answer.body : answer;
  }

  async act(
    name: "cancelJob" | "retryJob" | "deleteJob" | "holdJob" | "approveJob" | "rejectJob",
    jobId: string,
  ): Promise<void> {
    const input = { params: { job_id: jobId }, query: {}, body: {} };
    await this.service.handlers[name](input, { signal: neverAborted });
  }

  async setPaused(queue: string, paused: boolean): Promise<void> {
    const input = { params: { name: queue }, query: {}, body: {} };
    const { pauseQueue, resumeQueue } = this.service.handlers;
    await (paused ? pauseQueue : resumeQueue)(input, { signal: neverAborted });
  }

  async fail(job: ClaimedView, error = "e"): Promise<void> {
    const body = { error, lease_token: job.lease_token };
    const input = { params: { job_id: job.job_id }, query: {}, body };
    await this.service.handlers.failJob(input, { signal: neverAborted });
  }

  async ack(job: ClaimedView): Promise<void> {
    const body = { lease_token: job.lease_token };
    const input = { params: { job_id: job.job_id }, query: {}, body };
    await this.service.handlers.ackJob(input, { signal: neverAborted });
  }

  async release(job: ClaimedView): Promise<void> {
    const body = { lease_token: job.lease_token };
    const input = { params: { job_id: job.job_id }, query: {}, body };
    await this.service.handlers.releaseJob(input, { signal: neverAborted });
  }

  async job(jobId: string) {
    const input = { params: { job_id: jobId }, query: {}, body: {} };
    return bodyOf(await this.service.handlers.getJob(input, { signal: neverAborted }));
  }
}

export const neverAborted = new AbortController().signal;

export function bodyOf<T>(answer: T | Reply<T>): T {
  if (!(answer instanceof Reply)) return answer;
  if (answer.body === undefined) throw new Error("the answer has no body");
  return answer.body;
}
