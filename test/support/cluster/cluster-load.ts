/**
 * Clients of a cluster: each call goes to a node drawn at random, whatever state it is in, and its answer is held against
 * the promises later. A call without an answer, or with one that says so, may or may not have happened; one that was
 * answered UNAVAILABLE did not. Half of the batches carry an idempotency key and are sent again until they are answered.
 */
import type { Call, Claim, Journal, Track } from "../crash/journal.ts";
import { type ClusterNode, until } from "./cluster.ts";
import { type History, type JobEvent, settle, stateShown } from "./history.ts";
import { StreamWorker } from "./stream-worker.ts";

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly body: Record<string, unknown>;
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

const leaseMs = 1500;
const callMs = 4000;
const pauseMs = 8;

interface LoadEnv {
  readonly journal: Journal;
  readonly history: History;
  readonly nodes: () => readonly ClusterNode[];
  readonly chance: () => number;
}

type WorkerKind = "ack" | "fail" | "kill" | "release";

export class ClusterLoad {
  readonly #env: LoadEnv;
  readonly #queues = ["a", "b", "c", "s", "t"];
  readonly #known: Track[] = [];
  readonly #asleep: Held[] = [];
  #isOver = false;
  #lastAddedMs = performance.now();
  #longestGapMs = 0;
  #struckMs = 0;
  #nextWrite = Promise.withResolvers<number>();
  /** Answers that no fault excuses. */
  readonly problems: string[] = [];
  streamAcks = 0;
  calls = 0;
  answered = 0;

  constructor(env: LoadEnv) {
    this.#env = env;
  }

  async run(): Promise<void> {
    const repeat = async (step: () => Promise<void>) => {
      while (!this.#isOver) {
        await step();
        // Clients are paced, so that a long run stays within memory; nothing waits for this.
        await Bun.sleep(pauseMs);
      }
    };
    const steps = [() => this.#produce(), () => this.#work(), () => this.#look()];
    const { journal, history, nodes } = this.#env;
    const node = () => this.#pick(nodes());
    const isOver = () => this.#isOver;
    const streams = ["s", "t"].map(
      (queue) => new StreamWorker({ journal, history, node, queue, isOver }),
    );
    await Promise.all([
      ...[...steps, ...steps, () => this.#work(), () => this.#cancel()].map(repeat),
      ...streams.map((stream) => stream.run()),
    ]);
    this.streamAcks = streams.reduce((sum, stream) => sum + stream.acks, 0);
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Begins to watch for times without an acknowledged enqueue. */
  watch(): void {
    this.#noteGap();
    this.#longestGapMs = 0;
    this.strike();
  }

  /** From now on counts the time to the next write. */
  strike(): void {
    this.#struckMs = performance.now();
    this.#nextWrite = Promise.withResolvers();
  }

  /** What came of it. */
  async seen(): Promise<{ readonly nextWriteMs: number; readonly gapMs: number }> {
    let nextWriteMs = 0;
    this.#nextWrite.promise.then((ms) => {
      nextWriteMs = ms;
    });
    await until("an enqueue of a client is acknowledged", async () => nextWriteMs > 0, 20_000);
    this.#noteGap();
    return { nextWriteMs, gapMs: this.#longestGapMs };
  }

  #noteGap(): void {
    const nowMs = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAddedMs);
    this.#lastAddedMs = nowMs;
  }

  /** Sends what has a key and no answer until it is answered, and then works off all jobs. The cluster must be well. */
  async finish(): Promise<void> {
    for (const { body, tracks } of this.#env.journal.unsettled.splice(0)) {
      await until("a repeated enqueue is answered", async () => {
        const answer = await this.#post("/api/v1/enqueue/batch", body);
        this.#added(tracks, [], answer);
        return answer?.status === 201;
      });
    }
    await until("no job is left", async () => (await this.#drain()) === 0, 60_000);
  }

  /** Claims and acks a batch; how many jobs are still not over. */
  async #drain(): Promise<number> {
    const jobs = await this.#claim(200);
    await Promise.all(jobs.map((held) => this.#report(held, "ack")));
    const node = this.#pick(this.#env.nodes());
    const queues = await node.json<Record<string, number>[]>("GET", "/api/v1/queues");
    return queues
      .flatMap((queue) => ["pending", "scheduled", "active", "retrying"].map((s) => queue[s] ?? 0))
      .reduce((sum, count) => sum + count, 0);
  }

  #pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.#env.chance() * list.length)];
    if (item === undefined) throw new Error("picked from an empty list");
    return item;
  }

  /** One call to any node; undefined when there was no answer. */
  async #call(method: string, path: string, body?: unknown): Promise<Answer | undefined> {
    this.calls += 1;
    const node = this.#pick(this.#env.nodes());
    try {
      const answer = await node.request(method, path, body, callMs);
      this.answered += 1;
      const code = String(answer.body["code"] ?? "");
      if (answer.status === 500 || (answer.status > 500 && code === "")) {
        this.problems.push(`${node.name} ${method} ${path}: ${answer.status} ${answer.text}`);
      }
      return { status: answer.status, code, body: answer.body };
    } catch {
      return undefined;
    }
  }

  #post(path: string, body: unknown): Promise<Answer | undefined> {
    return this.#call("POST", path, body);
  }

