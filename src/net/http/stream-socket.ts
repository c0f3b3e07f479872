/** What the two kinds of streaming connections have in common: the socket to the client, and how it is closed. */
import type { ServerWebSocket } from "bun";
import { decodeUtf8 } from "./body.ts";

export type ClientSocket = ServerWebSocket<OpenStream>;

/** A streaming connection, as the runtime's events reach it. */
export interface OpenStream {
  opened(socket: ClientSocket): void;
  received(message: string | Buffer): void;
  drained(): void;
  closed(): void;
  announceClosing(): void;
  /** Sends what is waiting and closes. */
  end(code: number, reason: string): void;
}

/** Status codes of RFC 6455 section 7.4.1. */
export const closeCodes = {
  goingAway: 1001,
  binary: 1003,
  notJson: 1007,
  noId: 1008,
  failed: 1011,
  restart: 1012,
} as const;

/** A client that was asked to connect again and is still there then is disconnected. */
export const leaveMs = 1000;

/** A close reason has at most 123 bytes of UTF-8. */
export function cutReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= 123) return reason;
  let end = 123;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return decodeUtf8(bytes.subarray(0, end));
}
