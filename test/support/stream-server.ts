/**
 * A small server of the streaming protocol over a real WebSocket, with what tests need on top: it shows every frame, can
 * refuse, ignore or delay frames, revoke leases, break connections, and go away and come back on the same port.
 *
 * Its queue is real as far as a client can see: leases with tokens, fencing, attempts, credits that add up.
 */
import type { ServerWebSocket } from "bun";
import { rawTreeOf } from "../../src/api/operation.ts";
import { ClientFrame, streamPath } from "../../src/api/stream.ts";
import { parseJson, type RawJson, stringifyJson } from "../../src/base/json.ts";

type Item = Record<string, unknown> & { job_id: string; lease_token?: string };
interface Socket {
  credits: number;
  queues: string[];
  leaseMs: number;
  isMute: boolean;
}

export interface ServedJob {
  readonly id: string;
  readonly queue: string;
  readonly payload: RawJson | null;
  readonly options: Record<string, unknown>;
  state: string;
  attempt: number;
  token: string | undefined;
  readonly acks: Item[];
  readonly fails: Item[];
  readonly releases: Item[];
  progress: string[];
  checkpoint: RawJson | undefined;
}

export type FrameVerdict =
  | "ok"
  | "ignore"
  | "apply-silently"
  /** `only` names the one list that is carried out all the same. */
  | { code: string; error: string; retry_after_ms?: number; only?: string };

export class StreamServer {
  readonly jobs = new Map<string, ServedJob>();
  readonly frames: Record<string, unknown>[] = [];
  readonly headers: Headers[] = [];
  /** What becomes of a frame with operations. */
  judge: (frame: Record<string, unknown>) => FrameVerdict = () => "ok";
  connections = 0;
  frameBytesMax = 16 * 1024 * 1024;
  /** Answer to ordinary calls that are not known here. */
  apiRefusal: { code: string; error: string; status: number } | undefined;
  #server: ReturnType<typeof Bun.serve<Socket>> | undefined;
  readonly #sockets = new Set<ServerWebSocket<Socket>>();
  #port = 0;
  #tokens = 0;
  #waiters: { test: () => boolean; resolve: () => void }[] = [];

