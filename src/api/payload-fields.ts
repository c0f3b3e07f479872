/** Schemas of payloads and results that are no JSON. */
import { Type } from "@sinclair/typebox";

/** Printable ASCII, as a header has it. */
export const ContentType = Type.String({
  description: "Content type of bytes. Default application/octet-stream.",
  pattern: "^[\\w!#$&^.+-]+/[\\w!#$&^.+-]+( *;[\\x20-\\x7e]*)?$",
  maxLength: 255,
});
export const BlobHash = Type.String({
  description: "SHA-256 of a blob in hex.",
  pattern: "^[0-9a-f]{64}$",
});

/** What is said of a payload that is not JSON; `payload` is null then. */
export const bytesFacts = {
  content_type: Type.Optional(Type.String()),
  payload_bytes: Type.Optional(Type.Integer()),
  /** Hash of the blob that the payload is; `GET /api/v1/jobs/{job_id}/payload` gives its bytes. */
  payload_blob: Type.Optional(Type.String()),
};
