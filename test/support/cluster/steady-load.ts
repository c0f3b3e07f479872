/**
 * Clients that ask for as much each second whatever the answers take, over streams to one node, and note how long each
 * answer took: jobs for a worker that waits (`pickup`), jobs claimed one at a time from a long queue (`claim`), and what
 * it takes to add and to ack them. Beside them stand the answers to a call that touches no disk (`http`) and how late the
 * clock of the measuring process itself is (`own`), which tell a busy disk from a busy process from a busy machine.
 */
import { type Quantiles, quantilesOf } from "../../../src/commands/bench/samples.ts";
import { type StreamClient, streamClient } from "../socket.ts";

export const measured = ["pickup", "claim", "enqueue", "ack", "http", "own"] as const;
export type Measured = (typeof measured)[number];

export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly latencies: Readonly<Record<Measured, Quantiles>>;
  /** Seconds into the phase at which the slowest claims were asked for. */
  readonly slowest: readonly { readonly atSeconds: number; readonly ms: number }[];
}

interface Work {
  readonly url: string;
  /** Jobs added a second; as many are claimed from the long queue. */
  readonly rate: number;
  readonly liveQueue: string;
  readonly longQueue: string;
  /** Number of the first job it adds. */
  readonly first: number;
  readonly payload: (n: number) => object;
  /** A job was acked. */
  readonly onAcked: (queue: string, n: number, jobId: string) => void;
  readonly onEnqueued: (n: number, jobId: string) => void;
}

interface PushedJob {
  readonly job_id: string;
  readonly payload: { readonly n: number };
  readonly lease_token: string;
}

interface Item {
  readonly status: string;
  readonly job_id: string;
}

interface Sample {
  readonly atMs: number;
  readonly ms: number;
}

/** Credits of the worker that waits: enough that it never has none while a disk hangs for a moment. */
const waitingCredits = 400;
/** Long enough that no lease ends by itself. */
const leaseMs = 600_000;
/** Frames without an answer on one stream; the server takes 64. What is due meanwhile waits, and is measured from then. */
const framesMax = 32;
const tickMs = 5;
const probeMs = 20;

/** One stream: frames out, answers and jobs in. */
class Link {
  readonly #client: StreamClient;
  readonly #answers = new Map<number, (answer: Record<string, unknown>) => void>();
  #lastId = 0;
  onJobs: (jobs: readonly PushedJob[]) => void = () => {};

  private constructor(client: StreamClient) {
    this.#client = client;
  }

  static async open(url: string, fail: (reason: string) => void): Promise<Link> {
    const link = new Link(await streamClient(url));
    const failed = (error: unknown) => fail(String(error));
    link.#client.closed
      .then(({ code, reason }) => fail(`a stream ended: ${code} ${reason}`))
      .catch(failed);
    link.#read().catch(failed);
    return link;
  }

  get isIdle(): boolean {
    return this.#answers.size === 0;
  }

  get hasRoom(): boolean {
    return this.#answers.size < framesMax;
  }

  send(frame: object, answered: (answer: Record<string, unknown>) => void): void {
    this.#lastId += 1;
    this.#answers.set(this.#lastId, answered);
    this.#client.socket.send(JSON.stringify({ id: this.#lastId, ...frame }));
  }

  close(): void {
    this.#client.socket.close();
  }

  async #read(): Promise<void> {
    for (;;) {
      const message = await this.#client.next();
      if (message["jobs"] !== undefined) this.onJobs(message["jobs"] as readonly PushedJob[]);
      const id = message["id"];
      if (typeof id !== "number") continue;
      const answered = this.#answers.get(id);
      this.#answers.delete(id);
      answered?.(message);
    }
  }
}