  start(): this {
    this.#server = Bun.serve<Socket>({
      hostname: "127.0.0.1",
      port: this.#port,
      fetch: (request, server) => {
        const { pathname } = new URL(request.url);
        if (pathname !== streamPath) return this.#call(pathname);
        this.headers.push(request.headers);
        const data = { credits: 0, queues: [], leaseMs: 60_000, isMute: false };
        return server.upgrade(request, { data }) ? undefined : new Response("", { status: 400 });
      },
      websocket: {
        maxPayloadLength: this.frameBytesMax,
        open: (socket) => {
          this.connections++;
          this.#sockets.add(socket);
          this.changed();
        },
        close: (socket) => {
          this.#sockets.delete(socket);
          this.changed();
        },
        message: (socket, text) => this.#frame(socket, String(text)),
      },
    });
    this.#port = this.#server.port ?? 0;
    return this;
  }

  /** The ordinary calls that the worker command makes. */
  #call(pathname: string): Response {
    const queue = /^\/api\/v1\/queues\/(.+)$/.exec(pathname)?.[1];
    if (pathname === "/api/v1/info" && this.apiRefusal === undefined)
      return Response.json({ server_version: "test" });
    if (queue !== undefined && [...this.jobs.values()].some((job) => job.queue === queue)) {
      return Response.json({ pending: this.waiting([queue]), scheduled: 0, retrying: 0 });
    }
    const refusal = this.apiRefusal ?? { code: "NOT_FOUND", error: "no such thing", status: 404 };
    return Response.json(refusal, { status: refusal.status });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Ends every connection and stops listening; `start` brings it back on the same port. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await this.#server?.stop(true);
    this.#server = undefined;
  }

  breakConnections(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Present connections stay open but nothing is answered on them any more. */
  mute(): void {
    for (const socket of this.#sockets) socket.data.isMute = true;
  }

  push(frame: object): void {
    for (const socket of this.#sockets) socket.send(stringifyJson(frame));
  }

  add(queue: string, payload: RawJson | null, options: Record<string, unknown> = {}): ServedJob {
    const job: ServedJob = {
      id: `job_${String(this.jobs.size + 1).padStart(26, "0")}`,
      queue,
      payload,
      options,
      state: "pending",
      attempt: 0,
      token: undefined,
      acks: [],
      fails: [],
      releases: [],
      progress: [],
      checkpoint: options["checkpoint"] as RawJson | undefined,
    };
    this.jobs.set(job.id, job);
    this.#pushJobs();
    return job;
  }

  /** Ends the lease, as its time-out would. */
  expire(job: ServedJob): void {
    job.token = undefined;
    job.state = "pending";
    this.#pushJobs();
  }

  waiting(queues: readonly string[]): number {
    return [...this.jobs.values()].filter(
      (job) => queues.includes(job.queue) && job.state === "pending",
    ).length;
  }

  /** Resolves as soon as the test holds; looked at after each frame and connection. */
  until(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ test, resolve }));
  }

  changed(): void {
    const ready = this.#waiters.filter((waiter) => waiter.test());
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }

  #frame(socket: ServerWebSocket<Socket>, text: string): void {
    if (socket.data.isMute) return;
    const parsed = parseJson(text, rawTreeOf(ClientFrame), 200);
    if (!parsed.ok) throw new Error(`the client sent ${text}`);
    const frame = parsed.value as Record<string, unknown>;
    const isPing = Object.keys(frame).length === 1;
    if (!isPing) this.frames.push(frame);
    const verdict = isPing ? "ok" : this.judge(frame);
    if (verdict === "ignore") {
      this.changed();
      return;
    }
    if (typeof verdict === "object") {
      const { only, ...refusal } = verdict;
      const part = only === undefined ? {} : this.#apply(socket, { [only]: frame[only] });
      socket.send(stringifyJson({ ...part, id: frame["id"], ...refusal }));
    } else {
      const answer = this.#apply(socket, frame);
      if (verdict === "ok") socket.send(stringifyJson(answer));
      this.#pushJobs();
    }
    this.changed();
  }

  #apply(socket: ServerWebSocket<Socket>, frame: Record<string, unknown>): object {
    const answer: Record<string, unknown> = { id: frame["id"] };
    const each = (name: string, apply: (item: Item) => object) => {
      const items = frame[name] as Item[] | undefined;
      if (items !== undefined) answer[name] = items.map(apply);
    };
    each("enqueue", (item) => this.#enqueue(item));
    each("ack", (item) => this.#end(item, "acks", "completed"));
    each("fail", (item) =>
      this.#end(item, "fails", item["retryable"] === false ? "dead" : "retrying"),
    );
    each("release", (item) => this.#end(item, "releases", "pending"));
    each("heartbeat", (item) => this.#heartbeat(item));
    const claim = frame["claim"] as
      | { queues: string[]; credits: number; lease_ms?: number }
      | undefined;
    if (claim !== undefined) {
      socket.data.queues = claim.queues;
      socket.data.leaseMs = claim.lease_ms ?? 60_000;
      socket.data.credits = claim.credits === 0 ? 0 : claim.credits + socket.data.credits;
    }
    return answer;
  }

  #enqueue(item: Item): object {
    const key = item["unique_key"];
    const holder = [...this.jobs.values()].find(
      (job) => key !== undefined && job.options["unique_key"] === key,
    );
    if (holder !== undefined) {
      return { job_id: holder.id, status: "duplicate", unique_existing: true };
    }
    const job = this.add(String(item["queue"]), item["payload"] as RawJson | null, item);
    return { job_id: job.id, status: "pending", unique_existing: false };
  }

  #end(item: Item, list: "acks" | "fails" | "releases", state: string): object {
    const job = this.jobs.get(item.job_id);
    if (job === undefined || job.token === undefined || job.token !== item.lease_token) {
      return { job_id: item.job_id, status: "error", code: "LEASE_LOST", error: "not yours" };
    }
    job.token = undefined;
    job.state = state;
    job[list].push(item);
    return { job_id: item.job_id, status: "ok" };
  }

  #heartbeat(item: Item): object {
    const job = this.jobs.get(item.job_id);
    if (job === undefined || job.token !== item.lease_token) {
      return { job_id: item.job_id, status: "lost" };
    }
    if (job.state === "cancelled") return { job_id: item.job_id, status: "cancel" };
    if (item["progress"] !== undefined) job.progress.push((item["progress"] as RawJson).text);
    if (item["checkpoint"] !== undefined) job.checkpoint = item["checkpoint"] as RawJson;
    return { job_id: item.job_id, status: "ok" };
  }

  #pushJobs(): void {
    for (const socket of this.#sockets) {
      const { data } = socket;
      const jobs: object[] = [];
      for (const job of this.jobs.values()) {
        if (data.isMute || data.credits <= jobs.length) break;
        if (job.state !== "pending" || !data.queues.includes(job.queue)) continue;
        job.state = "active";
        job.attempt++;
        job.token = `t${++this.#tokens}`;
        jobs.push({
          job_id: job.id,
          queue: job.queue,
          payload: job.payload,
          attempt: job.attempt,
          max_retries: 3,
          lease_duration: data.leaseMs / 1000,
          lease_token: job.token,
          lease_expires_at: "2030-01-01T00:00:00.000Z",
          timeout_ms: job.options["timeout_ms"],
          checkpoint: job.checkpoint,
          tags: job.options["tags"],
          content_type: job.options["content_type"],
          payload_base64: job.options["payload_base64"],
          payload_blob: job.options["payload_blob"],
          priority: 2,
          created_at: "2026-01-01T00:00:00.000Z",
        });
      }
      data.credits -= jobs.length;
      if (jobs.length > 0) socket.send(stringifyJson({ jobs }));
    }
  }
}
