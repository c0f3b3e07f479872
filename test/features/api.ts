/** How stories speak to a server or a cluster: like a client that knows all nodes and stays with the one that answers. */
import { expect } from "bun:test";
import type { Place } from "../support/binary.ts";
import { until } from "../support/cluster/cluster.ts";

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface Claimed {
  readonly job_id: string;
  readonly lease_token: string;
  readonly payload: unknown;
  readonly attempt: number;
}

export type Shown = Record<string, unknown> & { readonly id: string; readonly state: string };

/** A call that does no more when it comes twice. */
function isRepeatable(body: unknown): boolean {
  return typeof body === "string" && /"(idempotency_key|lease_token)":/.test(body);
}

export class Api {
  readonly #place: Place;
  readonly #urls: readonly string[];
  #at = 0;

  constructor(place: Place, urls: readonly string[]) {
    this.#place = place;
    this.#urls = urls;
  }

  /** The node that is asked first. */
  get url(): string {
    return this.#urls[this.#at % this.#urls.length] ?? "";
  }

  /** One call. It is made again, on the next node, while there is no leader or no connection. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const given = body === undefined ? {} : { body: JSON.stringify(body) };
    return this.#send(`${method} ${path}`, path, { method, ...given });
  }

  async #send(what: string, path: string, init: RequestInit): Promise<Answer> {
    return until(what, async () => {
      try {
        const response = await fetch(this.url + path, init);
        const text = await response.text();
        const parsed = text.startsWith("{") ? JSON.parse(text) : {};
        const isOpen = parsed.code === "OUTCOME_UNKNOWN" && isRepeatable(init.body);
        if (parsed.code !== "UNAVAILABLE" && !isOpen) {
          return { status: response.status, body: parsed, text };
        }
      } catch {
        // The node is gone; what the call asked for has not been answered yet, and stories are made so that it may come twice.
      }
      this.#at++;
      return undefined;
    });
  }

  /** A POST whose body is no JSON of ours. */
  async raw(path: string, text: string, headers: Record<string, string>): Promise<Answer> {
    return this.#send(`POST ${path}`, path, { method: "POST", body: text, headers });
  }

  /** A call that must succeed. */
  async json(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  /** A call that must be refused with this code. */
  async refused(code: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.call(method, path, body);
    expect(answer.body).toMatchObject({ code });
    return answer;
  }

  /** Adds a job; its id. */
  async add(queue: string, options: object = {}): Promise<string> {
    const idempotency_key = crypto.randomUUID();
    const body = { queue, payload: {}, idempotency_key, ...options };
    const answer = await this.json("POST", "/api/v1/enqueue", body);
    return String(answer["job_id"]);
  }

  /** The next job of the queue, or undefined when there is none within the time. */
  async claim(queue: string, waitMs = 0, options: object = {}): Promise<Claimed | undefined> {
    const answer = await this.call("POST", "/api/v1/fetch", {
      queues: [queue],
      worker_id: "story",
      wait_ms: waitMs,
      lease_ms: 60_000,
      ...options,
    });
    return answer.status === 204 ? undefined : (answer.body as unknown as Claimed);
  }

  /** The next job, which must come. */
  async take(queue: string, options: object = {}): Promise<Claimed> {
    const claimed = await this.claim(queue, 10_000, options);
    if (claimed === undefined) throw new Error(`no job came from ${queue}`);
    return claimed;
  }

  async ack(job: Claimed, more: object = {}): Promise<void> {
    const body = { lease_token: job.lease_token, ...more };
    await this.json("POST", `/api/v1/ack/${job.job_id}`, body);
  }

  async fail(job: Claimed, more: object = {}): Promise<Record<string, unknown>> {
    const body = { lease_token: job.lease_token, error: "it broke", ...more };
    return this.json("POST", `/api/v1/fail/${job.job_id}`, body);
  }

  async job(id: string): Promise<Shown> {
    return (await this.json("GET", `/api/v1/jobs/${id}`)) as Shown;
  }

  /** Waits until the job is in a state. */
  async reaches(id: string, state: string): Promise<Shown> {
    return until(`${id} is ${state}`, async () => {
      const job = await this.job(id);
      return job.state === state ? job : undefined;
    });
  }

  async queue(name: string): Promise<Record<string, unknown>> {
    return this.json("GET", `/api/v1/queues/${name}`);
  }

  /** A folder for files that a story needs. */
  folder(): string {
    return this.#place.path;
  }

  /** One command line of the program; it must succeed. Its standard output. */
  async cli(...words: string[]): Promise<string> {
    const env = { CORVO_SERVER: this.#urls.join(",") };
    const { code, stdout, stderr } = await this.#place.run(words, { env });
    if (code !== 0) throw new Error(`corvo ${words.join(" ")}: ${code}\n${stdout}${stderr}`);
    return stdout;
  }
}