  async #produce(): Promise<void> {
    const { journal, history, chance } = this.#env;
    const queue = this.#pick(this.#queues);
    const tracks = Array.from({ length: 1 + Math.floor(chance() * 4) }, () => journal.open(queue));
    const jobs = tracks.map(({ marker }) => ({
      queue,
      payload: { m: marker },
      max_retries: 1000,
      retry_backoff: "fixed",
      retry_base_delay: "20ms",
      ...(chance() < 0.1 ? { delay: "60ms" } : {}),
    }));
    const key = chance() < 0.5 ? `key-${tracks[0]?.marker}` : undefined;
    const body = { jobs, ...(key === undefined ? {} : { idempotency_key: key }) };
    const events = tracks.map(({ marker }) => history.begin(marker, "enqueue"));
    for (let tries = 0; tries < 20; tries++) {
      const sentMs = performance.now();
      const answer = await this.#post("/api/v1/enqueue/batch", body);
      this.#added(tracks, events, answer);
      if (answer?.status === 201 && sentMs >= this.#struckMs) {
        this.#nextWrite.resolve(performance.now() - this.#struckMs);
      }
      const isKnown = answer !== undefined && answer.code !== "OUTCOME_UNKNOWN";
      // Once a try may have happened, only a success tells what became of it.
      if (answer?.status === 201) return;
      if (key === undefined || (isKnown && tries === 0)) {
        if (isKnown) for (const track of tracks) track.isRefused = true;
        if (isKnown) for (const event of events) settle(event, "unavailable");
        return;
      }
      await Bun.sleep(50);
    }
    journal.unsettled.push({ body, tracks });
  }

  #added(tracks: readonly Track[], events: readonly JobEvent[], answer: Answer | undefined): void {
    if (answer?.status !== 201) return;
    this.#noteGap();
    const ids = answer.body["job_ids"] as readonly string[];
    tracks.forEach((track, i) => {
      track.id = ids[i];
      this.#known.push(track);
    });
    for (const event of events) settle(event, "ok");
  }

  async #claim(count: number): Promise<Held[]> {
    const beganMs = performance.now();
    const answer = await this.#post("/api/v1/fetch/batch", {
      queues: this.#queues,
      count,
      wait_ms: 100,
      lease_ms: leaseMs,
    });
    const { journal, history } = this.#env;
    return ((answer?.body["jobs"] ?? []) as readonly ClaimedJob[]).map((job) => {
      const endMs = Date.parse(job.lease_expires_at);
      const { m } = job.payload;
      settle(history.begin(m, "claim", { token: job.lease_token, beganMs }), "ok");
      const startMs = endMs - job.lease_duration * 1000;
      const claim = journal.claimed(m, {
        token: job.lease_token,
        attempt: job.attempt,
        startMs,
        endMs,
      });
      return { id: job.job_id, track: journal.track(m), claim };
    });
  }

  async #work(): Promise<void> {
    for (const held of await this.#claim(1 + Math.floor(this.#env.chance() * 6))) {
      const at = this.#asleep.findIndex(({ track }) => track === held.track);
      const [late] = at === -1 ? [] : this.#asleep.splice(at, 1);
      // Who fell asleep over an earlier lease of this job reports now, as if nothing had happened.
      if (late !== undefined) await this.#report(late, "ack");
      const luck = this.#env.chance();
      if (luck < 0.06) this.#asleep.push(held);
      else if (luck < 0.75) await this.#report(held, "ack");
      else if (luck < 0.87) await this.#report(held, "fail");
      else await this.#report(held, luck < 0.93 ? "kill" : "release");
    }
  }

  async #report({ id, track, claim }: Held, kind: WorkerKind): Promise<void> {
    const call = this.#env.journal.call(track, kind, claim.token);
    const event = this.#env.history.begin(track.marker, kind, claim);
    const lease_token = claim.token;
    const answer =
      kind === "ack"
        ? await this.#post(`/api/v1/ack/${id}`, { lease_token, result: lease_token })
        : kind === "release"
          ? await this.#post(`/api/v1/release/${id}`, { lease_token })
          : await this.#post(`/api/v1/fail/${id}`, {
              lease_token,
              error: "drawn",
              ...(kind === "kill" ? { retryable: false } : {}),
            });
    judge(call, event, answer);
  }

  async #cancel(): Promise<void> {
    if (this.#known.length === 0 || this.#env.chance() < 0.8) return;
    const track = this.#pick(this.#known.slice(-500));
    const call = this.#env.journal.call(track, "cancel");
    const event = this.#env.history.begin(track.marker, "cancel");
    judge(call, event, await this.#post(`/api/v1/jobs/${track.id}/cancel`, {}));
  }

  /** Reads a job by its id, which must show all that was answered before. */
  async #look(): Promise<void> {
    if (this.#known.length === 0) return;
    const track = this.#pick(this.#known.slice(-50));
    const event = this.#env.history.begin(track.marker, "read");
    const answer = await this.#call("GET", `/api/v1/jobs/${track.id}`);
    if (answer?.status === 200) settle(event, "ok", stateShown(String(answer.body["state"])));
    else if (answer?.status === 404) settle(event, "ok", "absent");
  }
}

function judge(call: Call, event: JobEvent, answer: Answer | undefined): void {
  if (answer === undefined || answer.code === "OUTCOME_UNKNOWN") return;
  call.verdict = answer.status < 300 ? "ok" : "refused";
  const isTurnedAway = [429, 503, 507].includes(answer.status);
  settle(event, isTurnedAway ? "unavailable" : call.verdict);
}
