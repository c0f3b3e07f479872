/**
 * `corvo server --workers N -- COMMAND`: a worker of this server beside it, as a process of its own, so that handlers take no
 * time from the server and a server that starts again keeps its jobs. It is `corvo worker`, and ends as that does: told to
 * stop before the server does, it finishes what runs. One that ends by itself is begun again after a pause, and one whose server
 * is gone without a word ends too: the next server brings its own.
 */
import { spawn } from "bun";
import type { Logger, Timers } from "../../base/ports.ts";
import { selfCommand } from "../_shared/self-command.ts";
import { serverPidName } from "../worker/runner-system.ts";

export interface EmbeddedOptions {
  readonly count: number;
  readonly queues: readonly string[];
  readonly command: readonly string[];
  readonly graceMs: number;
  /** Of the server, which its worker has too. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

const pauseMsMin = 500;
const pauseMsMax = 30_000;
/** After so long a life its end is a new misfortune. */
const settledMs = 60_000;

/** After its grace period a worker stops its commands, which takes it some seconds. */
const overdueMs = 20_000;

type Child = ReturnType<typeof spawn>;

export class EmbeddedWorkers {
  readonly #options: EmbeddedOptions;
  readonly #logger: Logger;
  readonly #timers: Timers;
  #child: Child | undefined;
  #pauseMs = pauseMsMin;
  #cancelPause: () => void = () => {};
  #isStopping = false;

  constructor(options: EmbeddedOptions, logger: Logger, timers: Timers) {
    this.#options = options;
    this.#logger = logger;
    this.#timers = timers;
  }

  start(url: string): void {
    const { count, queues, command, graceMs, env } = this.#options;
    const child = spawn({
      cmd: [
        ...selfCommand,
        ...["worker", ...queues],
        ...["--concurrency", String(count), "--grace", `${graceMs}ms`, "--server", url],
        "--",
        ...command,
      ],
      env: { ...env, [serverPidName]: String(process.pid) },
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    this.#child = child;
    const cancelSettled = this.#timers.after(settledMs, () => {
      this.#pauseMs = pauseMsMin;
    });
    void child.exited.then((code) => {
      cancelSettled();
      if (this.#isStopping) return;
      this.#logger.error(
        `the workers of this server ended with exit code ${code}; they begin again in ${this.#pauseMs} ms`,
      );
      this.#cancelPause = this.#timers.after(this.#pauseMs, () => this.start(url));
      this.#pauseMs = Math.min(pauseMsMax, this.#pauseMs * 2);
    });
  }

  /** Resolves when the worker has ended: after its jobs, or after the grace period. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#cancelPause();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGTERM");
    // It ends by itself after the grace period; one that does not must not keep the server from ending.
    const cancel = this.#timers.after(this.#options.graceMs + overdueMs, () => {
      this.#logger.warn("the workers of this server did not end in time and are killed");
      child.kill("SIGKILL");
    });
    await child.exited;
    cancel();
  }

  /** Ends it now. Its jobs come back when their leases end. */
  kill(): void {
    this.#isStopping = true;
    this.#cancelPause();
    this.#child?.kill("SIGKILL");
  }
}
