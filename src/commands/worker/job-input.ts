/** What a job brings for the standard input of its handler: the JSON text, or the bytes that were sent. */
import type { JobRun } from "../../sdk/worker-run.ts";

/** A blob that a job names, as it comes from the server. Rejects when it cannot be had. */
export type OpenBlob = (hash: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;

export type JobInput =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "stream"; readonly content: AsyncIterable<Uint8Array> };

export async function openInput(run: JobRun, openBlob: OpenBlob): Promise<JobInput> {
  const { payload_blob: hash, payload_base64: base64 } = run.job;
  if (hash != null) return { kind: "stream", content: await openBlob(hash, run.signal) };
  const bytes =
    base64 == null ? new TextEncoder().encode(run.payload.text) : Buffer.from(base64, "base64");
  return { kind: "bytes", bytes };
}
