/** Items of ack, fail, release, snooze and heartbeat calls, from the wire to the engine. Shared by HTTP and streaming. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import type {
  AckItem as AckSchema,
  FailItem as FailSchema,
  HeartbeatItem as HeartbeatSchema,
  ReleaseItem as ReleaseSchema,
  SnoozeItem as SnoozeSchema,
} from "../api/worker.ts";
import { CorvoError } from "../base/errors.ts";
import type {
  AckItem,
  FailItem,
  HeartbeatItem,
  RaisedPause,
  ReleaseItem,
  SnoozeItem,
} from "../engine/change.ts";
import type { Node } from "./node.ts";
import { resultForm } from "./packed-values.ts";
import { toDuration } from "./values.ts";
import { parseToken } from "./views.ts";

/** No job has this number: an item with an id that is none is answered NOT_FOUND by the engine, like any unknown one. */
const noSeq = 0;

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Leased {
  seq: number;
  token?: number;
}

function leased(node: Node, jobId: string, token: string | null | undefined): Leased {
  if (token != null) {
    return { seq: node.parseId(jobId)?.seq ?? noSeq, token: parseToken(token) };
  }
  if (node.options.requireLeaseToken) {
    throw new CorvoError("LEASE_TOKEN_REQUIRED", `no lease_token was sent for job "${jobId}"`);
  }
  // Without a token the id alone must be right, all of it.
  return { seq: node.tryFindJob(jobId)?.seq ?? noSeq };
}

export function toAck(node: Node, item: Static<typeof AckSchema>): AckItem {
  const ack: Writable<AckItem> = leased(node, item.job_id, item.lease_token);
  const result = resultForm(item);
  if (result !== undefined) ack.result = result;
  if (item.checkpoint != null) ack.checkpoint = item.checkpoint.text;
  if (item.output != null && item.output !== "") ack.output = tail(item.output);
  if (item.step_status === "exit") ack.exit = item.exit_reason ?? "";
  return ack;
}

export function toFail(node: Node, item: Static<typeof FailSchema>): FailItem {
  const fail: Writable<FailItem> = {
    ...leased(node, item.job_id, item.lease_token),
    error: cut(item.error),
  };
  if (item.backtrace != null) fail.backtrace = cut(item.backtrace);
  if (item.retryable === false) fail.retryable = false;
  if (item.delay != null) {
    if (item.keep_attempt === true) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        "delay: with keep_attempt the job comes again when the pause is over; give one of the two",
      );
    }
    fail.delayMs = toDuration("delay", item.delay);
  }
  if (item.error_class != null) fail.errorClass = item.error_class;
  if (item.output != null && item.output !== "") fail.output = tail(item.output);
  const pause = toPause(node, item);
  if (pause !== undefined) fail.pause = pause;
  if (item.keep_attempt === true) {
    if (pause === undefined) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        "keep_attempt: without a pause the job would fail again at once, for ever; give pause",
      );
    }
    fail.keepAttempt = true;
  }
  return fail;
}

export function toRelease(node: Node, item: Static<typeof ReleaseSchema>): ReleaseItem {
  const release: Writable<ReleaseItem> = leased(node, item.job_id, item.lease_token);
  if (item.delay != null) release.delayMs = toDuration("delay", item.delay);
  const pause = toPause(node, item);
  if (pause !== undefined) release.pause = pause;
  return release;
}

export function toSnooze(node: Node, item: Static<typeof SnoozeSchema>): SnoozeItem {
  const snooze: Writable<SnoozeItem> = {
    ...leased(node, item.job_id, item.lease_token),
    delayMs: toDuration("delay", item.delay),
  };
  if (item.checkpoint != null) snooze.checkpoint = item.checkpoint.text;
  return snooze;
}

/** The pause that a worker asks for with the end of its attempt. */
function toPause(node: Node, item: Static<typeof ReleaseSchema>): RaisedPause | undefined {
  const { pause, pause_scope, pause_resource } = item;
  const wrong = (message: string) => new CorvoError("VALIDATION_ERROR", message);
  if (pause == null) {
    if (pause_scope == null && pause_resource == null) return undefined;
    throw wrong("pause_scope, pause_resource: how long is not said; give pause");
  }
  const pauseMs = toDuration("pause", pause);
  const scope = pause_scope ?? (pause_resource == null ? "queue" : "resource");
  if ((scope === "resource") !== (pause_resource != null)) {
    throw wrong("pause_resource goes with pause_scope resource, and only with that");
  }
  if (pause_resource != null) node.refuseResourceElsewhere(pause_resource);
  return pause_resource == null ? { scope, pauseMs } : { scope, name: pause_resource, pauseMs };
}

export function toHeartbeat(node: Node, item: Static<typeof HeartbeatSchema>): HeartbeatItem {
  const heartbeat: Writable<HeartbeatItem> = leased(node, item.job_id, item.lease_token);
  if (item.lease_ms != null) heartbeat.leaseMs = item.lease_ms;
  if (item.progress != null) heartbeat.progress = item.progress.text;
  if (item.checkpoint != null) heartbeat.checkpoint = item.checkpoint.text;
  return heartbeat;
}

type AnyItem = AckItem & Partial<FailItem> & Partial<HeartbeatItem> & ReleaseItem;
type Item = AckItem | FailItem | HeartbeatItem | ReleaseItem | SnoozeItem;

/** Approximate size of items in the log. */
export function sizeOfItems(items: readonly Item[]): number {
  let bytes = 64;
  for (const item of items as readonly AnyItem[]) {
    bytes += 40 + (item.result?.length ?? 0) + (item.checkpoint?.length ?? 0);
    bytes += (item.output?.length ?? 0) + (item.progress?.length ?? 0);
    bytes += (item.error?.length ?? 0) + (item.backtrace?.length ?? 0);
  }
  return bytes;
}

function cut(text: string): string {
  if (text.length <= limits.errorLengthMax) return text;
  return `${text.slice(0, limits.errorLengthMax).toWellFormed()} … (cut; ${text.length} characters, errorLengthMax is ${limits.errorLengthMax})`;
}

/** The end of the output, where the reason of a failure stands. Counted in characters, so never more bytes than text. */
function tail(text: string): string {
  return text.length <= limits.outputBytesMax
    ? text
    : text.slice(text.length - limits.outputBytesMax).toWellFormed();
}
