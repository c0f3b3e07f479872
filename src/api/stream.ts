/**
 * Frames of the streaming protocol (`docs/spec/streaming.md`): a WebSocket at `/api/v1/stream`, one JSON document per
 * text frame. One client frame may carry many operations; they become durable together and are answered together.
 */
import { type Static, Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { ClaimedJob, EnqueueResult, ItemResult, Maybe, NewJob } from "./schemas.ts";
import {
  AckItem,
  ClaimRequest,
  FailItem,
  HeartbeatItem,
  ReleaseItem,
  SnoozeItem,
} from "./worker.ts";

export const streamPath = "/api/v1/stream";

/** Client to server. `id` comes back in the answer; a frame without any operation is a ping. */
export const ClientFrame = Type.Object({
  id: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  enqueue: Maybe(Type.Array(NewJob, { maxItems: limits.enqueueJobsMax })),
  ack: Maybe(Type.Array(AckItem, { maxItems: limits.batchItemsMax })),
  fail: Maybe(Type.Array(FailItem, { maxItems: limits.batchItemsMax })),
  release: Maybe(Type.Array(ReleaseItem, { maxItems: limits.batchItemsMax })),
  snooze: Maybe(Type.Array(SnoozeItem, { maxItems: limits.batchItemsMax })),
  heartbeat: Maybe(Type.Array(HeartbeatItem, { maxItems: limits.batchItemsMax })),
  claim: Maybe(ClaimRequest),
});
export type ClientFrame = Static<typeof ClientFrame>;

/** Server to client, answering the frame with the same `id`. Each list has one entry per item sent, in order. */
export const AnswerFrame = Type.Object({
  id: Type.Integer(),
  enqueue: Type.Optional(Type.Array(Type.Union([EnqueueResult, ItemResult]))),
  ack: Type.Optional(Type.Array(ItemResult)),
  fail: Type.Optional(Type.Array(ItemResult)),
  release: Type.Optional(Type.Array(ItemResult)),
  snooze: Type.Optional(Type.Array(ItemResult)),
  heartbeat: Type.Optional(Type.Array(ItemResult)),
  /** Something was refused: the operations that the answer does not list did not happen, nor did the claim. */
  error: Type.Optional(Type.String()),
  code: Type.Optional(Type.String()),
  hint: Type.Optional(Type.String()),
  details: Type.Optional(Type.Unknown()),
  retry_after_ms: Type.Optional(Type.Integer()),
});
export type AnswerFrame = Static<typeof AnswerFrame>;

/** Server to client at any time: jobs within the credits, leases that ended, and the wish to end. */
export const PushFrame = Type.Object({
  jobs: Type.Optional(Type.Array(ClaimedJob)),
  /** Jobs of this connection that must be stopped: `cancel` or `lost`. */
  revoked: Type.Optional(
    Type.Array(
      Type.Object({ job_id: Type.String(), lease_token: Type.String(), reason: Type.String() }),
    ),
  ),
  /** What an operator asks of the worker: `quiet`, take no more jobs; `stop`, finish and end; `work`, go on. */
  order: Type.Optional(Type.String()),
  /** The server is shutting down: finish, send what is left, connect again. */
  closing: Type.Optional(Type.Boolean()),
});
export type PushFrame = Static<typeof PushFrame>;

/** One streaming connection as the service sees it; made per socket, fed with checked frames. */
export interface StreamSession {
  /** Carries out one frame. The answer is the JSON text to send. Never rejects. */
  frame(frame: ClientFrame): Promise<string>;
  /** The socket has room again after `push` returned false. */
  drained(): void;
  /** No more jobs, whatever was asked for; everything else goes on. */
  stopClaiming(): void;
  /** The socket is gone: no more pushes. */
  close(): void;
}

export interface StreamService {
  /**
   * `push` takes one JSON text to send. It returns false when the socket's buffer is full (the text is still sent):
   * push no more jobs until `drained` is called. With `isPassedOn` the client is connected to another node.
   */
  open(push: (text: string) => boolean, isPassedOn?: boolean): StreamSession;
}
