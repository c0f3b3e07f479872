/** Operations about the server itself. */
import { Type } from "@sinclair/typebox";
import { operation, readOperation } from "./operation.ts";

const Counts = Type.Record(Type.String(), Type.Integer());

const DrainState = Type.Object({
  node_id: Type.String(),
  state: Type.String({
    description:
      "serving, draining, or drained: then the node can be stopped without a loss of work.",
  }),
  leases: Type.Integer({ description: "Leases that went out through this node and still live." }),
  leads: Type.Boolean({ description: "It still leads, for want of another voter that could." }),
});

export const systemOperations = {
  health: operation({
    method: "GET",
    path: "/healthz",
    tag: "system",
    placement: "node",
    summary: "200 while the server accepts work, 503 otherwise",
    result: Type.Object({ status: Type.String(), reason: Type.Optional(Type.String()) }),
    errors: ["UNAVAILABLE", "READ_ONLY"],
    answeredBy: "any",
  }),
  ready: operation({
    method: "GET",
    path: "/readyz",
    tag: "system",
    placement: "node",
    summary: "200 while clients should be sent to this node: it is healthy, and not draining",
    result: Type.Object({ status: Type.String(), reason: Type.Optional(Type.String()) }),
    errors: ["UNAVAILABLE", "READ_ONLY"],
    answeredBy: "any",
  }),
  drainNode: operation({
    method: "POST",
    path: "/api/v1/node/drain",
    tag: "system",
    placement: "node",
    summary:
      "Let this node give out no more work, and hand leadership away; ask again to see how far it is",
    result: DrainState,
    answeredBy: "any",
  }),
  resumeNode: operation({
    method: "POST",
    path: "/api/v1/node/resume",
    tag: "system",
    placement: "node",
    summary: "Let this node give out work again",
    result: DrainState,
    answeredBy: "any",
  }),
  info: operation({
    method: "GET",
    path: "/api/v1/info",
    tag: "system",
    placement: "node",
    summary: "Versions",
    result: Type.Object({
      server_version: Type.String(),
      api_version: Type.String(),
      commit: Type.String(),
      node_id: Type.String(),
    }),
    answeredBy: "any",
  }),
  status: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/status",
    tag: "system",
    placement: "parts",
    summary: "What the server holds and does, in one look",
    result: Type.Object({
      server_version: Type.String(),
      node_id: Type.String(),
      mode: Type.String(),
      role: Type.String(),
      cluster_id: Type.String(),
      /** How the cluster is, and what to do about it. */
      cluster: Type.String(),
      started_at: Type.String(),
      uptime_ms: Type.Integer(),
      durability: Type.String(),
      read_only: Type.Boolean(),
      queues: Type.Integer(),
      queues_paused: Type.Integer(),
      jobs: Counts,
      applied_index: Type.Integer(),
      checkpoint_index: Type.Integer(),
      log_bytes: Type.Integer(),
      state_bytes: Type.Integer(),
      memory_bytes: Type.Integer(),
      /** Bytes of jobs and blobs on this node, and its bound on them. */
      disk_used_bytes: Type.Optional(Type.Integer()),
      disk_budget_bytes: Type.Optional(Type.Integer()),
      /** Why this node takes no new payloads at the moment. */
      disk_full: Type.Optional(Type.String()),
      pending_proposals: Type.Integer(),
      waiting_workers: Type.Integer(),
      /** Messages to webhooks and results of jobs. Servers before 0.6 do not say it. */
      deliveries: Type.Optional(
        Type.Object({
          waiting: Type.Integer(),
          oldest_waiting_at: Type.Optional(Type.String()),
          delivered: Type.Integer(),
          failed: Type.Integer({ description: "Given up." }),
          missed: Type.Integer({ description: "Events for which there was no room." }),
        }),
      ),
      /** Servers before 0.6 do not say it. */
      events: Type.Optional(
        Type.Object({
          last: Type.Integer({ description: "Life-cycle events that were counted." }),
          readers: Type.Integer({ description: "Open streams of events of this node." }),
          lag: Type.Integer({ description: "Events that the slowest of them has not taken." }),
        }),
      ),
      /** Absent when the server keeps none. */
      text_index: Type.Optional(
        Type.Object({
          bytes: Type.Integer(),
          behind: Type.Integer({ description: "Numbers of jobs that it has not come to yet." }),
        }),
      ),
      /** Where there are several; the counts and sizes are then of all of them, the indexes added up. */
      shards: Type.Optional(Type.Integer()),
      messages_waiting: Type.Optional(
        Type.Integer({
          description:
            "What shards have written for each other and is not known to be taken. More than a few for long: a shard has no leader.",
        }),
      ),
    }),
  }),
};
