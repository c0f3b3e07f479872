/**
 * Sends one message to a URL that a user chose. Everything about it is bounded: its time, what is read of the answer, and
 * where it may go. The name is resolved once, the addresses are judged, and the connection is made to one of those that
 * were judged, so a name that changes its address between the two gains nothing. Redirects are answers like any other.
 */
import { lookup } from "node:dns/promises";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Clock, Timers } from "../../base/ports.ts";
import { type AllowRule, isAllowed, parseAddress } from "./address.ts";
import { signatureHeaders } from "./signature.ts";

export interface Message {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Answer {
  /** 0 when there was none; then the error says why. */
  readonly status: number;
  readonly error?: string;
  readonly retryAfterMs?: number;
}

export interface PostDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly allow: readonly AllowRule[];
}

/** From the look-up of the name to the end of the answer. */
const answerMsMax = 10_000;
/** Read of an answer; of a failure its beginning is shown. */
const answerBytesMax = 64 * 1024;
const shownChars = 200;

/** The returned function never rejects. */
export function createPost(deps: PostDeps): (message: Message) => Promise<Answer> {
  return async (message) => {
    let giveUp = (_: Error) => {};
    const late = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    const cancel = deps.timers.after(answerMsMax, () =>
      giveUp(new Error(`no answer within ${answerMsMax} ms`)),
    );
    const call: Call = { isOver: false };
    try {
      return await Promise.race([send(deps, message, call), late]);
    } catch (error) {
      return { status: 0, error: wordsOf(error) };
    } finally {
      cancel();
      call.isOver = true;
      call.request?.destroy();
    }
  };
}

/** What has to end with the message. */
interface Call {
  isOver: boolean;
  request?: ClientRequest;
}

interface Place {
  readonly address: string;
  readonly family: number;
}

async function send(deps: PostDeps, message: Message, call: Call): Promise<Answer> {
  const url = new URL(message.url);
  const places = await resolve(deps, url.hostname);
  // A look-up cannot be cut short. What was given up meanwhile is tried again, so it must not go out now.
  if (call.isOver) throw new Error(`${url.hostname} was resolved too late`);
  const atSeconds = Math.floor(deps.clock.nowMs() / 1000);
  const body = Buffer.from(message.body);
  return new Promise<Answer>((resolveAnswer, reject) => {
    const open = url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = open(
      {
        method: "POST",
        protocol: url.protocol,
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? undefined : Number(url.port),
        path: `${url.pathname}${url.search}`,
        headers: {
          ...message.headers,
          ...signatureHeaders({ ...message, atSeconds }),
          host: url.host,
          "content-length": body.length,
        },
        // A connection that is kept would go to an address that was judged for another message.
        agent: false,
        lookup: (_host, options, done) => {
          const [first] = places;
          if (options.all === true) done(null, [...places]);
          else done(null, first?.address ?? "", first?.family ?? 4);
        },
      },
      (response) => readAnswer(response, deps.clock.nowMs(), resolveAnswer),
    );
    call.request = request;
    request.on("error", reject);
    request.end(body);
  });
}

/** The addresses of the host that may be called; throws when there is none. */
async function resolve({ allow }: PostDeps, hostname: string): Promise<readonly Place[]> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const literal = parseAddress(host);
  const found: readonly Place[] =
    literal === undefined
      ? await lookup(host, { all: true })
      : [{ address: host, family: host.includes(":") ? 6 : 4 }];
  const allowed = found.filter(({ address }) => {
    const bytes = parseAddress(address);
    return bytes !== undefined && isAllowed(allow, host, bytes);
  });
  if (allowed.length > 0) return allowed;
  const seen = found.map(({ address }) => address).join(", ");
  throw new Error(
    `${host} is at ${seen || "no address"}, which is not public; the server may call it with --webhook-allow`,
  );
}

function readAnswer(
  response: IncomingMessage,
  nowMs: number,
  done: (answer: Answer) => void,
): void {
  const status = response.statusCode ?? 0;
  const isGood = status >= 200 && status < 300;
  let bytes = 0;
  let shown = "";
  const finish = () => {
    const asked = retryAfterMs(response.headers["retry-after"], nowMs);
    done({
      status,
      ...(isGood ? {} : { error: describe(status, shown) }),
      ...(isGood || asked === undefined ? {} : { retryAfterMs: asked }),
    });
  };
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (shown.length < shownChars) shown += chunk.toString("utf8", 0, shownChars);
    if (bytes > answerBytesMax) finish();
  });
  response.on("end", finish);
  // The status has come; what is missing of the rest matters to nobody.
  response.on("error", finish);
  response.on("aborted", finish);
}

function describe(status: number, body: string): string {
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  const text = printable(body);
  return text === "" ? `answered ${status}` : `answered ${status}: ${text}`;
}

function printable(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .slice(0, shownChars);
}

/** Seconds, or a date. */
function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? Math.floor(ms) : undefined;
}

function wordsOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const text = typeof message === "string" && message !== "" ? message : String(code ?? error);
  return printable(text);
}