export class SteadyLoad {
  readonly problems: string[] = [];
  readonly #work: Work;
  readonly #samples = new Map<Measured, Sample[]>(measured.map((kind) => [kind, []]));
  readonly #sentMs = new Map<number, number>();
  /** When each job of the long queue was asked for that has not come yet. */
  readonly #askedMs: number[] = [];
  /** Jobs whose ack waits for room on the stream. */
  readonly #held = new Map<Link, { readonly job: PushedJob; readonly sinceMs: number }[]>();
  #links: { readonly producer: Link; readonly waiting: Link; readonly claiming: Link } | undefined;
  #next: number;
  #owed = 0;
  /** When each job was due that is not sent yet. */
  #dueMs: number[] = [];
  #isOver = false;
  #loops: Promise<unknown> = Promise.resolve();
  #phase = { name: "", startMs: 0 };

  constructor(work: Work) {
    this.#work = work;
    this.#next = work.first;
  }

  async start(name: string): Promise<void> {
    const fail = (reason: string) => this.#isOver || this.problems.push(reason);
    const open = () => Link.open(this.#work.url, fail);
    const [producer, waiting, claiming] = await Promise.all([open(), open(), open()]);
    waiting.onJobs = (jobs) => this.#picked(waiting, jobs);
    claiming.onJobs = (jobs) => this.#claimed(claiming, jobs);
    this.#links = { producer, waiting, claiming };
    this.#owed = 0;
    waiting.send({ claim: this.#claim(this.#work.liveQueue, waitingCredits) }, () => undefined);
    this.#phase = { name, startMs: performance.now() };
    this.#loops = Promise.all([this.#tick(), this.#probe()]);
  }

  /** Ends the running phase and begins the next one. */
  next(name: string): Phase {
    const { name: ended, startMs } = this.#phase;
    const nowMs = performance.now();
    const taken = (kind: Measured) => this.#samples.get(kind) ?? [];
    const latencies = Object.fromEntries(
      measured.map((kind) => [kind, quantilesOf(taken(kind).map(({ ms }) => ms))]),
    ) as Record<Measured, Quantiles>;
    const slowest = [...taken("claim"), ...taken("pickup")]
      .sort((one, other) => other.ms - one.ms)
      .slice(0, 5)
      .map(({ atMs, ms }) => ({ atSeconds: (atMs - startMs) / 1000, ms }));
    for (const kind of measured) this.#samples.set(kind, []);
    this.#phase = { name, startMs: nowMs };
    return { name: ended, seconds: (nowMs - startMs) / 1000, latencies, slowest };
  }

  /** Asks for nothing more and waits for every answer and job that is due. */
  async stop(withinMs: number): Promise<void> {
    this.#isOver = true;
    await this.#loops;
    const deadlineMs = performance.now() + withinMs;
    const links = Object.values(this.#links ?? {});
    const isDone = () =>
      this.#dueMs.length === 0 &&
      this.#sentMs.size === 0 &&
      this.#askedMs.length === 0 &&
      links.every(({ isIdle }) => isIdle);
    while (!isDone() && performance.now() < deadlineMs) {
      if (this.#links !== undefined) this.#askDue(this.#links);
      await Bun.sleep(10);
    }
    if (!isDone()) {
      this.problems.push(
        `${this.#sentMs.size} jobs and ${this.#askedMs.length} claims were not answered within ${withinMs} ms`,
      );
    }
    for (const link of links) link.close();
    this.#links = undefined;
  }

  #claim(queue: string, credits: number) {
    return { queues: [queue], credits, lease_ms: leaseMs, worker_id: "steady" };
  }

  #note(kind: Measured, atMs: number, nowMs = performance.now()): void {
    this.#samples.get(kind)?.push({ atMs, ms: nowMs - atMs });
  }

  async #tick(): Promise<void> {
    let dueMs = performance.now();
    while (!this.#isOver && this.#links !== undefined && this.problems.length === 0) {
      const nowMs = performance.now();
      this.#note("own", Math.min(dueMs, nowMs), nowMs);
      this.#owed += (this.#work.rate * Math.max(0, nowMs - dueMs + tickMs)) / 1000;
      for (; this.#owed >= 1; this.#owed--) this.#dueMs.push(nowMs);
      this.#askDue(this.#links);
      dueMs = nowMs + tickMs;
      await Bun.sleep(tickMs);
    }
  }

  #askDue({ producer, claiming }: { producer: Link; claiming: Link }): void {
    while (producer.hasRoom && claiming.hasRoom) {
      const dueMs = this.#dueMs.shift();
      if (dueMs === undefined) return;
      this.#ask(producer, claiming, dueMs);
    }
  }

  #ask(producer: Link, claiming: Link, sentMs: number): void {
    const { liveQueue, longQueue, payload, onEnqueued } = this.#work;
    const n = this.#next++;
    this.#sentMs.set(n, sentMs);
    producer.send({ enqueue: [{ queue: liveQueue, payload: payload(n) }] }, (answer) => {
      this.#note("enqueue", sentMs);
      const id = this.#item(answer, "enqueue")?.job_id;
      if (id !== undefined) onEnqueued(n, id);
    });
    this.#askedMs.push(sentMs);
    claiming.send({ claim: this.#claim(longQueue, 1) }, (answer) => {
      if (answer["code"] !== undefined) this.problems.push(`claim: ${JSON.stringify(answer)}`);
    });
  }

  #picked(link: Link, jobs: readonly PushedJob[]): void {
    for (const { payload } of jobs) {
      const sentMs = this.#sentMs.get(payload.n);
      this.#sentMs.delete(payload.n);
      if (sentMs === undefined) this.problems.push(`job ${payload.n} came twice`);
      else this.#note("pickup", sentMs);
    }
    this.#ack(link, this.#work.liveQueue, jobs);
  }

