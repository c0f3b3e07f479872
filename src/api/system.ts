/** Operations about the server itself. */
import { Type } from "@sinclair/typebox";
import { operation, readOperation } from "./operation.ts";

const Counts = Type.Record(Type.String(), Type.Integer());

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
      pending_proposals: Type.Integer(),
      waiting_workers: Type.Integer(),
    }),
  }),
};
