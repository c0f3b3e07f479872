/**
 * Clients that keep a server busy until it dies: producers, workers and an operator over HTTP, and workers that do
 * everything over one stream. Each writes into the journal before it sends and after it hears. What they do is drawn from
 * a seed; when the answers come is up to the machine.
 */
import { type StreamClient, streamClient } from "../socket.ts";
import type { Call, CallKind, Claim, Journal, Track } from "./journal.ts";

/** Numbers in [0, 1) from a seed; the mixing steps are those of mulberry32 (public domain). */
export function createChance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), bits | 61)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface ClaimedJob {
  readonly job_id: string;
  readonly payload: { readonly m: string };
  readonly lease_token: string;
  readonly attempt: number;
  readonly lease_duration: number;
  readonly lease_expires_at: string;
}

interface Held {
  readonly id: string;
  readonly track: Track;
  readonly claim: Claim;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const leaseMs = 400;

export class Load {
  readonly #url: string;
  readonly #journal: Journal;
  readonly #queues: readonly string[];
  readonly #seed: number;
  /** Jobs that a worker fell asleep over. */
  readonly #abandoned: Held[] = [];
  #isOver = false;

  constructor(url: string, journal: Journal, queues: readonly string[], seed: number) {
    this.#url = url;
    this.#journal = journal;
    this.#queues = queues;
    this.#seed = seed;
  }

  /** Runs until `stop`, or until the server is gone; then everything that was sent has its verdict. */
  async run(): Promise<void> {
    const client = (number: number) => createChance(this.#seed * 1000 + number);
    await Promise.all([
      this.#settleOld(),
      this.#repeat((chance) => this.#produce(chance), client(1)),
      this.#repeat((chance) => this.#produce(chance), client(2)),
      this.#repeat((chance) => this.#work(chance), client(3)),
      this.#repeat((chance) => this.#work(chance), client(4)),
      this.#repeat((chance) => this.#operate(chance), client(5)),
      this.#stream(client(6)),
      this.#stream(client(7)),
    ]);
  }

  stop(): void {
    this.#isOver = true;
  }

  async #repeat(step: (chance: () => number) => Promise<void>, chance: () => number) {
    while (!this.#isOver) await step(chance);
  }

  /** One call; undefined when it was cut off. */
  async #post(path: string, body: unknown): Promise<Answer | undefined> {
    try {
      const response = await fetch(this.#url + path, {
        method: "POST",
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
    } catch {
      this.#isOver = true;
      return undefined;
    }
  }

  #pick<T>(chance: () => number, list: readonly T[]): T {
    const item = list[Math.floor(chance() * list.length)];
    if (item === undefined) throw new Error("picked from an empty list");
    return item;
  }

