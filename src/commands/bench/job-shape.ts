/** The jobs of a run as text, made once: only a number differs from one job to the next. */
import { numberBase } from "./ledger.ts";

const payloadHead = '{"n":';
const dataHead = ',"data":"';
const dataTail = '"}';
const numberLength = String(numberBase).length;

/** Bytes of a payload without data. */
export const payloadBytesMin =
  payloadHead.length + numberLength + dataHead.length + dataTail.length;

const letters = "abcdefghijklmnopqrstuvwxyz0123456789";

export class JobShape {
  readonly queue: string;
  readonly payloadBytes: number;
  readonly #head: string;
  readonly #payloadTail: string;
  readonly #options: ((number: number) => string) | undefined;

  /** `options` gives further members of the job, each with a comma in front. */
  constructor(queue: string, payloadBytes: number, options?: (number: number) => string) {
    this.queue = queue;
    this.payloadBytes = payloadBytes;
    this.#head = `{"queue":"${queue}","payload":${payloadHead}`;
    const dataLength = payloadBytes - payloadBytesMin;
    const data = letters.repeat(Math.ceil(dataLength / letters.length)).slice(0, dataLength);
    this.#payloadTail = `${dataHead}${data}${dataTail}`;
    this.#options = options;
  }

  /** The job as it stands in an enqueue. */
  text(number: number): string {
    const start = this.#head + (numberBase + number) + this.#payloadTail;
    return this.#options === undefined ? `${start}}` : `${start}${this.#options(number)}}`;
  }

  /** `count` jobs, separated by commas. */
  list(first: number, count: number): string {
    let text = this.text(first);
    for (let i = 1; i < count; i++) text += `,${this.text(first + i)}`;
    return text;
  }

  /** Characters of one payload. */
  get payloadLength(): number {
    return payloadHead.length + numberLength + this.#payloadTail.length;
  }

  /** The number of the job whose payload begins here; undefined when this is no payload of ours, to the last byte. */
  numberAt(text: string, at: number): number | undefined {
    if (!text.startsWith(payloadHead, at)) return undefined;
    const digits = at + payloadHead.length;
    if (!text.startsWith(this.#payloadTail, digits + numberLength)) return undefined;
    let number = 0;
    for (let i = digits; i < digits + numberLength; i++) {
      const digit = text.charCodeAt(i) - 48;
      if (digit < 0 || digit > 9) return undefined;
      number = number * 10 + digit;
    }
    return number - numberBase;
  }
}
