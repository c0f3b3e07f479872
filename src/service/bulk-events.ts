/**
 * The progress of a bulk action as server-sent events: one when it is looked at first, then at most five in a second while it gets
 * on, and one at its end, after which there are none. Each event is one piece, since there are readers that look at pieces alone.
 */
import type { Timers } from "../base/ports.ts";
import type { BulkView } from "./bulk-handlers.ts";

interface BulkSource {
  readonly view: () => Promise<BulkView>;
  /** Calls back when the action may have got on, until the returned function is called. */
  readonly watch: (changed: () => void) => () => void;
  readonly timers: Timers;
  readonly signal: AbortSignal;
}

/** Between two events. */
const pauseMs = 200;
const keepAliveMs = 15_000;

/** Ends early when the signal does: the reader connects again, and then to whoever leads. */
export async function* bulkEvents({ view, watch, timers, signal }: BulkSource) {
  const bell = new Bell(timers);
  const stop = watch(() => bell.ring());
  signal.addEventListener("abort", () => bell.ring(), { once: true });
  try {
    for (let number = 1; !signal.aborted; number++) {
      bell.isRung = false;
      const now = await view();
      if (now.finished_at !== undefined) {
        yield eventOf(number, now.status === "completed" ? "completed" : "failed", now);
        return;
      }
      yield eventOf(number, number === 1 ? "started" : "progress", now);
      await new Promise<void>((resolve) => timers.after(pauseMs, resolve));
      while (!signal.aborted && !(await bell.rings(keepAliveMs))) yield ":keepalive\n\n";
    }
  } finally {
    stop();
  }
}

/** Waits for something that may have happened already. One waits at a time. */
class Bell {
  isRung = false;
  readonly #timers: Timers;
  #wake: (() => void) | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  ring(): void {
    this.isRung = true;
    this.#wake?.();
  }

  /** False when the time is over. */
  rings(withinMs: number): Promise<boolean> {
    if (this.isRung) return Promise.resolve(true);
    return new Promise((resolve) => {
      const cancel = this.#timers.after(withinMs, () => {
        this.#wake = undefined;
        resolve(false);
      });
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve(true);
      };
    });
  }
}

function eventOf(
  number: number,
  kind: "started" | "progress" | "completed" | "failed",
  view: BulkView,
): string {
  const { id, status, affected, processed, total, error, created_at } = view;
  const type = `bulk.async.${kind}`;
  const percent = total === 0 ? 100 : Math.min(100, Math.floor((processed * 100) / total));
  const known = { affected, total, processed, percent, ...(error === undefined ? {} : { error }) };
  const head = JSON.stringify({ type, task_id: id, status, ...known });
  // Nanoseconds since 1970 are too large for a number of the language.
  const data = `${head.slice(0, -1)},"created_at_ns":${Date.parse(created_at)}000000}`;
  return `id: ${number}\nevent: ${type}\ndata: ${data}\n\n`;
}
