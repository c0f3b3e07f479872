/** What `ready-lines.ts` keeps and gives out. */
import type { JobState } from "./job.ts";
import type { LaneSet } from "./limits/lane-set.ts";
import type { SleepingQueue } from "./limits/parking.ts";
import type { LaneLine } from "./limits/pool.ts";
import type { JobOptions } from "./options.ts";
import type { Effects } from "./outcome.ts";
import type { ReadyQueue } from "./ready-queue.ts";
import type { State } from "./state.ts";

/** What the lines see of the engine. */
export interface LineHost {
  readonly state: State;
  readonly nowMs: number;
  readonly effects: Effects;
}

/** What the lines need to know of a job. */
export interface LinedJob {
  readonly seq: number;
  readonly queue: string;
  readonly state: JobState;
  readonly priority: number;
  /** Its place in line; 0 when it stands in none. */
  readonly order: number;
  readonly options: JobOptions;
}

/** The job that a claim of the queue would get. */
export interface Head {
  readonly priority: number;
  readonly order: number;
  readonly seq: number;
  /** Its lane, where there are any. */
  readonly line: LaneLine | undefined;
}

export interface Line {
  readonly plain: ReadyQueue;
  lanes: LaneSet | undefined;
}

/** An answer of `claimable`, and what it was true of. */
export interface Counted {
  readonly change: number;
  readonly nowMs: number;
  readonly count: number;
  readonly most: number;
}

export interface StandLines {
  counted: Counted | undefined;
  /** Present when the queue as a whole is limited. */
  sleeping: SleepingQueue | undefined;
  /** Priorities that have lanes. */
  laneSets: number;
  readonly lines: (Line | undefined)[];
}
