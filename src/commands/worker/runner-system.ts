/** The real surroundings of a worker: processes, signals, standard output, the host. */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { CorvoError } from "../../base/errors.ts";
import type { Logger, Random, Timers } from "../../base/ports.ts";
import type { Client } from "../../sdk/client.ts";
import { connectBytes } from "../_shared/client.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { outliveLostOutput } from "../_shared/system.ts";
import type { Out } from "./echo.ts";
import type { RunnerSystem } from "./run-worker.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export function createRunnerSystem(context: Context): RunnerSystem {
  const { system } = context;
  const counter = new WaitingCounter(context.client(), context.log);
  const bytes = connectBytes(context);
  // What a command starts is its own, whoever began this worker.
  const { [serverPidName]: _, ...env } = system.env;
  return {
    env: definedOf(env),
    temporaryFolder: tmpdir(),
    timers: system.timers,
    random: system.random,
    logger: context.log,
    WebSocket,
    out: standardOut(),
    onSignal(callback) {
      const signals = stopSignals();
      for (const signal of signals) process.on(signal, callback);
      return () => {
        for (const signal of signals) process.off(signal, callback);
      };
    },
    onServerGone(callback) {
      const pid = Number(system.env[serverPidName]);
      return Number.isSafeInteger(pid) && pid > 0
        ? whenGone(pid, callback, system.timers)
        : () => {};
    },
    onExit(callback) {
      process.on("exit", callback);
    },
    async openBlob(hash, signal) {
      const { body } = await bytes.blob(hash, signal);
      if (body === null) throw new CorvoError("INTERNAL_ERROR", `blob ${hash} came without a body`);
      return body;
    },
    async countWaiting(queues) {
      const counts = await Promise.all(queues.map((queue) => counter.waitingIn(queue)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
  };
}

/**
 * A terminal that is closed sends SIGHUP, which would leave the commands of the worker behind. Under `nohup` the signal is ignored
 * from the start, and must stay so.
 */
function stopSignals(): readonly NodeJS.Signals[] {
  let ignored = "0";
  try {
    const status = readFileSync("/proc/self/status", "latin1");
    ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  } catch {
    // Not Linux: it cannot be seen, and closing the terminal is the usual case.
  }
  const isHangupIgnored = (BigInt(`0x${ignored}`) & 1n) === 1n;
  return isHangupIgnored ? ["SIGINT", "SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"];
}

/** Names the process that a worker belongs to and ends with (`server/embedded-workers.ts`). */
export const serverPidName = "CORVO_SERVER_PID";

const lookMs = 1000;

/** Calls back once when the process is no longer there, until the returned function is called. */
function whenGone(pid: number, callback: () => void, timers: Timers): () => void {
  let cancel = () => {};
  const look = () => {
    cancel = timers.after(lookMs, () => {
      if (isThere(pid)) look();
      else callback();
    });
  };
  look();
  return () => cancel();
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export const hostName = hostname;

export function defaultWorkerId(random: Random): string {
  const digits = random.uint32().toString(16).padStart(8, "0");
  return `${hostname()}:${process.pid}:${digits}`;
}

/** The command with its program found, so that a wrong name is noticed before a job is claimed. */
export function resolveCommand(command: readonly string[], env: Environment): readonly string[] {
  const [program, ...rest] = command;
  if (program === undefined) return [];
  if (program.includes("/")) {
    checkProgram(program);
    return command;
  }
  const found = Bun.which(program, { PATH: env["PATH"] ?? "" });
  if (found === null) {
    throw new UsageError(
      `command not found: ${program}`,
      "It is looked for in PATH; write ./ in front of a file of this folder.",
    );
  }
  return [found, ...rest];
}

function checkProgram(path: string): void {
  try {
    if (!statSync(path).isFile()) throw new UsageError(`not a program: ${path}`);
    accessSync(path, constants.X_OK);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if ((error as { code?: string }).code === "EACCES") {
      throw new UsageError(`may not be executed: ${path}`, `chmod +x ${path}`);
    }
    throw new UsageError(`command not found: ${path}`);
  }
}

function definedOf(env: Environment): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) defined[name] = value;
  return defined;
}

class WaitingCounter {
  readonly #client: Client;
  readonly #log: Logger;
  readonly #pausedSaid = new Set<string>();

  constructor(client: Client, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  async waitingIn(name: string): Promise<number> {
    try {
      const queue = await this.#client.getQueue({ params: { name } });
      const waiting = queue.pending + queue.scheduled + queue.retrying;
      if (queue.paused && waiting > 0 && !this.#pausedSaid.has(name)) {
        this.#pausedSaid.add(name);
        this.#log.warn(`queue ${name} is paused with ${waiting} jobs waiting; they are waited for`);
      }
      return waiting;
    } catch (error) {
      // A queue that was never used is empty.
      if (error instanceof CorvoError && error.code === "NOT_FOUND") return 0;
      throw error;
    }
  }
}

/**
 * Standard output of a worker. A reader that goes away must not end the process at once, as it does for other commands: there
 * are leases to give back and handlers to look after.
 */
function standardOut(): Out {
  let isClosed = false;
  outliveLostOutput(() => {
    isClosed = true;
  });
  return {
    write(text) {
      if (isClosed) return Promise.resolve(false);
      return new Promise((resolve) => {
        process.stdout.write(text, (error) => {
          if (error !== undefined && error !== null) isClosed = true;
          resolve(!isClosed);
        });
      });
    },
  };
}
