/**
 * What can be limited, and how it is set. A setting is a record named by its target; the record of what was spent under
 * it (`LimitState`) has the name of the instance, so each key of a queue has its own under one setting for all keys.
 */
import type { Rate, Spent } from "./rate.ts";

/**
 * `queue`: all jobs of a queue. `eachKey`: every limit key of a queue, one by one. `key`: one key of a queue, instead of
 * what holds for each. `resource`: something that jobs of any queue share. `eachGroup`, `group`: the turns and the backlog
 * of groups of a queue.
 */
export const limitScopes = ["queue", "eachKey", "key", "resource", "eachGroup", "group"] as const;
export type LimitScope = (typeof limitScopes)[number];

export interface LimitTarget {
  readonly scope: LimitScope;
  /** Empty for a resource. */
  readonly queue: string;
  /** Key, resource or group; empty for the other scopes. */
  readonly name: string;
}

export interface LimitValues {
  /** Units that may be out at once. */
  readonly concurrency?: number;
  readonly rate?: Rate;
  /** Share of the turns of a group. */
  readonly weight?: number;
  /** Jobs of a group that may wait. */
  readonly backlog?: number;
}

export interface LimitSetting extends LimitValues {
  readonly target: LimitTarget;
  /** Given once. What was spent under another revision does not count. */
  readonly revision: number;
}

/** What an instance remembers: what was spent of its rate, and a pause. */
export interface LimitState {
  readonly target: LimitTarget;
  /** Of the setting that `spent` belongs to; 0 when nothing was spent. */
  readonly revision: number;
  readonly spent?: Spent;
  readonly pausedUntilMs: number;
  /** From then on it is as if this record did not exist. */
  readonly restMs: number;
}

/** Queue names contain no line break, so the text cannot be ambiguous. */
export function limitName(scope: LimitScope, queue: string, name = ""): string {
  return `${scope}\n${queue}\n${name}`;
}

export function nameOf(target: LimitTarget): string {
  return limitName(target.scope, target.queue, target.name);
}

/** A target in words, for messages. */
export function describeTarget({ scope, queue, name }: LimitTarget): string {
  switch (scope) {
    case "queue":
      return `queue "${queue}"`;
    case "eachKey":
      return `each key of queue "${queue}"`;
    case "key":
      return `key "${name}" of queue "${queue}"`;
    case "resource":
      return `resource "${name}"`;
    case "eachGroup":
      return `each group of queue "${queue}"`;
    case "group":
      return `group "${name}" of queue "${queue}"`;
  }
}
