/** Worker that owns the writing connection to the state database. Messages are handled one at a time, in order. */
import type { EventRetention } from "./event-rows.ts";
import { type Checkpoint, StateWriter } from "./state-writer.ts";

export type ToStateWorker =
  | { readonly kind: "open"; readonly path: string; readonly events: EventRetention }
  | { readonly kind: "write"; readonly id: number; readonly checkpoint: Checkpoint }
  | { readonly kind: "floors"; readonly done: number; readonly dead: number }
  | { readonly kind: "close" };

export type FromStateWorker =
  | { readonly kind: "opened" }
  | { readonly kind: "written"; readonly id: number }
  | { readonly kind: "closed" }
  /** `id` is the checkpoint that failed, if it was one. */
  | {
      readonly kind: "fault";
      readonly id: number | undefined;
      readonly code: string;
      readonly message: string;
    };

declare const self: Worker;

let writer: StateWriter | undefined;
let purging = false;

self.onmessage = (event: MessageEvent<ToStateWorker>) => {
  const message = event.data;
  const id = message.kind === "write" ? message.id : undefined;
  try {
    handle(message);
  } catch (error) {
    report(id, error);
  }
};

function handle(message: ToStateWorker): void {
  switch (message.kind) {
    case "open":
      writer = new StateWriter(message.path, message.events);
      send({ kind: "opened" });
      break;
    case "write":
      writer?.write(message.checkpoint);
      send({ kind: "written", id: message.id });
      break;
    case "floors":
      writer?.setFloors(message.done, message.dead);
      schedulePurge();
      break;
    case "close":
      try {
        writer?.close();
      } finally {
        writer = undefined;
        // Whoever stops waits for this, also when the file is broken: each checkpoint is durable since it was stored.
        send({ kind: "closed" });
      }
      break;
  }
}

/** One step per turn of the loop, so that a checkpoint that arrives meanwhile goes first. */
function schedulePurge(): void {
  if (purging) return;
  purging = true;
  setTimeout(function step() {
    try {
      purging = writer?.purgeStep() ?? false;
    } catch (error) {
      purging = false;
      report(undefined, error);
    }
    if (purging) setTimeout(step, 5);
  }, 5);
}

function report(id: number | undefined, error: unknown): void {
  const code = (error as { code?: string }).code ?? "UNKNOWN";
  send({
    kind: "fault",
    id,
    code,
    message: error instanceof Error ? error.message : String(error),
  });
}

function send(message: FromStateWorker): void {
  self.postMessage(message);
}