  #claimed(link: Link, jobs: readonly PushedJob[]): void {
    for (const { payload } of jobs) {
      const askedMs = this.#askedMs.shift();
      if (askedMs === undefined) this.problems.push(`job ${payload.n} was not asked for`);
      else this.#note("claim", askedMs);
    }
    this.#ack(link, this.#work.longQueue, jobs);
  }

  #ack(link: Link, queue: string, jobs: readonly PushedJob[]): void {
    const held = this.#held.get(link) ?? [];
    const nowMs = performance.now();
    for (const job of jobs) held.push({ job, sinceMs: nowMs });
    this.#held.set(link, held);
    this.#sendAcks(link, queue);
  }

  #sendAcks(link: Link, queue: string): void {
    const some = this.#held.get(link)?.splice(0, link.hasRoom ? 512 : 0) ?? [];
    if (some.length === 0) return;
    const isWaiting = queue === this.#work.liveQueue;
    const claim = isWaiting ? { claim: this.#claim(queue, some.length) } : {};
    const ack = some.map(({ job: { job_id, lease_token } }) => ({ job_id, lease_token }));
    link.send({ ack, ...claim }, (answer) => {
      some.forEach(({ job, sinceMs }, at) => {
        this.#note("ack", sinceMs);
        if (this.#item(answer, "ack", at) === undefined) return;
        this.#work.onAcked(queue, job.payload.n, job.job_id);
      });
      this.#sendAcks(link, queue);
    });
  }

  #item(answer: Record<string, unknown>, list: "enqueue" | "ack", at = 0): Item | undefined {
    const item = ((answer[list] ?? []) as readonly Item[])[at];
    if (item !== undefined && item.status !== "error") return item;
    this.problems.push(`${list}: ${JSON.stringify(item ?? answer)}`);
    return undefined;
  }

  async #probe(): Promise<void> {
    while (!this.#isOver) {
      const sentMs = performance.now();
      const answer = await fetch(`${this.#work.url}/healthz`, {
        signal: AbortSignal.timeout(20_000),
      }).catch((error: unknown) => error);
      if (!(answer instanceof Response)) this.problems.push(`no answer over HTTP: ${answer}`);
      else await answer.text();
      this.#note("http", sentMs);
      await Bun.sleep(probeMs);
    }
  }
}
