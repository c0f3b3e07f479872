/** Collects what a directive prints: its own text, and the log lines of the core in between. */
import type { RaftLogger } from "../../../src/raft/config.ts";

const levels: readonly string[] = ["debug", "info", "warn", "error", "fatal", "none"];
const names = ["DEBUG", "INFO", "WARN", "ERROR"] as const;

export class Output implements RaftLogger {
  /** Log lines below this level are left out; at the highest one everything is. */
  level = 0;
  #text = "";

  get isQuiet(): boolean {
    return this.level === levels.length - 1;
  }

  setLevel(name: string): string | undefined {
    const level = levels.indexOf(name.toLowerCase());
    if (level < 0) return `log levels must be either of [${levels.join(" ").toUpperCase()}]`;
    this.level = level;
    return undefined;
  }

  write(text: string): void {
    if (!this.isQuiet) this.#text += text;
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  indented(action: () => void): void {
    const outer = this.take();
    action();
    const inner = this.take().replace(/\n$/, "");
    const lines = inner === "" ? [] : inner.split("\n");
    this.#text = outer + lines.map((line) => `  ${line}\n`).join("");
  }

  debug(text: string): void {
    this.#log(0, text);
  }

  info(text: string): void {
    this.#log(1, text);
  }

  warn(text: string): void {
    this.#log(2, text);
  }

  error(text: string): void {
    this.#log(3, text);
  }

  #log(level: 0 | 1 | 2 | 3, text: string): void {
    if (this.level <= level) this.write(`${names[level]} ${text}\n`);
  }
}
