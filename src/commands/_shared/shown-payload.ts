/** A payload on one line of a list: its JSON, or what the bytes are. */
import type { RawJson } from "../../base/json.ts";
import { formatBytes } from "./bytes.ts";

export function shownPayload(job: {
  readonly payload: RawJson | null;
  readonly content_type?: string | undefined;
  readonly payload_bytes?: number | undefined;
}): string {
  if (job.content_type === undefined) return job.payload?.text ?? "null";
  return `${job.content_type}, ${formatBytes(job.payload_bytes ?? 0)}`;
}
