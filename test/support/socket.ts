/** Bytes over a plain socket, and frames over a WebSocket, for what `fetch` would tidy up. */

import { TypeCompiler } from "@sinclair/typebox/compiler";
import { AnswerFrame, PushFrame } from "../../src/api/stream.ts";

/** Sends bytes over a new connection; gives what came back once `done` says so, or when the server closed. */
export function exchange(
  origin: string,
  text: string | Uint8Array,
  done: (received: string) => boolean = (received) => received.includes("\r\n\r\n"),
): Promise<string> {
  const url = new URL(origin);
  let received = "";
  return new Promise((resolve, reject) => {
    Bun.connect({
      hostname: url.hostname,
      port: Number(url.port),
      socket: {
        open: (socket) => {
          socket.write(text);
        },
        data: (socket, data) => {
          received += data.toString();
          if (!done(received)) return;
          socket.end();
          resolve(received);
        },
        close: () => resolve(received),
        error: (_socket, error) => reject(error),
      },
    }).catch(reject);
  });
}

const answers = TypeCompiler.Compile(AnswerFrame);
const pushes = TypeCompiler.Compile(PushFrame);

export interface StreamClient {
  readonly socket: WebSocket;
  /** The next message that was not taken yet. */
  next(): Promise<Record<string, unknown>>;
  /** The code and reason the connection ended with. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** A WebSocket client of the streaming path; opened when this resolves. */
export function streamClient(origin: string): Promise<StreamClient> {
  const socket = new WebSocket(`${origin.replace("http", "ws")}/api/v1/stream`);
  const waiting: ((message: Record<string, unknown>) => void)[] = [];
  const messages: Record<string, unknown>[] = [];
  socket.onmessage = (event) => {
    const message = JSON.parse(String(event.data)) as Record<string, unknown>;
    if (!("id" in message ? answers : pushes).Check(message)) {
      throw new Error(`not a frame of the protocol: ${String(event.data)}`);
    }
    const take = waiting.shift();
    if (take === undefined) messages.push(message);
    else take(message);
  };
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = (event) => resolve({ code: event.code, reason: event.reason });
  });
  const next = () => {
    const message = messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise<Record<string, unknown>>((resolve) => waiting.push(resolve));
  };
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve({ socket, next, closed });
    socket.onerror = () => reject(new Error("the WebSocket did not open"));
  });
}
