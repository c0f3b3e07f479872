/**
 * Reads what the server sends, at the least cost that still looks at every item: its id, its status, its payload, its
 * lease. The texts are scanned for the shape that this version of the server writes; whatever has another shape (a
 * refusal, other members, another order) is read with `JSON.parse` instead, so that speed never decides what is seen.
 */
import type { AnswerFrame, PushFrame } from "../../api/stream.ts";
import type { JobShape } from "./job-shape.ts";
import { utf8Of } from "./stream-link.ts";

/** A job in the hands of the load generator. */
export interface Claimed {
  readonly number: number;
  readonly id: string;
  readonly token: string;
}

/** An item of an answer, in the order sent: the sequence number of the new job, 0 for an ack, or why it was refused. */
type ItemAnswer = number | { readonly code: string; readonly error: string };

export interface Answer {
  readonly id: number;
  readonly enqueue: readonly ItemAnswer[] | undefined;
  readonly ack: readonly ItemAnswer[] | undefined;
  readonly refusal:
    | { readonly code: string; readonly error: string; readonly retryAfterMs: number }
    | undefined;
}

/** What a frame held when it was sent. */
export interface SentItems {
  readonly count: number;
  readonly acks: readonly Claimed[];
}

const idHead = '{"job_id":"';
const idLength = 30;
const seqOffset = 18;
const payloadName = '"payload":';
const tokenName = '"lease_token":"';
const jobsHead = '{"jobs":[';
const answerHead = '{"id":';
const ackTail = '","status":"ok"}';

export function isJobs(text: string): boolean {
  return text.startsWith(jobsHead);
}

export function isAnswer(text: string): boolean {
  return text.startsWith(answerHead);
}

/** The claimed jobs of a push. `problem` is told of payloads that came back altered. */
export function readJobs(
  text: string,
  shape: JobShape,
  problem: (text: string) => void,
): readonly Claimed[] {
  return scanJobs(text, shape) ?? parseJobs(text, shape, problem);
}

function scanJobs(text: string, shape: JobShape): Claimed[] | undefined {
  const jobs: Claimed[] = [];
  let at = jobsHead.length;
  for (;;) {
    if (!text.startsWith(idHead, at)) return undefined;
    const idAt = at + idHead.length;
    const payloadAt = text.indexOf(payloadName, idAt + idLength) + payloadName.length;
    const number = shape.numberAt(text, payloadAt);
    if (number === undefined) return undefined;
    const tokenAt = text.indexOf(tokenName, payloadAt + shape.payloadLength) + tokenName.length;
    const tokenEnd = text.indexOf('"', tokenAt);
    if (tokenAt < tokenName.length || tokenEnd === -1) return undefined;
    jobs.push({
      number,
      id: text.slice(idAt, idAt + idLength),
      token: text.slice(tokenAt, tokenEnd),
    });
    const next = text.indexOf(idHead, tokenEnd);
    if (next === -1) break;
    at = next;
  }
  return text.endsWith("}]}") ? jobs : undefined;
}

function parseJobs(text: string, shape: JobShape, problem: (text: string) => void): Claimed[] {
  const frame = JSON.parse(utf8Of(text)) as PushFrame;
  const claimed: Claimed[] = [];
  for (const job of frame.jobs ?? []) {
    const payload = JSON.stringify(job.payload);
    const number = payload.length === shape.payloadLength ? shape.numberAt(payload, 0) : undefined;
    if (number === undefined) {
      problem(`the payload of ${job.job_id} came back altered: ${payload.slice(0, 200)}`);
    } else {
      claimed.push({ number, id: job.job_id, token: job.lease_token });
    }
  }
  return claimed;
}

/** The answer to a frame; `sentOf` finds what it held. */
export function readAnswer(text: string, sentOf: (id: number) => SentItems | undefined): Answer {
  const id = Number.parseInt(text.slice(answerHead.length, answerHead.length + 16), 10);
  const sent = sentOf(id);
  return (sent === undefined ? undefined : scanAnswer(text, id, sent)) ?? parseAnswer(text, sent);
}

function scanAnswer(text: string, id: number, sent: SentItems): Answer | undefined {
  let at = answerHead.length + String(id).length;
  let enqueue: number[] | undefined;
  let ack: number[] | undefined;
  if (text.startsWith(',"enqueue":[', at)) {
    at += 12;
    enqueue = [];
    for (let i = 0; i < sent.count; i++) {
      const end = newJobEnd(text, at);
      if (end === 0) return undefined;
      enqueue.push(seqAt(text, at + idHead.length));
      at = end + 1;
    }
  }
  if (text.startsWith(',"ack":[', at)) {
    at += 8;
    ack = [];
    for (const { id: ackId } of sent.acks) {
      const idAt = at + idHead.length;
      if (!text.startsWith(ackId, idAt) || !text.startsWith(ackTail, idAt + idLength)) {
        return undefined;
      }
      ack.push(0);
      at = idAt + idLength + ackTail.length + 1;
    }
  }
  const isWhole = at === text.length - 1 && text.endsWith("}");
  return isWhole ? { id, enqueue, ack, refusal: undefined } : undefined;
}

const newJobTails = [
  '","status":"pending","unique_existing":false}',
  '","status":"scheduled","unique_existing":false}',
] as const;

/** Where the entry of a new job ends that begins here; 0 when it is anything else. */
function newJobEnd(text: string, at: number): number {
  if (!text.startsWith(idHead, at)) return 0;
  const tailAt = at + idHead.length + idLength;
  for (const tail of newJobTails) {
    if (text.startsWith(tail, tailAt)) return tailAt + tail.length;
  }
  return 0;
}

function parseAnswer(text: string, sent: SentItems | undefined): Answer {
  const frame = JSON.parse(utf8Of(text)) as AnswerFrame;
  return {
    id: frame.id,
    enqueue: frame.enqueue?.map((item) =>
      item.status === "pending" || item.status === "scheduled"
        ? seqOf(item.job_id)
        : faultOf(item, `the answer says ${item.status}`),
    ),
    ack: frame.ack?.map((item, i) =>
      item.status === "ok" && item.job_id === sent?.acks[i]?.id
        ? 0
        : faultOf(item, `the answer is about ${item.job_id}`),
    ),
    refusal:
      frame.code === undefined
        ? undefined
        : { code: frame.code, error: frame.error ?? "", retryAfterMs: frame.retry_after_ms ?? 0 },
  };
}

function faultOf(
  item: { readonly status: string; readonly code?: string; readonly error?: string },
  mismatch: string,
): ItemAnswer {
  return item.status === "error"
    ? { code: item.code ?? "", error: item.error ?? "" }
    : { code: "MISMATCH", error: mismatch };
}

/** The sequence number within a job id. */
export function seqOf(id: string): number {
  return id.length === idLength ? seqAt(id, 0) : 0;
}

function seqAt(text: string, idAt: number): number {
  let seq = 0;
  for (let i = idAt + seqOffset; i < idAt + idLength; i++) {
    const code = text.charCodeAt(i);
    seq = seq * 16 + (code <= 57 ? code - 48 : code - 87);
  }
  return seq;
}
