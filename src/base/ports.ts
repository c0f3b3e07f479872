/** The only ambient effects of the program. Real ones are made in `commands/_shared/system.ts`; tests bring their own. */

export interface Clock {
  /** Wall time in milliseconds since 1970. May jump. */
  nowMs(): number;
  /** Milliseconds since some fixed point. Never goes back. */
  monotonicMs(): number;
}

export interface Timers {
  /** Runs `callback` once after `delayMs`; the returned function stops it. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface Random {
  /** An unsigned 32-bit number. */
  uint32(): number;
}

type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
