/**
 * What the clients know: for each job that was ever sent, every call that was made for it, and what was answered. A call
 * that the crash cut off stays `unknown`: it may have happened, once. Everything else is a promise the server is held to.
 */

type Verdict = "ok" | "refused" | "unknown";

export type CallKind = "ack" | "fail" | "kill" | "release" | "cancel" | "retry";

/** One call that may change a job; `kill` is a fail that must not be retried. */
export interface Call {
  readonly kind: CallKind;
  readonly token: string | undefined;
  /** Place among all that the clients saw happen. */
  readonly sentAt: number;
  verdict: Verdict;
}

export interface Claim {
  readonly token: string;
  readonly attempt: number;
  /** When the claim was applied, on the server's clock. */
  readonly startMs: number;
  /** End of the lease as far as it was told, extensions included. */
  endMs: number;
  readonly seenAt: number;
}

export interface Track {
  readonly marker: string;
  readonly queue: string;
  /** The id that an answer gave; undefined while the enqueue is unknown. */
  id: string | undefined;
  /** The enqueue was refused, so the job must not be there. */
  isRefused: boolean;
  readonly claims: Claim[];
  readonly calls: Call[];
}

interface Unsettled {
  readonly body: unknown;
  readonly tracks: readonly Track[];
}

export class Journal {
  readonly tracks = new Map<string, Track>();
  readonly byQueue = new Map<string, Track[]>();
  /** Enqueues with an idempotency key that were cut off: to be sent again, and then there exactly once. */
  readonly unsettled: Unsettled[] = [];
  /** Last answered state of each queue's switch; undefined while a call on it is unknown. */
  paused = new Map<string, boolean | undefined>();
  #moments = 0;
  #markers = 0;

  /** A new job is about to be sent. */
  open(queue: string): Track {
    const marker = `m${this.#markers++}`;
    const track: Track = {
      marker,
      queue,
      id: undefined,
      isRefused: false,
      claims: [],
      calls: [],
    };
    this.tracks.set(marker, track);
    const queued = this.byQueue.get(queue);
    if (queued === undefined) this.byQueue.set(queue, [track]);
    else queued.push(track);
    return track;
  }

  track(marker: string): Track {
    const track = this.tracks.get(marker);
    if (track === undefined) throw new Error(`a job was handed out that nobody sent: ${marker}`);
    return track;
  }

  claimed(marker: string, claim: Omit<Claim, "seenAt">): Claim {
    const seen = { ...claim, seenAt: this.#moments++ };
    this.track(marker).claims.push(seen);
    return seen;
  }

  /** A call is about to be sent. */
  call(track: Track, kind: CallKind, token?: string): Call {
    const call: Call = { kind, token, sentAt: this.#moments++, verdict: "unknown" };
    track.calls.push(call);
    return call;
  }
}
