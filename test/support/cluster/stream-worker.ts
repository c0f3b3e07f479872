/**
 * A worker and producer over one stream to any node of a cluster. When the stream ends it opens another, to a node drawn
 * again; what was on its way over the old one has no answer and may have happened.
 */
import type { Call, Journal } from "../crash/journal.ts";
import { type StreamClient, streamClient } from "../socket.ts";
import type { ClusterNode } from "./cluster.ts";
import { type History, type JobEvent, settle } from "./history.ts";

interface PushedJob {
  readonly job_id: string;
  readonly payload: { readonly m: string };
  readonly lease_token: string;
  readonly attempt: number;
  readonly lease_duration: number;
  readonly lease_expires_at: string;
}

interface Item {
  readonly status: string;
  readonly code?: string;
  readonly job_id?: string;
}

type Verdict = JobEvent["verdict"];
type Settle = (answer: Record<string, unknown>) => void;

interface StreamEnv {
  readonly journal: Journal;
  readonly history: History;
  readonly node: () => ClusterNode;
  readonly queue: string;
  readonly isOver: () => boolean;
}

const leaseMs = 1500;
/** Of silence in which a stream to a node that hangs is given up. */
const silenceMs = 3000;
const credits = 10;

export class StreamWorker {
  readonly #env: StreamEnv;
  readonly #pending = new Map<number, Settle>();
  #frameId = 0;
  #openedMs = 0;
  acks = 0;

  constructor(env: StreamEnv) {
    this.#env = env;
  }

  async run(): Promise<void> {
    while (!this.#env.isOver()) {
      const client = await streamClient(this.#env.node().url).catch(() => undefined);
      if (client === undefined) await Bun.sleep(50);
      else await this.#serve(client);
    }
  }

  async #serve(client: StreamClient): Promise<void> {
    this.#pending.clear();
    this.#openedMs = performance.now();
    const ended = client.closed.then(() => undefined);
    this.#send(client, { claim: this.#claim(credits) }, () => undefined);
    this.#enqueue(client);
    while (!this.#env.isOver()) {
      const silence = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => silence.resolve(undefined), silenceMs);
      const message = await Promise.race([client.next(), ended, silence.promise]);
      clearTimeout(timer);
      if (message === undefined) break;
      if (typeof message["id"] === "number") {
        this.#pending.get(message["id"])?.(message);
        this.#pending.delete(message["id"]);
      }
      const jobs = (message["jobs"] ?? []) as readonly PushedJob[];
      if (jobs.length > 0) this.#finish(client, jobs);
    }
    client.socket.close();
  }

  #claim(count: number) {
    return { queues: [this.#env.queue], credits: count, lease_ms: leaseMs };
  }

  #send(client: StreamClient, frame: object, onAnswer: Settle): void {
    this.#frameId += 1;
    this.#pending.set(this.#frameId, onAnswer);
    client.socket.send(JSON.stringify({ id: this.#frameId, ...frame }));
  }

  /** A few jobs; the next ones when these are answered. */
  #enqueue(client: StreamClient): void {
    const { journal, history, queue, isOver } = this.#env;
    const tracks = [journal.open(queue), journal.open(queue)];
    const events = tracks.map(({ marker }) => history.begin(marker, "enqueue"));
    const enqueue = tracks.map(({ marker }) => ({
      queue,
      payload: { m: marker },
      max_retries: 1000,
      retry_backoff: "fixed",
      retry_base_delay: "20ms",
    }));
    this.#send(client, { enqueue }, (answer) => {
      tracks.forEach((track, i) => {
        const { verdict, item } = verdictOf(answer, "enqueue", i);
        const event = events[i];
        if (verdict === "ok") track.id = item?.job_id;
        else if (verdict !== "unknown") track.isRefused = true;
        if (event !== undefined) settle(event, verdict === "refused" ? "unavailable" : verdict);
      });
      // Paced like the other clients.
      setTimeout(() => !isOver() && client.socket.readyState === 1 && this.#enqueue(client), 20);
    });
  }

  #finish(client: StreamClient, jobs: readonly PushedJob[]): void {
    const { journal, history } = this.#env;
    const calls: { readonly call: Call; readonly event: JobEvent }[] = [];
    const ack = jobs.map((job) => {
      const { m } = job.payload;
      const token = job.lease_token;
      const endMs = Date.parse(job.lease_expires_at);
      settle(history.begin(m, "claim", { token, beganMs: this.#openedMs }), "ok");
      const startMs = endMs - job.lease_duration * 1000;
      journal.claimed(m, { token, attempt: job.attempt, startMs, endMs });
      calls.push({
        call: journal.call(journal.track(m), "ack", token),
        event: history.begin(m, "ack", { token }),
      });
      return { job_id: job.job_id, lease_token: token, result: token };
    });
    this.#send(client, { ack, claim: this.#claim(jobs.length) }, (answer) => {
      calls.forEach(({ call, event }, i) => {
        const { verdict } = verdictOf(answer, "ack", i);
        if (verdict === "ok") this.acks += 1;
        call.verdict = verdict === "unavailable" ? "refused" : verdict;
        settle(event, verdict);
      });
    });
  }
}

/** What became of an item of a frame: its own word, or that of the whole frame when it is not listed. */
function verdictOf(
  answer: Record<string, unknown>,
  list: "enqueue" | "ack",
  at: number,
): { readonly verdict: Verdict; readonly item: Item | undefined } {
  const item = ((answer[list] ?? []) as readonly Item[])[at];
  const code = item?.code ?? (item === undefined ? String(answer["code"]) : "");
  if (code === "OUTCOME_UNKNOWN") return { verdict: "unknown", item };
  if (item === undefined) return { verdict: "unavailable", item };
  if (item.status !== "error") return { verdict: "ok", item };
  const isTurnedAway = ["UNAVAILABLE", "OVERLOADED", "READ_ONLY", "DISK_BUDGET"].includes(
    code ?? "",
  );
  return { verdict: isTurnedAway ? "unavailable" : "refused", item };
}
