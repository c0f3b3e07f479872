/**
 * Worker that keeps the index of texts up with the state. It works in small steps when it is told that the state advanced,
 * and rests within them every millisecond: as long as it worked when there is nothing else to do, and many times that while
 * many rows are being written. Its thread has the lowest priority besides, so it takes what processor time others leave. The
 * rests come that often because some kernels let a thread run on until their next tick (4 ms), whoever is awake.
 */
import { existsSync, statfsSync } from "node:fs";
import { setPriority } from "node:os";
import { dirname } from "node:path";
import { TextIndexer } from "./text-indexer.ts";
import type { TextPosition } from "./text-schema.ts";

export type ToTextWorker =
  /** `stops[0]` is 1 from the moment when nobody needs it any more, and whoever waits for that is woken. */
  | {
      readonly kind: "open";
      readonly path: string;
      readonly statePath: string;
      readonly stops: Int32Array<SharedArrayBuffer>;
    }
  /** The state advanced, by so many rows. */
  | { readonly kind: "advanced"; readonly rows: number }
  | { readonly kind: "close" };

export type FromTextWorker =
  | { readonly kind: "opened"; readonly position: TextPosition }
  | { readonly kind: "moved"; readonly position: TextPosition; readonly isBehind: boolean }
  | { readonly kind: "closed" }
  | { readonly kind: "fault"; readonly message: string };

declare const self: Worker;

/** Rows of one checkpoint from which on others need the machine. */
const busyRows = 1000;
const burstMs = 1;
const idleRest = 1;
const busyRest = 8;
/** How long after a busy checkpoint the rests are still long. */
const busyMs = 3000;
/** Between two looks at parts for jobs that are gone. */
const tidyEveryMs = 10_000;
const retryMs = 30_000;
/** The log and the state need this space more. */
const freeBytesMin = 512 * 1024 * 1024;

let indexer: TextIndexer | undefined;
let path = "";
let stops = new Int32Array(new SharedArrayBuffer(4));
let timer: ReturnType<typeof setTimeout> | undefined;
let busyUntilMs = 0;
let restedAtMs = 0;
let tidiedAtMs = 0;

self.onmessage = (event: MessageEvent<ToTextWorker>) => {
  const message = event.data;
  switch (message.kind) {
    case "open":
      yieldToOthers();
      path = message.path;
      stops = message.stops;
      // What this throws ends the thread, which its owner starts again later.
      indexer = new TextIndexer(message.path, message.statePath, { breathe });
      send({ kind: "opened", position: indexer.position });
      schedule(0);
      break;
    case "advanced":
      if (message.rows >= busyRows) busyUntilMs = performance.now() + busyMs;
      if (timer === undefined) schedule(0);
      break;
    case "close":
      clearTimeout(timer);
      indexer?.close();
      indexer = undefined;
      send({ kind: "closed" });
      break;
  }
};

/** Where that is said of a thread; elsewhere it would be said of the whole process. */
function yieldToOthers(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, 19);
  } catch {
    // A sandbox may forbid it; the rests between steps remain.
  }
}

function schedule(restMs: number): void {
  timer = setTimeout(() => {
    timer = undefined;
    work();
  }, restMs);
}

function work(): void {
  if (indexer === undefined) return;
  const startedMs = performance.now();
  restedAtMs = startedMs;
  try {
    if (!hasRoom()) {
      send({ kind: "fault", message: "there is less than 512 MiB free; it waits" });
      schedule(retryMs);
      return;
    }
    const isBehind = indexer.step();
    const isTidying = !isBehind && startedMs - tidiedAtMs >= tidyEveryMs;
    const isUntidy = isTidying && indexer.tidyStep();
    if (isTidying && !isUntidy) tidiedAtMs = startedMs;
    send({ kind: "moved", position: indexer.position, isBehind });
    if (isBehind || isUntidy) schedule(restMs());
  } catch (error) {
    fault(error);
    schedule(retryMs);
  }
}

/** No message comes in meanwhile, but whoever stops the thread ends its rests: the step is done soon then. */
function breathe(): void {
  if (performance.now() - restedAtMs < burstMs) return;
  Atomics.wait(stops, 0, 0, restMs());
  restedAtMs = performance.now();
}

function restMs(): number {
  const nowMs = performance.now();
  return (nowMs - restedAtMs) * (nowMs < busyUntilMs ? busyRest : idleRest);
}

function hasRoom(): boolean {
  const folder = dirname(path);
  if (!existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize >= freeBytesMin;
}

function fault(error: unknown): void {
  send({ kind: "fault", message: error instanceof Error ? error.message : String(error) });
}

function send(message: FromTextWorker): void {
  self.postMessage(message);
}
