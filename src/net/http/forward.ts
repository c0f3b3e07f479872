/**
 * Passes calls on to the leader, so that a client may talk to any node. The request goes out as it came, and the answer
 * comes back as it is; both carry `X-Corvo-Forwarded`, and what has come from another node is never passed on again.
 *
 * A call whose connection breaks is answered UNAVAILABLE when nothing was sent or sending it twice does no harm, and
 * OUTCOME_UNKNOWN otherwise: the caller must know that the leader may have carried it out.
 */
import type { Operation } from "../../api/operation.ts";
import { CorvoError } from "../../base/errors.ts";
import { networkReasonOf, wasNeverSent } from "../../base/network-failure.ts";
import { fetchLong } from "../outbound/fetch-long.ts";
import { RequestContext } from "./admission.ts";
import type { Drain } from "./drain.ts";
import { forwardedHeader, isPassedOn, passedOn } from "./hops.ts";
import { splitUrl } from "./input.ts";
import type { Leadership, LeaderWatch } from "./leader-watch.ts";
import { cutShort, readBody } from "./read-body.ts";
import { errorReply } from "./reply.ts";
import type { RouteDeps } from "./route.ts";

/** Answers up to this are taken whole, which is cheaper and tells a broken one while it can still be told. */
const wholeAnswerBytesMax = 256 * 1024;

/** More than a lease token with its name in front. */
const tokenSpan = 64;
const utf8 = new TextDecoder();

/** An election is usually over after this. */
const noLeaderRetryMs = 250;

export interface ForwardDeps extends RouteDeps {
  readonly leadership: Leadership;
  readonly watch: LeaderWatch;
}

interface PassedCall {
  readonly operation: Operation;
  readonly leader: string;
  readonly signal: AbortSignal;
  readonly mayRepeat: boolean;
}

export class Forwarder {
  readonly #deps: ForwardDeps;

  constructor(deps: ForwardDeps) {
    this.#deps = deps;
  }

  /** On a node that does not lead: is this call for the leader? */
  isForLeader(operation: Operation, request: Request): boolean {
    if (!operation.read) return operation.answeredBy === "leader";
    const { query } = splitUrl(request.url);
    const consistency = query === "" ? null : new URLSearchParams(query).get("consistency");
    if (operation.answeredBy === "leader" && !operation.answersAlone)
      return consistency !== "stale";
    if (operation.answersAlone && consistency === "stale") return false;
    if (operation.answersAlone) return this.#knowsLeader(request);
    // What any node can answer is not refused for want of a leader.
    return consistency === "strong" && this.#knowsLeader(request);
  }

  #knowsLeader(request: Request): boolean {
    return !isPassedOn(request) && this.#deps.leadership.leaderUrl() !== undefined;
  }

  /** Where to pass this call on to. Throws when there is no such place. */
  target(request: Request): string {
    if (isPassedOn(request)) {
      throw new CorvoError(
        "UNAVAILABLE",
        "another node took this one for the leader, which it is not",
        { retryAfterMs: noLeaderRetryMs },
      );
    }
    const url = this.#deps.leadership.leaderUrl();
    if (url !== undefined) return url.replace(/\/+$/, "");
    throw new CorvoError("UNAVAILABLE", "no leader is known to this node at the moment", {
      retryAfterMs: noLeaderRetryMs,
      hint: "An election takes about a second. If this lasts, `corvo cluster status` says what is missing.",
    });
  }

  /** Like `Route.serve`: nothing is thrown past it. */
  async serve(operation: Operation, request: Request): Promise<Response> {
    const { clock, admission, explain } = this.#deps;
    const startMs = clock.monotonicMs();
    const held = { entered: false, bytes: 0, reading: false };
    const context = new RequestContext(request, admission);
    try {
      const leader = this.target(request);
      admission.enter();
      held.entered = true;
      let body: Uint8Array | undefined;
      if (request.method !== "GET" && request.method !== "HEAD") {
        held.reading = true;
        body = await readBody(request, this.#deps, held);
        held.reading = false;
      }
      const mayRepeat = operation.method === "GET" || operation.read || operation.waits;
      // A write is left to end within the grace period of a stop; what only waits is not.
      const signal = mayRepeat ? context.signal : request.signal;
      return await this.#pass(request, body, { operation, leader, signal, mayRepeat });
    } catch (thrown) {
      const error =
        held.reading && !(thrown instanceof CorvoError)
          ? cutShort(thrown)
          : explain(thrown, request);
      const reply = errorReply(error, clock.monotonicMs() - startMs);
      reply.headers.set(forwardedHeader, "1");
      return reply;
    } finally {
      context.end();
      admission.bodyBytes -= held.bytes;
      if (held.entered) admission.requests--;
    }
  }

  async #pass(request: Request, body: Uint8Array | undefined, call: PassedCall): Promise<Response> {
    const { leadership, watch, drain } = this.#deps;
    const { operation, leader, mayRepeat } = call;
    const replaced = new AbortController();
    // While nobody is known to lead, the same node may be elected again.
    const isStillLeader = () => {
      const url = leadership.leaderUrl()?.replace(/\/+$/, "");
      return !leadership.isLeader() && (url === undefined || url === leader);
    };
    const isOver = () => operation.claims && drain.isOn;
    const stopWatching = watch.whenOver(
      () => isStillLeader() && !isOver(),
      () => replaced.abort(new Error(isOver() ? "this node drains" : "another node leads now")),
    );
    const { path, query } = splitUrl(request.url);
    try {
      const ask = operation.waits ? fetchLong : fetch;
      const answer = await ask(leader + path + (query === "" ? "" : `?${query}`), {
        method: request.method,
        headers: passedOn(request.headers),
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.any([call.signal, replaced.signal]),
        redirect: "manual",
        // The bytes are passed on as they are, together with the header that says how they are coded.
        decompress: false,
      });
      const length = answer.headers.get("content-length");
      const isWhole = length !== null && Number(length) <= wholeAnswerBytesMax;
      const content = isWhole
        ? await answer.bytes()
        : operation.claims
          ? answer.body?.pipeThrough(noting(drain))
          : answer.body;
      if (operation.claims && content instanceof Uint8Array) drain.note(utf8.decode(content));
      const hasNone = answer.status === 204 || answer.status === 304;
      return new Response(hasNone ? null : (content ?? null), {
        status: answer.status,
        headers: passedOn(answer.headers),
      });
    } catch (cause) {
      if (call.signal.aborted && call.signal.reason instanceof CorvoError) {
        throw call.signal.reason;
      }
      throw brokenOff(leader, replaced.signal.aborted ? replaced.signal.reason : cause, mayRepeat);
    } finally {
      stopWatching();
    }
  }
}

/** Long answers pass in pieces. Those that give out work are looked through on their way, with what a cut could hide. */
function noting(drain: Drain): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  let tail = "";
  return new TransformStream({
    transform(chunk, controller) {
      const text = tail + decoder.decode(chunk, { stream: true });
      drain.note(text);
      tail = text.slice(-tokenSpan);
      controller.enqueue(chunk);
    },
  });
}

function brokenOff(leader: string, cause: unknown, mayRepeat: boolean): CorvoError {
  const reason = networkReasonOf(cause);
  if (mayRepeat || wasNeverSent(cause)) {
    return new CorvoError("UNAVAILABLE", `the leader at ${leader} cannot be reached: ${reason}`, {
      cause,
      retryAfterMs: noLeaderRetryMs,
    });
  }
  return new CorvoError(
    "OUTCOME_UNKNOWN",
    `the connection to the leader at ${leader} broke before its answer: ${reason}`,
    { cause },
  );
}
