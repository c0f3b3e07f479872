/**
 * What is being served at this moment, against its bounds, and the signals by which it is told to end. A long poll ends
 * early for three reasons: its caller has gone away, the server stops, or it does not lead any more.
 */
import type { CallContext } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { HttpLimits } from "./limits.ts";

/** Counts what is being served, against its bounds. */
export class Admission {
  requests = 0;
  bodyBytes = 0;
  /** Set while the server stops: nothing new is let in. */
  closing = false;
  /** Of the requests that asked for their signal. */
  readonly signals = new Set<AbortController>();
  readonly #limits: HttpLimits;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /** Lets nothing new in and ends every wait. */
  close(): void {
    this.closing = true;
    for (const controller of this.signals) controller.abort(stopping());
  }

  enter(): void {
    if (this.closing) throw stopping();
    if (this.requests >= this.#limits.requestsMax) {
      throw new CorvoError(
        "OVERLOADED",
        `${this.requests} requests are being served; the limit requestsMax is ${this.#limits.requestsMax}`,
      );
    }
    this.requests++;
  }

  /** Takes room for body bytes, which the taker gives back when it has answered. */
  takeBytes(bytes: number): void {
    if (this.bodyBytes + bytes > this.#limits.bodiesBytesMax) {
      throw new CorvoError(
        "OVERLOADED",
        `bodies of ${this.bodyBytes} bytes are being served; the limit bodiesBytesMax is ${this.#limits.bodiesBytesMax}`,
      );
    }
    this.bodyBytes += bytes;
  }
}

/** The error for whatever comes while the server stops. */
export function stopping(): CorvoError {
  return new CorvoError("UNAVAILABLE", "the server is shutting down");
}

/** Calls back once when this node stops leading, or drains, until the returned function is called. */
export type WhenNotLeading = (request: Request, callback: () => void) => () => void;

/** The signal is made when it is asked for: most handlers never do, and it costs more than all else here. */
export class RequestContext implements CallContext {
  readonly #request: Request;
  readonly #admission: Admission;
  readonly #whenNotLeading: WhenNotLeading | undefined;
  #controller: AbortController | undefined;
  #stopWatching: (() => void) | undefined;

  /** With `whenNotLeading` the signal also tells when this node stops leading: what a call waits for will not come then. */
  constructor(request: Request, admission: Admission, whenNotLeading?: WhenNotLeading) {
    this.#request = request;
    this.#admission = admission;
    this.#whenNotLeading = whenNotLeading;
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    const caller = this.#request.signal;
    if (this.#admission.closing) controller.abort(stopping());
    else if (caller.aborted) controller.abort(callerGone());
    caller.addEventListener("abort", () => controller.abort(callerGone()), { once: true });
    this.#admission.signals.add(controller);
    this.#stopWatching = this.#whenNotLeading?.(this.#request, () =>
      controller.abort(notLeading()),
    );
    return controller.signal;
  }

  /** A header of the request. */
  header(name: string): string | null {
    return this.#request.headers.get(name);
  }

  end(): void {
    if (this.#controller === undefined) return;
    this.#admission.signals.delete(this.#controller);
    this.#stopWatching?.();
  }
}

function notLeading(): CorvoError {
  return new CorvoError("UNAVAILABLE", "this node does not lead any more", { retryAfterMs: 100 });
}

function callerGone(): CorvoError {
  return new CorvoError("UNAVAILABLE", "the caller went away");
}
