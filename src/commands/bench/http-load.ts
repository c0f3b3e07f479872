/**
 * Enqueues one job per HTTP request over kept-alive connections, one request in flight on each. Requests are written as
 * bytes and answers read by their length, since `fetch` costs more than the server does.
 */
import { workerOperations } from "../../api/worker.ts";
import { CorvoError } from "../../base/errors.ts";
import type { JobShape } from "./job-shape.ts";
import type { Ledger } from "./ledger.ts";
import { seqOf } from "./scan.ts";
import { LoadSocket } from "./socket.ts";

export interface HttpPlan {
  readonly server: string;
  readonly apiKey: string | undefined;
  readonly shape: JobShape;
  readonly ledger: Ledger;
  readonly connections: number;
}

const headEnd = "\r\n\r\n";
const lengthName = "\r\ncontent-length: ";
const answerStart = '{"job_id":"';
const idLength = 30;
const answerTail = '","status":"pending","unique_existing":false}';

export class HttpLoad {
  readonly #senders: Sender[] = [];
  readonly #failed = Promise.withResolvers<never>();
  readonly plan: HttpPlan;
  isSending = true;

  private constructor(plan: HttpPlan) {
    this.plan = plan;
    this.#failed.promise.catch(() => undefined);
  }

  static async open(plan: HttpPlan): Promise<HttpLoad> {
    const load = new HttpLoad(plan);
    for (let i = 0; i < plan.connections; i++) {
      const sender = new Sender(load);
      await sender.open();
      load.#senders.push(sender);
    }
    return load;
  }

  start(): void {
    for (const sender of this.#senders) sender.send();
  }

  /** Rejects when a connection breaks. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get isIdle(): boolean {
    return this.#senders.every((sender) => sender.isIdle);
  }

  fail(error: Error): void {
    this.#failed.reject(error);
  }

  close(): void {
    for (const sender of this.#senders) sender.close();
  }
}

class Sender {
  readonly #load: HttpLoad;
  readonly #head: string;
  #socket: LoadSocket | undefined;
  /** The job whose answer is awaited. */
  #number: number | undefined;

  constructor(load: HttpLoad) {
    this.#load = load;
    const { server, apiKey, shape } = load.plan;
    const key = apiKey === undefined ? "" : `X-API-Key: ${apiKey}\r\n`;
    // Every job of a shape has the same length.
    this.#head = `POST ${workerOperations.enqueueJob.path} HTTP/1.1\r\nHost: ${new URL(server).host}\r\n${key}Content-Type: application/json\r\nContent-Length: ${shape.text(0).length}${headEnd}`;
  }

  get isIdle(): boolean {
    return this.#number === undefined;
  }

  async open(): Promise<void> {
    this.#socket = await LoadSocket.connect(this.#load.plan.server, {
      read: (bytes) => this.#read(bytes),
      lost: (reason) => this.#load.fail(new CorvoError("UNAVAILABLE", reason)),
    });
  }

  send(): void {
    const { shape, ledger } = this.#load.plan;
    const number = ledger.take(1);
    this.#number = number;
    this.#socket?.write(this.#head + shape.text(number));
  }

  close(): void {
    this.#socket?.close();
  }

  #read(bytes: Buffer): number {
    const text = bytes.toString("latin1");
    const bodyAt = text.indexOf(headEnd) + headEnd.length;
    if (bodyAt < headEnd.length) return 0;
    const end = bodyAt + lengthOf(text.slice(0, bodyAt));
    if (end > bytes.length) return 0;
    this.#answered(text, bodyAt, end);
    return end;
  }

  #answered(text: string, bodyAt: number, end: number): void {
    const { ledger } = this.#load.plan;
    const number = this.#number;
    this.#number = undefined;
    if (number === undefined) {
      ledger.problem("an answer came that nobody had asked for");
      return;
    }
    const idAt = bodyAt + answerStart.length;
    const tailAt = idAt + idLength;
    if (
      text.startsWith("HTTP/1.1 201 ") &&
      text.startsWith(answerStart, bodyAt) &&
      text.startsWith(answerTail, tailAt) &&
      end === tailAt + answerTail.length
    ) {
      ledger.accept(number, seqOf(text.slice(idAt, tailAt)));
    } else {
      ledger.refuse(number);
      ledger.problem(`the enqueue of job ${number} was answered ${text.slice(0, end)}`);
    }
    if (this.#load.isSending) this.send();
  }
}

function lengthOf(head: string): number {
  const at = head.toLowerCase().indexOf(lengthName);
  const length = Number.parseInt(head.slice(at + lengthName.length), 10);
  if (at === -1 || Number.isNaN(length)) {
    throw new CorvoError("INTERNAL_ERROR", `an answer has no content-length: ${head}`);
  }
  return length;
}
