/** Clients of the command line: the person waits, so a server that is not there is reported after a moment. */
import { type BytesClient, createBytesClient } from "../../sdk/bytes.ts";
import { type Client, createClient, type Fetch } from "../../sdk/client.ts";
import type { RetryPolicy } from "../../sdk/retry.ts";
import type { Context } from "./context.ts";
import type { System } from "./system.ts";

/** For what shows how a cluster is, with or without a leader. */
export const promptRetry: RetryPolicy = {
  attemptsMax: 3,
  baseDelayMs: 50,
  delayMsMax: 5000,
  endsAtSilence: true,
};

/** Servers that answer are given the time of an election. */
const interactiveRetry: RetryPolicy = { ...promptRetry, askedMsMax: 3000 };

/** For what runs for long: it outlasts a restart of the server. */
export const patientRetry: RetryPolicy = { attemptsMax: 10, baseDelayMs: 200, delayMsMax: 10_000 };

type Wiring = Pick<Context, "system" | "globals" | "fetch">;

export function connect(wiring: Wiring, retry: Partial<RetryPolicy> = interactiveRetry): Client {
  const { system, globals } = wiring;
  return createClient({
    server: globals.server,
    ...(globals.apiKey === undefined ? {} : { apiKey: globals.apiKey }),
    fetch: wiring.fetch,
    timers: system.timers,
    random: system.random,
    retry,
  });
}

/** For what is no JSON. */
export function connectBytes({ system, globals, fetch }: Wiring): BytesClient {
  return createBytesClient({
    server: globals.server,
    timers: system.timers,
    ...(globals.apiKey === undefined ? {} : { apiKey: globals.apiKey }),
    fetch,
  });
}

/** A `fetch` that reports each request and its answer. */
export function tracedFetch(system: System, report: (line: string) => void): Fetch {
  return async (request) => {
    const startMs = system.clock.monotonicMs();
    const spent = () => `${Math.round(system.clock.monotonicMs() - startMs)} ms`;
    try {
      const response = await system.fetch(request);
      report(`${request.method} ${request.url} -> ${response.status} in ${spent()}`);
      return response;
    } catch (error) {
      report(`${request.method} ${request.url} failed after ${spent()}`);
      throw error;
    }
  };
}
