/**
 * A streaming connection on a node with several shards. The worker sees one connection; behind it is one session for each
 * shard that it has to do with, in process where this node leads the shard, else on the node that does. When a shard gets another
 * leader, only its session is opened anew.
 *
 * What a frame asks of one shard is one batch there. A frame for a single shard, which is the usual one, passes as it is.
 */
import type { ClientFrame, StreamService, StreamSession } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Timers } from "../../base/ports.ts";
import { LentCredits } from "./lent-credits.ts";
import { checkNamed, namesOthers } from "./named-jobs.ts";
import { leaderless, type NoteLease, ShardCalls, type ShardSet } from "./shard-calls.ts";
import { mergeAnswers, refusalText, splitFrame } from "./stream-split.ts";

interface StreamDeps {
  readonly set: ShardSet;
  readonly timers: Timers;
  /** Throws what is wrong with any item of the frame, before any shard has its part. */
  readonly check: (frame: ClientFrame) => void;
  readonly noteLease: NoteLease;
}

export function createShardedStream(deps: StreamDeps): StreamService {
  return { open: (push) => new ShardedSession(deps, push) };
}

/** A look at what a job names is short, and a session that is closed ends nothing that it has begun. */
const never = new AbortController().signal;

interface Pushed {
  readonly job_id: string;
  readonly lease_token: string;
}

/** The way to one shard. */
interface Link {
  readonly session: StreamSession;
  readonly stop: () => void;
}

class ShardedSession implements StreamSession {
  readonly #deps: StreamDeps;
  readonly #calls: ShardCalls;
  readonly #push: (text: string) => boolean;
  readonly #links = new Map<number, Link>();
  readonly #credits: LentCredits;
  #isClosed = false;
  /** Of a claim that was sent for no frame; the next frame tells it. */
  #fault: unknown;

  constructor(deps: StreamDeps, push: (text: string) => boolean) {
    this.#deps = deps;
    this.#calls = new ShardCalls(deps.set);
    this.#push = push;
    this.#credits = new LentCredits({
      timers: deps.timers,
      shardOf: (queue) => this.#calls.ofQueue(queue),
      claim: (shard, claim) =>
        this.#ask(shard, { id: 0, claim }).then(
          (answer) => answer === '{"id":0}',
          (fault: unknown) => {
            this.#fault ??= fault;
            return false;
          },
        ),
      letGo: (shard) => this.#letGo(shard),
    });
  }

  async frame(frame: ClientFrame): Promise<string> {
    const { claim } = frame;
    if (this.#fault !== undefined) throw this.#fault;
    try {
      const parts = splitFrame(frame, this.#calls);
      if (parts.size > 1) this.#deps.check(frame);
      const { enqueue } = frame;
      if (enqueue != null && namesOthers(this.#calls, enqueue)) {
        await checkNamed(this.#calls, enqueue, { signal: never });
      }
      const asked = [...parts].map(async ([shard, part]) => ({
        part,
        text: await this.#ask(shard, part.frame),
      }));
      const claimed = claim == null ? undefined : this.#credits.add(claim);
      const answers = await Promise.all(asked);
      await claimed;
      const [only, ...others] = answers;
      if (only === undefined) return `{"id":${frame.id}}`;
      return others.length === 0 ? only.text : mergeAnswers(frame, answers);
    } catch (error) {
      if (error instanceof CorvoError) return refusalText(frame.id, error);
      throw error;
    }
  }

  drained(): void {
    for (const { session } of this.#links.values()) session.drained();
  }

  stopClaiming(): void {
    this.#credits.stop();
  }

  close(): void {
    this.#isClosed = true;
    this.#credits.close();
    for (const shard of [...this.#links.keys()]) this.#letGo(shard);
  }

  /** The answer of one shard; a refusal where it has no leader. */
  async #ask(shard: number, frame: ClientFrame): Promise<string> {
    const link = this.#links.get(shard) ?? this.#open(shard);
    return link === undefined
      ? refusalText(frame.id, leaderless(shard))
      : link.session.frame(frame);
  }

  #open(shard: number): Link | undefined {
    const { set } = this.#deps;
    const leader = set.leaderOf(shard);
    if (leader === undefined || this.#isClosed) return undefined;
    const link = leader === "here" ? this.#openHere(shard) : this.#openThere(shard, leader.url);
    this.#links.set(shard, link);
    return link;
  }

  #openHere(shard: number): Link {
    const { set } = this.#deps;
    const session = set.service(shard).stream.open((text) => this.#pushed(shard, text));
    const stop = set.whenNotLeading(shard, () => {
      session.close();
      this.#lost(shard, link);
    });
    const link = { session, stop };
    return link;
  }

  #openThere(shard: number, url: string): Link {
    const session = this.#deps.set.remote.openStream(
      { url, shard },
      {
        push: (text) => this.#pushed(shard, text),
        lost: () => this.#lost(shard, link),
      },
    );
    const link = { session, stop: () => {} };
    return link;
  }

  #letGo(shard: number): void {
    const link = this.#links.get(shard);
    if (link === undefined) return;
    this.#links.delete(shard);
    link.stop();
    link.session.close();
  }

  #lost(shard: number, link: Link): void {
    if (this.#links.get(shard) !== link) return;
    this.#links.delete(shard);
    this.#credits.lost(shard);
  }

  /** Jobs use up what the shard was lent; all else passes through. */
  #pushed(shard: number, text: string): boolean {
    if (this.#isClosed) return true;
    const { jobs } = JSON.parse(text) as { readonly jobs?: readonly Pushed[] };
    if (jobs !== undefined) {
      this.#credits.used(shard, jobs.length);
      for (const { job_id, lease_token } of jobs) this.#deps.noteLease(job_id, lease_token);
    }
    return this.#push(text);
  }
}
