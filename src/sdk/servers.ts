/** The addresses of one cluster as a client knows them, and the one that it talks to. */
import type { Timers } from "../base/ports.ts";

interface Asking {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly timers: Timers;
}

/** A process that runs answers this within milliseconds, whatever it cannot do at the moment. */
const awakePath = "/healthz";
export const awakeMsMax = 2500;

/** The addresses in a text with commas, without slashes at their ends. */
export function serversOf(text: string): readonly string[] {
  const servers = text
    .split(",")
    .map((server) => server.trim().replace(/\/+$/, ""))
    .filter((server) => server !== "");
  // An empty text is kept, so that what follows fails with the address in its message.
  return servers.length === 0 ? [text] : servers;
}

export class ServerList {
  readonly #servers: readonly string[];
  #at = 0;
  #isHeard = false;

  constructor(text: string) {
    this.#servers = serversOf(text);
  }

  get count(): number {
    return this.#servers.length;
  }

  get current(): string {
    return this.#servers[this.#at] ?? "";
  }

  /** The next one is the one to talk to from now on; after the last comes the first. */
  moveOn(): void {
    this.#at = (this.#at + 1) % this.#servers.length;
    this.#isHeard = false;
  }

  /**
   * Moves on to one that answers at all, when there are several and the current one was not heard yet. Who is frozen still
   * takes connections and calls, and a call that may have been carried out is made nowhere else: so a harmless one comes first.
   * When none answers, the call itself finds out why.
   */
  async findAwake(asking: Asking, signal: AbortSignal | undefined): Promise<void> {
    if (this.count === 1) return;
    for (let left = this.count; left > 0 && !this.#isHeard; left--) {
      if (await isAwake(this.current, asking, signal)) this.#isHeard = true;
      else this.moveOn();
      // Who gave the call up is told by the call. The silent one is passed by nevertheless: with less patience than ours nobody
      // would ever leave it.
      if (signal?.aborted) return;
    }
  }
}

async function isAwake(
  server: string,
  { fetch, timers }: Asking,
  given: AbortSignal | undefined,
): Promise<boolean> {
  const silence = new AbortController();
  const signal = given === undefined ? silence.signal : AbortSignal.any([silence.signal, given]);
  const stop = timers.after(awakeMsMax, () => silence.abort());
  try {
    const request = new Request(server + awakePath, { redirect: "manual", signal });
    await (await fetch(request)).body?.cancel();
    return true;
  } catch {
    // What is wrong with it is of no interest as long as another one answers.
    return false;
  } finally {
    stop();
  }
}
