/**
 * The real world, in one place: environment, standard streams, files, clock, timers, chance. Commands receive it as a
 * `System`, so that a test can run any command line in-process with streams and a `fetch` of its own. No other file
 * reads `process.env`.
 */
import { createReadStream, writeSync } from "node:fs";
import type { Clock, Random, Timers } from "../../base/ports.ts";
import type { Fetch } from "../../sdk/client.ts";

/** A stream for text to people or programs. */
export interface Sink {
  readonly isTty: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Questions to the person at the terminal; undefined when they were left with Ctrl-C. */
interface Prompts {
  confirm(message: string): Promise<boolean | undefined>;
  ask(message: string): Promise<string | undefined>;
}

export interface System {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdinIsTty: boolean;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly fetch: Fetch;
  readonly prompts: Prompts;
  stdin(): AsyncIterable<Uint8Array>;
  /** Bytes to standard output; resolves when there is room for more. */
  writeBytes(bytes: Uint8Array): Promise<void>;
  /** Bytes of a file, piece by piece. Fails when it cannot be read. */
  file(path: string): AsyncIterable<Uint8Array>;
  /** Size of a file; undefined for what has none, such as a pipe. */
  fileBytes(path: string): Promise<number | undefined>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** `setTimeout` fires at once when asked for more than this. */
const timeoutMsMax = 2 ** 31 - 1;

export const systemTimers: Timers = {
  after(delayMs, callback) {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (leftMs: number) => {
      const stepMs = Math.min(leftMs, timeoutMsMax);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : callback()), stepMs);
    };
    arm(Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
};

const randomPool = new Uint32Array(256);
let randomUsed = randomPool.length;

export const systemRandom: Random = {
  uint32() {
    if (randomUsed === randomPool.length) {
      crypto.getRandomValues(randomPool);
      randomUsed = 0;
    }
    return randomPool[randomUsed++] ?? 0;
  },
};

const fileChunkBytes = 256 * 1024;
const columnsDefault = 80;

export function createSystem(): System {
  return {
    env: process.env,
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    stdinIsTty: process.stdin.isTTY === true,
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    fetch: (request) => fetch(request),
    prompts: terminalPrompts,
    stdin: () => Bun.stdin.stream(),
    writeBytes: (bytes) =>
      new Promise((resolve) => {
        // What cannot be written ends the process, so nobody waits in vain.
        writeTo(process.stdout, bytes, resolve);
      }),
    // The runtime's own stream of a file cannot read devices such as /dev/null.
    file: (path) => createReadStream(path, { highWaterMark: fileChunkBytes }),
    async fileBytes(path) {
      const stat = await Bun.file(path).stat();
      return stat.isFile() ? stat.size : undefined;
    },
  };
}

/** Questions are talk, so they are asked on stderr. */
const terminalPrompts: Prompts = {
  async confirm(message) {
    const clack = await import("@clack/prompts");
    const answer = await clack.confirm({ message, initialValue: false, output: promptOutput() });
    return clack.isCancel(answer) ? undefined : answer;
  },
  async ask(message) {
    const clack = await import("@clack/prompts");
    const answer = await clack.text({ message, output: promptOutput() });
    return clack.isCancel(answer) ? undefined : answer;
  },
};

/** A terminal that was never told its size, as in a container, has no columns, and every letter would be a line. */
function promptOutput(): NodeJS.WriteStream {
  if (process.stderr.columns === 0) process.stderr.columns = columnsDefault;
  return process.stderr;
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  return {
    isTty: stream.isTTY === true,
    get columns() {
      return stream.columns || columnsDefault;
    },
    write(text) {
      writeTo(stream, text);
    },
  };
}

/** Writes that the system has not answered yet. */
let openWrites = 0;
let allAnswered: () => void = () => undefined;

function writeTo(stream: NodeJS.WriteStream, data: string | Uint8Array, done?: () => void): void {
  openWrites++;
  stream.write(data, (error) => {
    openWrites--;
    if (error == null) done?.();
    if (openWrites === 0) allAnswered();
  });
}

/** Resolves when everything written so far has left the process, or could not. */
export async function flushStreams(): Promise<void> {
  if (openWrites > 0) {
    await new Promise<void>((resolve) => {
      allAnswered = resolve;
    });
  }
  // What could not be written is told to the listener for errors only in the turn after the answer.
  await new Promise((resolve) => setImmediate(resolve));
}

/**
 * A reader that went away (`corvo jobs list | head`) ends the command without noise. Data that went nowhere for another reason, a
 * full disk above all, must not look like success. Talk that nobody can hear is no reason to end anything.
 */
export function endOnLostOutput(failed: number): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    // At once, since the next turn may end the process as if all were well.
    writeSync(2, `error: cannot write standard output: ${error.message}\n`);
    process.exit(failed);
  });
}

/** For what has more to do than to be read: the process goes on when its output cannot be written. */
export function outliveLostOutput(lost: () => void = () => undefined): void {
  process.stdout.removeAllListeners("error");
  process.stdout.on("error", lost);
}