  #newJobs(
    chance: () => number,
    queue: string,
    count: number,
  ): { specs: object[]; tracks: Track[] } {
    const tracks = Array.from({ length: count }, () => this.#journal.open(queue));
    const specs = tracks.map(({ marker }) => ({
      queue,
      payload: { m: marker, pad: "p".repeat(Math.floor(chance() * 300)) },
      max_retries: 1000,
      retry_backoff: "fixed",
      retry_base_delay: "10ms",
      ...(chance() < 0.1 ? { delay: "60ms" } : {}),
      ...(chance() < 0.1 ? { priority: "high" } : {}),
    }));
    return { specs, tracks };
  }

  async #produce(chance: () => number): Promise<void> {
    const queue = this.#pick(chance, this.#queues);
    const count = chance() < 0.5 ? 1 : 1 + Math.floor(chance() * 15);
    const { specs, tracks } = this.#newJobs(chance, queue, count);
    const key = chance() < 0.5 ? `key-${tracks[0]?.marker}` : undefined;
    const answer = await this.#post("/api/v1/enqueue/batch", {
      jobs: specs,
      ...(key === undefined ? {} : { idempotency_key: key }),
    });
    if (answer === undefined && key !== undefined) {
      this.#journal.unsettled.push({ body: { jobs: specs, idempotency_key: key }, tracks });
    }
    this.#settleAdded(tracks, answer);
  }

  /** Sends again, as it was, what the crash cut off: after this it must be there exactly once. */
  async #settleOld(): Promise<void> {
    for (const one of this.#journal.unsettled.splice(0)) {
      const answer = await this.#post("/api/v1/enqueue/batch", one.body);
      if (answer === undefined) this.#journal.unsettled.push(one);
      this.#settleAdded(one.tracks, answer);
    }
  }

  #settleAdded(tracks: readonly Track[], answer: Answer | undefined): void {
    if (answer === undefined) return;
    const ids = answer.body["job_ids"] as readonly string[] | undefined;
    tracks.forEach((track, i) => {
      if (answer.status === 201) track.id = ids?.[i];
      else track.isRefused = true;
    });
  }

  async #work(chance: () => number): Promise<void> {
    const answer = await this.#post("/api/v1/fetch/batch", {
      queues: this.#queues,
      count: 1 + Math.floor(chance() * 6),
      wait_ms: 50,
      lease_ms: leaseMs,
    });
    const jobs = (answer?.body["jobs"] ?? []) as readonly ClaimedJob[];
    const held = jobs.map((job) => this.#hold(job));
    for (const one of held) {
      await this.#reportLate(one.track);
      await this.#finish(chance, one);
    }
  }

  #hold(job: ClaimedJob): Held {
    const endMs = Date.parse(job.lease_expires_at);
    const track = this.#journal.track(job.payload.m);
    const claim = this.#journal.claimed(job.payload.m, {
      token: job.lease_token,
      attempt: job.attempt,
      startMs: endMs - job.lease_duration * 1000,
      endMs,
    });
    return { id: job.job_id, track, claim };
  }

  /** The worker that fell asleep over this job wakes up, and reports as if nothing had happened. */
  async #reportLate(track: Track): Promise<void> {
    const at = this.#abandoned.findIndex((held) => held.track === track);
    const [held] = at === -1 ? [] : this.#abandoned.splice(at, 1);
    if (held === undefined) return;
    const body = { lease_token: held.claim.token, result: held.claim.token };
    await this.#settle(track, "ack", held, `/api/v1/ack/${held.id}`, body);
  }

  /** What a worker does with a job; sometimes nothing for too long. */
  async #finish(chance: () => number, held: Held): Promise<void> {
    const { id, track, claim } = held;
    const lease_token = claim.token;
    const luck = chance();
    if (luck < 0.08) {
      this.#abandoned.push(held);
      return;
    }
    if (luck < 0.15) await this.#heartbeat([held]);
    if (luck < 0.7) {
      await this.#settle(track, "ack", held, `/api/v1/ack/${id}`, {
        lease_token,
        result: lease_token,
      });
    } else if (luck < 0.85) {
      await this.#settle(track, "fail", held, `/api/v1/fail/${id}`, {
        lease_token,
        error: "drawn",
      });
    } else if (luck < 0.93) {
      const body = { lease_token, error: "drawn", retryable: false };
      await this.#settle(track, "kill", held, `/api/v1/fail/${id}`, body);
    } else {
      await this.#settle(track, "release", held, `/api/v1/release/${id}`, { lease_token });
    }
  }

  async #settle(
    track: Track,
    kind: CallKind,
    held: Held | undefined,
    ...[path, body]: [string, unknown]
  ): Promise<void> {
    const call = this.#journal.call(track, kind, held?.claim.token);
    judge(call, await this.#post(path, body));
  }

  async #heartbeat(all: readonly Held[]): Promise<void> {
    const jobs = Object.fromEntries(
      all.map(({ id, claim }) => [id, { lease_token: claim.token, lease_ms: leaseMs * 2 }]),
    );
    const answer = await this.#post("/api/v1/heartbeat", { jobs });
    const beats = (answer?.body["jobs"] ?? {}) as Record<string, { lease_expires_at?: string }>;
    for (const { id, claim } of all) {
      const endsAt = beats[id]?.lease_expires_at;
      if (endsAt !== undefined) claim.endMs = Date.parse(endsAt);
    }
  }

  async #operate(chance: () => number): Promise<void> {
    const luck = chance();
    if (luck < 0.2) return this.#switch(chance);
    const known = this.#journal.byQueue.get(this.#pick(chance, this.#queues)) ?? [];
    const track = known[Math.floor(chance() * known.length)];
    if (track?.id === undefined) return void (await Bun.sleep(1));
    if (luck < 0.6) {
      await this.#settle(track, "cancel", undefined, `/api/v1/jobs/${track.id}/cancel`, {});
      return;
    }
    // Only what is known to be over, and once: then an answered ack can never be followed by another run.
    const isOver = track.calls.some(
      ({ kind, verdict }) => verdict === "ok" && (kind === "cancel" || kind === "kill"),
    );
    if (!isOver || track.calls.some(({ kind }) => kind === "retry"))
      return void (await Bun.sleep(1));
    await this.#settle(track, "retry", undefined, `/api/v1/jobs/${track.id}/retry`, {});
  }

  async #switch(chance: () => number): Promise<void> {
    const queue = this.#pick(chance, this.#queues);
    const isPaused = chance() < 0.3;
    this.#journal.paused.set(queue, undefined);
    const answer = await this.#post(`/api/v1/queues/${queue}/${isPaused ? "pause" : "resume"}`, {});
    if (answer?.status === 200) this.#journal.paused.set(queue, isPaused);
  }

  /** Enqueues, claims, acks and fails over one WebSocket, several frames in flight. */
  async #stream(chance: () => number): Promise<void> {
    let client: StreamClient;
    try {
      client = await streamClient(this.#url);
    } catch {
      return;
    }
    const gone = client.closed.then(() => undefined);
    const frames = new Map<number, (answer: Record<string, unknown>) => void>();
    let id = 0;
    const send = (frame: object, settle: (answer: Record<string, unknown>) => void) => {
      frames.set(++id, settle);
      client.socket.send(JSON.stringify({ id, ...frame }));
    };
    const enqueue = () => {
      const { specs, tracks } = this.#newJobs(chance, this.#pick(chance, this.#queues), 5);
      send({ enqueue: specs }, (answer) => {
        const items = (answer["enqueue"] ?? []) as readonly { job_id: string; status: string }[];
        tracks.forEach((track, i) => {
          if (items[i]?.status === "pending" || items[i]?.status === "scheduled")
            track.id = items[i].job_id;
          else track.isRefused = true;
        });
        if (!this.#isOver) enqueue();
      });
    };
    const claim = { queues: this.#queues, credits: 10, lease_ms: leaseMs };
    send({ claim }, () => undefined);
    enqueue();
    for (;;) {
      const message = await Promise.race([client.next(), gone]);
      if (message === undefined) break;
      if (typeof message["id"] === "number") {
        frames.get(message["id"])?.(message);
        frames.delete(message["id"]);
      }
      const jobs = (message["jobs"] ?? []) as readonly ClaimedJob[];
      if (jobs.length > 0) this.#report(chance, jobs, send);
      if (this.#isOver) client.socket.close();
    }
    this.#isOver = true;
  }

  /** Acks most of a push and fails the rest, in one frame, with new credits for as many. */
  #report(
    chance: () => number,
    jobs: readonly ClaimedJob[],
    send: (frame: object, settle: (answer: Record<string, unknown>) => void) => void,
  ): void {
    const held = jobs.map((job) => this.#hold(job));
    const acked = held.filter(() => chance() < 0.8);
    const failed = held.filter((one) => !acked.includes(one));
    const item = ({ id, claim }: Held) => ({ job_id: id, lease_token: claim.token });
    const ackCalls = acked.map(({ track, claim }) => this.#journal.call(track, "ack", claim.token));
    const failCalls = failed.map(({ track, claim }) =>
      this.#journal.call(track, "fail", claim.token),
    );
    send(
      {
        ack: acked.map((one) => ({ ...item(one), result: one.claim.token })),
        fail: failed.map((one) => ({ ...item(one), error: "drawn" })),
        claim: { queues: this.#queues, credits: jobs.length, lease_ms: leaseMs },
      },
      (answer) => {
        judgeItems(ackCalls, answer["ack"]);
        judgeItems(failCalls, answer["fail"]);
      },
    );
  }
}

function judge(call: Call, answer: Answer | undefined): void {
  if (answer === undefined) return;
  call.verdict = answer.status < 300 ? "ok" : "refused";
}

function judgeItems(calls: readonly Call[], items: unknown): void {
  const list = (items ?? []) as readonly { status: string }[];
  calls.forEach((call, i) => {
    call.verdict = list[i] !== undefined && list[i].status !== "error" ? "ok" : "refused";
  });
}
