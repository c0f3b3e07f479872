/** `--reason`, for the actions that keep one with the job. */

import { UsageError } from "./exit.ts";
import type { ActionRequest } from "./job-action.ts";

export const reasonArgs = {
  reason: {
    type: "string",
    valueHint: "TEXT",
    mayBeEmpty: true,
    description: "Shown with the job; for one id.",
  },
} as const;

export function requestWithReason(
  ids: readonly string[],
  values: Readonly<Record<string, unknown>>,
): ActionRequest {
  const reason = values["reason"];
  if (typeof reason !== "string") return { ids, single: {}, bulk: {} };
  if (ids.length !== 1) {
    throw new UsageError(
      "--reason is for one job",
      "Name exactly one id, or leave the reason out.",
    );
  }
  return { ids, single: { reason }, bulk: {} };
}
