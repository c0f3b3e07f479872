/** The public face of the TypeScript client. */
export type { ErrorCode } from "../base/errors.ts";
export { CorvoError } from "../base/errors.ts";
export { RawJson } from "../base/json.ts";
export type { BytesClient, KeptBlob } from "./bytes.ts";
export { createBytesClient } from "./bytes.ts";
export type { CallInput, CallOptions, Client, ClientOptions, Fetch } from "./client.ts";
export { createClient } from "./client.ts";
export type { EventsOptions, ReceivedEvent } from "./events.ts";
export { readEvents } from "./events.ts";
export type { RetryPolicy } from "./retry.ts";
export type { Stream, StreamEvents, StreamOptions } from "./stream.ts";
export { openStream } from "./stream.ts";
export type { Worker, WorkerOptions } from "./worker.ts";
export { createWorker } from "./worker.ts";
export type { WorkerReport } from "./worker-reports.ts";
export type { Handler, JobOutcome, JobRun, StopReason } from "./worker-run.ts";
export { RunStopped } from "./worker-run.ts";
