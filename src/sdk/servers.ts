/** The addresses of one cluster as a client knows them, and the one that it talks to. */

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
  }
}
