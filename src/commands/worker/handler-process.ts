/**
 * One handler process, leader of a session and process group of its own, so that everything it starts can be stopped with it.
 *
 * running -exit-> lingering -output complete, group gone-> ended. `terminate` sends SIGTERM to the group, and SIGKILL when any
 * of it is left after `killAfterMs`. What a handler leaves behind when it exits by itself may finish writing its output for a
 * moment and is then killed: the job is over, so nobody waits for it any more.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { FileSink, Subprocess } from "bun";
import type { Timers } from "../../base/ports.ts";

export interface ExitStatus {
  /** Null when a signal ended the process. */
  readonly code: number | null;
  readonly signal: string | number | null;
}

export interface ProcessOptions {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Bytes of the whole standard input, or `pipe` to write to it later. */
  readonly input: Uint8Array | "pipe";
  readonly killAfterMs: number;
  readonly timers: Timers;
  readonly live: Set<HandlerProcess>;
  onStdout(chunk: Uint8Array): void;
  onStderr(chunk: Uint8Array): void;
}

/** Time for output that is still in the pipes after the exit. */
const lingerMs = 1000;
/** There is no event for the end of a process group; it is looked at this often, and only while it is being stopped. */
const groupLookMs = 20;

export class HandlerProcess {
  readonly ended: Promise<ExitStatus>;
  /** It was told to stop, so its exit status says nothing about the job. */
  isStopped = false;
  /** After its end: something outside of its group keeps the pipes open, so what was written last may be missing. */
  isOutputOpen = false;
  readonly #options: ProcessOptions;
  readonly #child: Subprocess;
  #killAtOnce: (() => void) | undefined;

  /** Throws the error of the operating system when the program cannot be started. */
  constructor(options: ProcessOptions) {
    this.#options = options;
    this.#child = Bun.spawn([...options.command], {
      env: { ...options.env },
      stdin: options.input,
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    options.live.add(this);
    this.ended = this.#end();
  }

  terminate(): void {
    if (this.isStopped) return;
    this.isStopped = !this.hasExited;
    this.#signalGroup("SIGTERM");
    this.#killAtOnce = this.#options.timers.after(this.#options.killAfterMs, () => this.kill());
  }

  kill(): void {
    this.isStopped ||= !this.hasExited;
    this.#signalGroup("SIGKILL");
  }

  /** Writes to a piped standard input. A process that does not read any more is noticed by its exit. */
  write(text: string): void {
    const sink = this.#child.stdin as FileSink;
    try {
      sink.write(text);
      Promise.resolve(sink.flush()).catch(() => {});
    } catch {
      // The pipe is closed: the exit of the process is on its way, and settles the job.
    }
  }

  /**
   * Writes all of this to a piped standard input, as fast as it is read, and closes it. Resolves with what broke it off, if
   * anything did; then the process is stopped, since it would take a part for the whole.
   */
  async feed(content: AsyncIterable<Uint8Array>): Promise<unknown> {
    const sink = this.#child.stdin as FileSink;
    try {
      for await (const piece of content) {
        if (this.hasExited) return undefined;
        try {
          sink.write(piece);
          await sink.flush();
        } catch {
          // It reads no more, which is its right.
          return undefined;
        }
      }
      this.closeInput();
      return undefined;
    } catch (error) {
      this.terminate();
      return error;
    }
  }

  closeInput(): void {
    try {
      Promise.resolve((this.#child.stdin as FileSink).end()).catch(() => {});
    } catch {
      // Closed already.
    }
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #end(): Promise<ExitStatus> {
    const readers = [readerOf(this.#child.stdout), readerOf(this.#child.stderr)] as const;
    const output = Promise.all([
      readAll(readers[0], this.#options.onStdout),
      readAll(readers[1], this.#options.onStderr),
    ]);
    await this.#child.exited;
    const status = { code: this.#child.exitCode, signal: this.#child.signalCode };
    await this.#within(lingerMs, output);
    if (this.isStopped) await this.#groupGone();
    this.#killAtOnce?.();
    this.#signalGroup("SIGKILL");
    this.isOutputOpen = !(await this.#within(lingerMs, output));
    for (const reader of readers) await reader.cancel().catch(() => {});
    this.#options.live.delete(this);
    return status;
  }

  /** Waits until no process of the group is left, or SIGKILL has been sent to what was. */
  async #groupGone(): Promise<void> {
    const looks = Math.ceil(this.#options.killAfterMs / groupLookMs) + 1;
    for (let look = 0; look < looks && this.#signalGroup(0); look++) {
      if (isGroupOfZombies(this.#child.pid)) return;
      await new Promise<void>((resolve) => this.#options.timers.after(groupLookMs, resolve));
    }
  }

  #within(limitMs: number, work: Promise<unknown>): Promise<boolean> {
    return new Promise((resolve) => {
      const stop = this.#options.timers.after(limitMs, () => resolve(false));
      const done = () => {
        stop();
        resolve(true);
      };
      work.then(done, done);
    });
  }

  /** False when no process of the group is left. */
  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    try {
      process.kill(-this.#child.pid, signal);
      return true;
    } catch (error) {
      // EPERM: there is a process which changed its user; it counts as present.
      return (error as { code?: string }).code !== "ESRCH";
    }
  }
}

/**
 * Orphans that ended stay members of their group until process 1 collects them, which in a container may be never. True only where
 * that can be seen (Linux).
 */
function isGroupOfZombies(group: number): boolean {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return false;
  }
  let members = 0;
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const [state, pgrp] = statOf(name);
    if (pgrp !== String(group)) continue;
    if (state !== "Z" && state !== "X") return false;
    members++;
  }
  return members > 0;
}

/** State and process group; the name before them is in parentheses and may hold anything. */
function statOf(pid: string): readonly (string | undefined)[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return [state, pgrp];
  } catch {
    return [];
  }
}

interface ChunkReader {
  cancel(): Promise<unknown>;
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
}

/** Both streams are pipes, by the options of the start. */
function readerOf(stream: unknown): ChunkReader {
  return (stream as ReadableStream<Uint8Array>).getReader() as ChunkReader;
}

async function readAll(reader: ChunkReader, onChunk: (chunk: Uint8Array) => void): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (value !== undefined) onChunk(value);
  }
}

export function describeExit(status: ExitStatus): string {
  if (status.signal !== null) return `killed by ${status.signal}`;
  if (status.code === 126) return "exit code 126 (the command could not be executed)";
  if (status.code === 127) return "exit code 127 (command not found)";
  return `exit code ${status.code}`;
}
