/** Runs the worker command's function against a StreamServer, with signals sent by the test and its output kept. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../src/base/ports.ts";
import {
  type RunnerOptions,
  type RunnerSystem,
  runWorker,
} from "../../src/commands/worker/run-worker.ts";
import type { StreamServer } from "./stream-server.ts";
import { memoryLogger, random, timers } from "./system-ports.ts";

export interface Runner {
  readonly exit: Promise<number>;
  readonly logger: Logger & { readonly lines: string[] };
  /** What was written to stdout. */
  readonly written: string[];
  readonly temporaryFolder: string;
  signal(): void;
  /** Names left in the folder for temporary files. */
  filesLeft(): string[];
  dispose(): void;
}

export function startRunner(
  server: StreamServer,
  options: Partial<RunnerOptions>,
  system: Partial<RunnerSystem> = {},
): Runner {
  const temporaryFolder = mkdtempSync(join(tmpdir(), "runner-test-"));
  const logger = memoryLogger();
  const written: string[] = [];
  let onSignal = () => {};
  const exit = runWorker(
    {
      server: server.url,
      queues: ["q"],
      command: [],
      concurrency: 1,
      leaseMs: 60_000,
      killAfterMs: 2000,
      graceMs: 5000,
      isDrain: false,
      isPersistent: false,
      isQuiet: false,
      isJson: false,
      workerId: "test-worker",
      hostname: "test-host",
      client: "test",
      startedAt: "2026-01-01T00:00:00Z",
      ...options,
    },
    {
      env: { PATH: process.env["PATH"] ?? "" },
      temporaryFolder,
      timers,
      random,
      logger,
      WebSocket,
      out: {
        write(text) {
          written.push(text);
          server.changed();
          return Promise.resolve(true);
        },
      },
      onSignal(callback) {
        onSignal = callback;
        return () => {};
      },
      onServerGone: () => () => {},
      onExit: () => {},
      countWaiting: (queues) => Promise.resolve(server.waiting(queues)),
      openBlob: (hash) => Promise.reject(new Error(`no blob ${hash}`)),
      ...system,
    },
  );
  return {
    exit,
    logger,
    written,
    temporaryFolder,
    signal: () => onSignal(),
    filesLeft: () => readdirSync(temporaryFolder),
    dispose: () => rmSync(temporaryFolder, { recursive: true, force: true }),
  };
}

/** Resolves when the process is gone; a zombie that nobody has waited for counts as gone. */
export async function processGone(pid: number, limitMs = 5000): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += 10) {
    const stat = await Bun.file(`/proc/${pid}/stat`)
      .text()
      .catch(() => "");
    if (stat === "" || /\) Z /.test(stat)) return true;
    await Bun.sleep(10);
  }
  return false;
}
