/**
 * A server of the bench's own: the same executable as a child process, on a free port, with a new folder for its data.
 * However the bench ends, the process is stopped and the folder removed; an exit hook covers the ends that skip
 * `close`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { CorvoError } from "../../base/errors.ts";
import type { Timers } from "../../base/ports.ts";
import { selfCommand } from "../_shared/self-command.ts";

type Child = Subprocess<"ignore", "pipe", "pipe">;

const startMsMax = 120_000;
const errorCharsMax = 4000;

export class OwnServer {
  readonly folder: string;
  readonly #timers: Timers;
  readonly #child: { current: Child | undefined } = { current: undefined };
  readonly #removeOnExit: () => void;
  #url = "";
  #errors = "";

  private constructor(parent: string, timers: Timers) {
    this.#timers = timers;
    this.folder = mkdtempSync(join(parent, "corvo-bench-"));
    this.#removeOnExit = () => this.#remove();
    process.on("exit", this.#removeOnExit);
  }

  static async start(parent: string, timers: Timers): Promise<OwnServer> {
    const server = new OwnServer(parent, timers);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  get url(): string {
    return this.#url;
  }

  get pid(): number {
    return this.#child.current?.pid ?? 0;
  }

  /** Starts the server on what the folder holds. Resolves when it has said where it listens. */
  async start(): Promise<void> {
    const child: Child = Bun.spawn({
      cmd: [
        ...selfCommand,
        "server",
        "--bind",
        "127.0.0.1:0",
        "--data-dir",
        join(this.folder, "data"),
        "--json",
      ],
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#child.current = child;
    this.#errors = "";
    void this.#collectErrors(child);
    const line = await this.#firstLine(child);
    this.#url = (JSON.parse(line) as { url: string }).url;
  }

  /** Ends the process the way a power cut would, as far as the program can tell. */
  async kill(): Promise<void> {
    const child = this.#child.current;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.exited;
    this.#child.current = undefined;
  }

  async close(): Promise<void> {
    await this.kill();
    process.off("exit", this.#removeOnExit);
    this.#remove();
  }

  #remove(): void {
    this.#child.current?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #firstLine(child: Child): Promise<string> {
    const stopTimer = this.#timers.after(startMsMax, () => child.kill("SIGKILL"));
    const decoder = new TextDecoder();
    let text = "";
    const reader = child.stdout.getReader();
    try {
      while (!text.includes("\n")) {
        const { value, done } = await reader.read();
        if (done) {
          await child.exited;
          throw new CorvoError(
            "UNAVAILABLE",
            `the server of the bench ended before it listened, with exit code ${child.exitCode}: ${this.#errors.trim()}`,
          );
        }
        text += decoder.decode(value, { stream: true });
      }
    } finally {
      stopTimer();
      reader.releaseLock();
    }
    return text.slice(0, text.indexOf("\n"));
  }

  /** The last words on stderr explain a start that failed; the pipe must be emptied anyway. */
  async #collectErrors(child: Child): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of child.stderr) {
      this.#errors = (this.#errors + decoder.decode(bytes)).slice(-errorCharsMax);
    }
  }
}
