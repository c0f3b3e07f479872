/** Backups of the node that is asked: each has the jobs of all shards, and first waits for what was acknowledged elsewhere. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { operation, Pieces } from "./operation.ts";

export const backupOperations = {
  createBackup: operation({
    method: "GET",
    path: "/api/v1/backup",
    tag: "system",
    placement: "node",
    summary:
      "Everything that was acknowledged before the call, in one file; `corvo restore` reads it",
    query: Type.Object({
      queues: Type.Optional(
        Type.String({
          description: "Only these queues with their jobs and settings, separated by commas.",
          maxLength: limits.cursorLengthMax,
        }),
      ),
    }),
    result: Pieces("The backup, as docs/operations/backup.md describes it."),
    produces: "application/octet-stream",
    answeredBy: "any",
    errors: ["NOT_FOUND"],
  }),
};
