/**
 * What decides with whom a job shares limits and turns, and which workers may run it. Jobs with equal lanes are stopped by
 * the same limits in the same way, so within a lane only the first job has to be looked at.
 */

export interface Lane {
  /** Takes part in the limits of this key of its queue. */
  readonly key?: string;
  /** Units of the rates of queue and key that one run costs; 1 when absent. */
  readonly cost?: number;
  /** Units of named resources that a run holds, by name in growing order. */
  readonly resources?: readonly (readonly [string, number])[];
  /** Jobs with the same one run one after the other, in the order of their creation. */
  readonly fifo?: string;
  /** With whom it takes turns. */
  readonly group?: string;
  /** Labels that a worker must have to run it, in growing order. */
  readonly requires?: readonly string[];
}

/** The same for equal lanes, and only for them. Most have a key, or a group, or both: no text of the other form begins as theirs. */
export function laneName(lane: Lane): string {
  const { group, key } = lane;
  const isPlain =
    lane.cost === undefined &&
    lane.fifo === undefined &&
    lane.resources === undefined &&
    lane.requires === undefined;
  if (isPlain && group === undefined && key !== undefined) return `k${key}`;
  if (isPlain && group !== undefined) {
    return key === undefined ? `g${group}` : `b${group.length}:${group}${key}`;
  }
  return JSON.stringify([
    lane.group,
    lane.key,
    lane.cost,
    lane.fifo,
    lane.resources,
    lane.requires,
  ]);
}

export function isSameLane(one: Lane | undefined, other: Lane | undefined): boolean {
  return one === other || laneName(one ?? {}) === laneName(other ?? {});
}

export function groupOf(lane: Lane | undefined): string {
  return lane?.group ?? "";
}

export function costOf(lane: Lane | undefined): number {
  return lane?.cost ?? 1;
}
