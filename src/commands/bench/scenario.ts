/** What a scenario is: its settings, what it is given, and the figures that it returns. */
import type { Bench } from "./bench-run.ts";

/** Sizes of a run. A scenario names the ones it uses; flags of the same names override them. */
export interface Settings {
  readonly durationMs?: number;
  readonly warmupMs?: number;
  readonly connections?: number;
  /** Jobs in one frame. */
  readonly batch?: number;
  /** Frames of one connection without an answer. */
  readonly frames?: number;
  /** Jobs that one worker holds at once. */
  readonly concurrency?: number;
  readonly payloadBytes?: number;
  readonly jobs?: number;
  readonly parked?: number;
  readonly backlog?: number;
  readonly samples?: number;
  /** Limit keys that the jobs have, and groups; 0 for none. */
  readonly keys?: number;
  readonly groups?: number;
}

export type SettingName = keyof Settings;

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly better: "higher" | "lower" | "neither";
  /** What the design asks for, when the run has the conditions that it names. */
  readonly bar?: { readonly bar: number; readonly stretch: number };
}

export interface Scenario {
  readonly summary: string;
  readonly settings: Settings;
  /** Sizes for the tour of all scenarios, where they differ. */
  readonly tour?: Settings;
  /** It kills and restarts the server, so it cannot be pointed at one in use. */
  readonly needsOwnServer?: true;
  /** It needs no server at all. */
  readonly needsNoServer?: true;
  run(bench: Bench): Promise<readonly Figure[]>;
}

/** `count` per second. */
export function rate(count: number, elapsedMs: number): number {
  return elapsedMs === 0 ? 0 : (count * 1000) / elapsedMs;
}
