/**
 * `fetch` for calls of other nodes that may wait long for their answer. The runtime's own has at most 256 requests on their
 * way in the whole process, and what comes after them stands in line, unseen: that many idle workers at a node that follows
 * would keep every enqueue, ack and heartbeat from the leader. So only half of them may be calls that wait, and the others go
 * over the client of `node:http`, which is slower and has no such bound; those on requests and on waiting workers hold,
 * which refuse by name.
 *
 * It does as much as such calls need: redirects are answers, and bodies are given as they came.
 */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, Agent as SecureAgent } from "node:https";

const fetchesMax = 128;

const kept = { keepAlive: true };
const agent = new Agent(kept);
const secureAgent = new SecureAgent(kept);
let fetches = 0;

export interface LongCall {
  readonly method: string;
  readonly headers: Headers;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
}

export async function fetchLong(url: string, ask: LongCall): Promise<Response> {
  if (fetches >= fetchesMax) return fetchOverSocket(url, ask);
  fetches++;
  try {
    return await fetch(url, { ...ask, redirect: "manual", decompress: false });
  } finally {
    fetches--;
  }
}

function fetchOverSocket(url: string, ask: LongCall): Promise<Response> {
  const { method, body, signal } = ask;
  const headers = Object.fromEntries(ask.headers);
  return new Promise((resolve, reject) => {
    const done = (answer: IncomingMessage) => resolve(responseOf(answer));
    const request = url.startsWith("https:")
      ? httpsRequest(url, { method, headers, signal, agent: secureAgent }, done)
      : httpRequest(url, { method, headers, signal, agent }, done);
    request.on("error", reject);
    request.end(body);
  });
}

function responseOf(answer: IncomingMessage): Response {
  const headers = new Headers();
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    headers.append(answer.rawHeaders[i] ?? "", answer.rawHeaders[i + 1] ?? "");
  }
  const status = answer.statusCode ?? 502;
  const hasNone = status === 204 || status === 304;
  if (hasNone) answer.resume();
  return new Response(hasNone ? null : piecesOf(answer), { status, headers });
}

/** As fast as they are taken; an answer that breaks off is an error, and who takes no more of it closes the connection. */
function piecesOf(answer: IncomingMessage): ReadableStream<Uint8Array> {
  const pieces: AsyncIterator<Uint8Array> = answer[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const step = await pieces.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value);
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
