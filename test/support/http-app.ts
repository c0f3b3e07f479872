/**
 * An HTTP app with small handlers of the test's choosing. Operations that a test does not name answer NOT_FOUND; every
 * input that reaches a handler is kept, so that a test can say that nothing did.
 */
import type { EventFeed } from "../../src/api/events.ts";
import { type Handlers, type OperationName, operations } from "../../src/api/operations.ts";
import type { StreamService } from "../../src/api/stream.ts";
import type { AssertionError } from "../../src/base/assert.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { type App, createApp } from "../../src/net/http/app.ts";
import { type BlobAccess, refusingBlobs } from "../../src/net/http/blob-access.ts";
import { Drain } from "../../src/net/http/drain.ts";
import type { Leadership } from "../../src/net/http/leader-watch.ts";
import { defaultHttpLimits, type HttpLimits } from "../../src/net/http/limits.ts";

export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

export interface HttpFixture extends AsyncDisposable {
  readonly app: App;
  readonly calls: { readonly name: OperationName; readonly input: unknown }[];
  readonly lines: LoggedLine[];
  readonly bugs: AssertionError[];
  /** Starts to listen on the loopback address and gives the origin. */
  listen(): string;
}

interface FixtureOptions {
  readonly handlers?: Partial<Handlers>;
  readonly stream?: StreamService;
  readonly events?: EventFeed;
  readonly limits?: Partial<HttpLimits>;
  /** Default: the node leads. */
  readonly forward?: Leadership;
  readonly drain?: Drain;
  readonly blobs?: BlobAccess;
}

/** Sessions that answer each frame with its id. */
const echoIds: StreamService = {
  open: () => ({
    frame: async (frame) => JSON.stringify({ id: frame.id }),
    drained() {},
    stopClaiming() {},
    close() {},
  }),
};

const noEvents: EventFeed = {
  open() {
    throw new CorvoError("UNAVAILABLE", "this app has no events");
  },
};

export function httpFixture(options: FixtureOptions = {}): HttpFixture {
  const calls: HttpFixture["calls"] = [];
  const lines: LoggedLine[] = [];
  const bugs: AssertionError[] = [];
  const log = (level: string) => (message: string, fields?: LoggedLine["fields"]) => {
    lines.push({ level, message, fields });
  };
  const app = createApp({
    handlers: recording(options.handlers ?? {}, calls),
    stream: options.stream ?? echoIds,
    events: options.events ?? noEvents,
    forward: options.forward ?? { isLeader: () => true, leaderUrl: () => undefined },
    drain:
      options.drain ??
      new Drain({ tokenOf: () => -1, streamLeases: () => [], isLive: () => false }),
    blobs: options.blobs ?? refusingBlobs(() => new CorvoError("BLOB_NOT_FOUND", "no blobs here")),
    metrics: () => Promise.resolve("corvo_up 1\n"),
    limits: { ...defaultHttpLimits, ...options.limits },
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
    timers: {
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    onBug: (error) => bugs.push(error),
  });
  return {
    app,
    calls,
    lines,
    bugs,
    listen: () => app.listen("127.0.0.1", 0),
    [Symbol.asyncDispose]: () => app.stop(0),
  };
}

function recording(given: Partial<Handlers>, calls: HttpFixture["calls"]): Handlers {
  const all: Record<string, unknown> = {};
  for (const name of Object.keys(operations) as OperationName[]) {
    const handler = given[name] as ((input: unknown, context: unknown) => unknown) | undefined;
    all[name] = (input: unknown, context: unknown) => {
      calls.push({ name, input });
      if (handler !== undefined) return handler(input, context);
      return Promise.reject(new CorvoError("NOT_FOUND", `nothing behind ${name}`));
    };
  }
  return all as unknown as Handlers;
}
