/** Real timers, chance and a logger that keeps its lines, for tests that talk to real sockets and processes. */
import type { Logger, Random, Timers } from "../../src/base/ports.ts";

export const timers: Timers = {
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export const random: Random = { uint32: () => Math.floor(Math.random() * 2 ** 32) };

export function memoryLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const log = (message: string) => {
    lines.push(message);
  };
  return { lines, debug: log, info: log, warn: log, error: log };
}
