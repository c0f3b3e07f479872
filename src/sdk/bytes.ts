/**
 * The operations of `api/bytes.ts` for clients: blobs go up and payloads come down as streams. A call that the server did not
 * get, or did not accept, is made on the next server of the list; content is given as a function, since a stream can be
 * sent once only.
 */
import { type BytesOperationName, bytesOperations } from "../api/bytes.ts";
import type { ClientOptions } from "./client.ts";
import { errorOfNetwork, errorOfResponse } from "./errors.ts";
import { ServerList } from "./servers.ts";

export interface KeptBlob {
  readonly hash: string;
  readonly bytes: number;
}

export interface BytesClient {
  /** Keeps content on a server, to be named as `payload_blob` or `result_blob` soon after. */
  upload(content: () => AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<KeptBlob>;
  /** The answer, whose body is the payload, the result, or the blob. */
  payload(jobId: string, signal?: AbortSignal): Promise<Response>;
  result(jobId: string, signal?: AbortSignal): Promise<Response>;
  blob(hash: string, signal?: AbortSignal): Promise<Response>;
}

export function createBytesClient(
  options: Pick<ClientOptions, "server" | "apiKey" | "fetch" | "timers">,
): BytesClient {
  const servers = new ServerList(options.server);
  const send = async (name: BytesOperationName, call: Sent): Promise<Response> => {
    const { method, path } = bytesOperations[name];
    const url = path.replace(/\{\w+\}/, encodeURIComponent(call.param ?? ""));
    await servers.findAwake(options, call.signal);
    for (let left = servers.count; ; left--) {
      const server = servers.current;
      const outcome = await sendOnce(options, server, { method, url, ...call });
      if (outcome instanceof Response) return outcome;
      if (left <= 1 || outcome.code !== "UNAVAILABLE") throw outcome;
      servers.moveOn();
    }
  };
  const signalOf = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });
  return {
    async upload(content, signal) {
      const answer = await send("uploadBlob", { content, ...signalOf(signal) });
      return (await answer.json()) as KeptBlob;
    },
    payload: (param, signal) => send("getPayload", { param, ...signalOf(signal) }),
    result: (param, signal) => send("getResult", { param, ...signalOf(signal) }),
    blob: (param, signal) => send("getBlob", { param, ...signalOf(signal) }),
  };
}

interface Sent {
  readonly param?: string;
  readonly content?: () => AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

async function sendOnce(
  options: Pick<ClientOptions, "apiKey" | "fetch">,
  server: string,
  call: Sent & { readonly method: string; readonly url: string },
) {
  const { method, url, content, signal } = call;
  const init: RequestInit = {
    method,
    headers: options.apiKey === undefined ? {} : { "x-api-key": options.apiKey },
    redirect: "manual",
  };
  // Content that cannot be given again is no failure of the network.
  if (content !== undefined) init.body = streamOf(content());
  if (signal !== undefined) init.signal = signal;
  try {
    const response = await options.fetch(new Request(server + url, init));
    return response.ok ? response : errorOfResponse(response, await response.text(), server + url);
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    // To keep the same content twice is to keep it once.
    return errorOfNetwork(cause, server, true).error;
  }
}

function streamOf(content: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = content[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const step = await iterator.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
