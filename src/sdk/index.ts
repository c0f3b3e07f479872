/** The public face of the TypeScript client. */
export type { ErrorCode } from "../base/errors.ts";
export { CorvoError } from "../base/errors.ts";
export { RawJson } from "../base/json.ts";
export type { CallOptions, Client, ClientOptions, Fetch } from "./client.ts";
export { createClient } from "./client.ts";
export type { RetryPolicy } from "./retry.ts";
