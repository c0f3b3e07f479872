/**
 * Life-cycle events as an endless iteration that outlasts connections and servers: when one is lost, the next is asked to go
 * on after the last event that was given out, so nothing is missed and nothing comes twice.
 *
 * A connection is taken for dead when it says nothing for `silentMs`, more than twice as long as a server ever does. Silence
 * is measured by a timer that each piece of the answer sets anew.
 */
import { Event, eventsPath } from "../api/events.ts";
import { requestLimits } from "../api/limits.ts";
import { rawTreeOf } from "../api/operation.ts";
import { CorvoError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import type { Random, Timers } from "../base/ports.ts";
import type { Fetch } from "./client.ts";
import { errorOfNetwork, errorOfResponse } from "./errors.ts";
import { abortReason, pause, retryDelayMs } from "./retry.ts";
import { ServerList } from "./servers.ts";

export interface EventsOptions {
  /** One address, or several of one cluster separated by commas. */
  readonly server: string;
  readonly apiKey?: string;
  readonly fetch: Fetch;
  readonly timers: Timers;
  readonly random: Random;
  /** Id of the event to go on after; "0" begins with the oldest that is kept. Default: what comes from now on. */
  readonly after?: string;
  readonly queues?: readonly string[];
  readonly types?: readonly string[];
  readonly jobIds?: readonly string[];
  /** Ends the iteration, which then throws the reason. */
  readonly signal?: AbortSignal;
  /** Hears of lost connections; each is made again after a pause. */
  readonly onLoss?: (error: CorvoError, retryMs: number) => void;
  /** Silence after which a connection is given up. Default 40 s. */
  readonly silentMs?: number;
}

export interface ReceivedEvent {
  /** To go on after it. */
  readonly id: string;
  /** `gap` says that events were missed, because the server does not keep them any more. */
  readonly event: Event;
}

const silentMsDefault = 40_000;
/** A pause grows up to this, and never ends the iteration. */
const retry = { attemptsMax: Number.POSITIVE_INFINITY, baseDelayMs: 100, delayMsMax: 5000 };
const eventTree = rawTreeOf(Event);

export async function* readEvents(options: EventsOptions): AsyncGenerator<ReceivedEvent, never> {
  const servers = new ServerList(options.server);
  let after = options.after;
  let failures = 0;
  for (;;) {
    const parser = new SseParser(after);
    let error: CorvoError;
    try {
      for await (const text of connect(servers.current, after, options)) {
        failures = 0;
        for (const received of parser.take(text)) yield received;
        after = parser.position;
      }
      error = new CorvoError("UNAVAILABLE", `${servers.current} ended the stream of events`);
    } catch (thrown) {
      if (options.signal?.aborted) throw abortReason(options.signal);
      error =
        thrown instanceof CorvoError ? thrown : errorOfNetwork(thrown, servers.current, true).error;
      if (!error.retryable) throw error;
    }
    servers.moveOn();
    const retryMs = retryDelayMs(retry, options.random, ++failures, undefined) ?? retry.delayMsMax;
    options.onLoss?.(error, retryMs);
    await pause(options.timers, retryMs, options.signal);
  }
}

/** The pieces of one answer, as text. */
async function* connect(
  server: string,
  after: string | undefined,
  options: EventsOptions,
): AsyncGenerator<string, void> {
  const silence = new AbortController();
  const silentMs = options.silentMs ?? silentMsDefault;
  let stop = () => {};
  const listen = () => {
    stop();
    stop = options.timers.after(silentMs, () =>
      silence.abort(new Error(`nothing was heard for ${silentMs} ms`)),
    );
  };
  const signals = options.signal === undefined ? [] : [options.signal];
  const url = `${server}${eventsPath}${queryOf(after, options)}`;
  listen();
  try {
    const response = await options.fetch(
      new Request(url, {
        headers: {
          accept: "text/event-stream",
          ...(options.apiKey === undefined ? {} : { "x-api-key": options.apiKey }),
        },
        redirect: "manual",
        signal: AbortSignal.any([silence.signal, ...signals]),
      }),
    );
    if (!response.ok || response.body === null) {
      throw errorOfResponse(response, await response.text(), url);
    }
    const decoder = new TextDecoder();
    for await (const chunk of response.body) {
      listen();
      yield decoder.decode(chunk, { stream: true });
    }
  } catch (thrown) {
    throw silence.signal.aborted ? silence.signal.reason : thrown;
  } finally {
    stop();
    silence.abort();
  }
}

function queryOf(after: string | undefined, { queues, types, jobIds }: EventsOptions): string {
  const query = new URLSearchParams();
  if (after !== undefined) query.set("last_event_id", after);
  for (const [name, values] of [
    ["queues", queues],
    ["types", types],
    ["job_ids", jobIds],
  ] as const) {
    if (values !== undefined && values.length > 0) query.set(name, values.join(","));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** Reads server-sent events, in whatever pieces they come. */
class SseParser {
  #rest = "";
  #id: string | undefined;
  #data: string | undefined;
  /** Where to go on: after the last whole event, or where a server said that it stands. */
  position: string | undefined;

  constructor(position: string | undefined) {
    this.position = position;
  }

  take(text: string): ReceivedEvent[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    const received: ReceivedEvent[] = [];
    for (const line of lines) {
      if (line.startsWith("id: ")) this.#id = line.slice(4);
      else if (line.startsWith("data: ")) this.#data = line.slice(6);
      else if (line.startsWith(":keepalive ")) this.position = line.slice(11);
      else if (line === "") received.push(...this.#finish());
    }
    return received;
  }

  #finish(): ReceivedEvent[] {
    const [id, data] = [this.#id, this.#data];
    this.#id = undefined;
    this.#data = undefined;
    if (id === undefined || data === undefined) return [];
    const parsed = parseJson(data, eventTree, requestLimits.jsonDepthMax);
    if (!parsed.ok) {
      throw new CorvoError("INTERNAL_ERROR", `an event that is not JSON: ${parsed.message}`, {
        hint: "Is this the address of a Corvo server, and of no proxy before it?",
      });
    }
    this.position = id;
    return [{ id, event: parsed.value as Event }];
  }
}
