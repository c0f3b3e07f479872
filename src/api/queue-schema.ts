/** A queue as clients see it. */
import { Type } from "@sinclair/typebox";

export const Queue = Type.Object({
  name: Type.String(),
  paused: Type.Boolean(),
  /** It takes no new jobs. */
  draining: Type.Optional(Type.Boolean()),
  created_at: Type.String(),
  pending: Type.Integer(),
  active: Type.Integer(),
  held: Type.Integer(),
  completed: Type.Integer(),
  dead: Type.Integer(),
  scheduled: Type.Integer(),
  retrying: Type.Integer(),
  cancelled: Type.Integer(),
  /** All jobs of the queue that are kept. */
  enqueued: Type.Integer(),
  failed: Type.Integer(),
  oldest_pending_at: Type.Optional(Type.String()),
  /** Of the payloads and results of its jobs, as they are kept. */
  bytes: Type.Integer(),
  max_bytes: Type.Optional(Type.Integer()),
  keep_bytes: Type.Optional(Type.Integer()),
  max_concurrency: Type.Optional(Type.Integer()),
  rate_limit: Type.Optional(Type.Integer()),
  rate_window_ms: Type.Optional(Type.Integer()),
});
