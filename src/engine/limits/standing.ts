/**
 * Where ready jobs stand among those of their queue, read off the lines without touching them: how many would be given
 * first if nothing changed, and what stops how many. It looks at every lane, so it is for people who ask, not for claims;
 * of very many lanes it looks at the first and says that it counted no further.
 */
import type { Line } from "../ready-line.ts";
import type { ReadyLines } from "../ready-lines.ts";
import type { Gates, Need } from "./gates.ts";
import { costOf, groupOf, type Lane } from "./lane.ts";
import type { LaneSet } from "./lane-set.ts";
import type { LaneLine } from "./pool.ts";
import { standOf } from "./stands.ts";

const lanesSeenMax = 10_000;

export interface Standing {
  /** Jobs that would be given before it, of those that nothing stops. 0 exactly when it is next. */
  readonly ahead: number;
  /** Jobs that stand before it by priority and place, stopped or not. */
  readonly before: number;
  /** Groups that take turns where it stands; 1 when none do. */
  readonly groups: number;
  /** False when there are more lanes than were looked at: the numbers are at least so large then. */
  readonly isExact: boolean;
}

/** A job that stands in a line and that nothing stops. */
export interface StandingJob {
  readonly queue: string;
  readonly priority: number;
  readonly order: number;
  readonly options: { readonly lane: Lane | undefined };
}

/** For a worker that has just the labels that the job asks for. */
export function standingOf(lines: ReadyLines, job: StandingJob, nowMs: number): Standing {
  const seen = new Lanes(lines.gates, nowMs);
  const own = standOf(job);
  let ahead = 0;
  let before = 0;
  let groups = 1;
  for (const stand of new Set([job.queue, own])) {
    for (const [priority, { plain, lanes }] of lines.linesOf(stand)) {
      if (priority > job.priority) break;
      if (priority < job.priority) {
        before += plain.size + (lanes?.jobs.size ?? 0);
        if (lanes === undefined) ahead += plain.size;
        else for (const line of seen.open(lanes)) ahead += line.jobs.size;
        continue;
      }
      before += plain.countBefore(job.order) + (lanes?.jobs.countBefore(job.order) ?? 0);
      if (lanes === undefined) ahead += plain.countBefore(job.order);
      else if (stand !== own) {
        for (const line of seen.open(lanes)) ahead += line.jobs.countBefore(job.order);
      } else {
        groups = lanes.groupCount;
        ahead += aheadByTurns(lines, lanes, seen.open(lanes), job);
      }
    }
  }
  return { ahead, before, groups, isExact: seen.isExact };
}

/** Jobs of the same queue that stand before it and need of the same key or resource. */
export function sharingBefore(lines: ReadyLines, job: StandingJob, gate: string): number {
  let found = 0;
  let seen = 0;
  for (const stand of new Set([job.queue, standOf(job)])) {
    for (const [priority, { lanes }] of lines.linesOf(stand)) {
      if (priority > job.priority) break;
      for (const { needs, jobs } of lanes?.lanes.values() ?? []) {
        if (++seen > lanesSeenMax) return found;
        if (!needs.some((need) => need.gate.name === gate)) continue;
        found += priority < job.priority ? jobs.size : jobs.countBefore(job.order);
      }
    }
  }
  return found;
}

interface GroupAhead {
  jobs: number;
  /** Of them, those that stand before the job. */
  before: number;
  place: number;
}

/**
 * Turns follow from passes alone: a group's next runs have the passes rank, rank + 1/weight, and so on, and the smallest
 * pass goes first, at equal ones the earlier place. So how often each group comes before the job needs no trial.
 */
function aheadByTurns(
  lines: ReadyLines,
  set: LaneSet,
  open: Iterable<LaneLine>,
  job: StandingJob,
): number {
  const groups = new Map<string, GroupAhead>();
  for (const { group, jobs } of open) {
    const found = groups.get(group) ?? { jobs: 0, before: 0, place: Number.POSITIVE_INFINITY };
    found.jobs += jobs.size;
    found.before += jobs.countBefore(job.order);
    found.place = Math.min(found.place, jobs.headOrder());
    groups.set(group, found);
  }
  const own = groupOf(job.options.lane);
  const before = groups.get(own)?.before ?? 0;
  const pass = set.turns.rankOf(own) + before / lines.weightOf(job.queue, own);
  let ahead = before;
  for (const [group, { jobs, place }] of groups) {
    if (group === own) continue;
    const turns = (pass - set.turns.rankOf(group)) * lines.weightOf(job.queue, group);
    const isEven = Number.isInteger(turns) && turns >= 0 && place < job.order;
    ahead += Math.min(jobs, Math.max(0, Math.ceil(turns) + (isEven ? 1 : 0)));
  }
  return ahead;
}

/** Ready jobs that one target stops. */
export interface StoppedJobs {
  readonly need: Need;
  jobs: number;
}

export interface QueueStanding {
  readonly ready: number;
  /** Those that nothing of their own stops; what stops the queue as a whole is not looked at. */
  readonly open: number;
  /** Those of them that need a worker with labels, by the labels. */
  readonly requiring: readonly { readonly labels: readonly string[]; readonly jobs: number }[];
  /** Those that wait for another one of their key. */
  readonly behindKey: number;
  /** By the first limit that stops them, the one that stops most first. */
  readonly stopped: readonly StoppedJobs[];
  readonly isExact: boolean;
}

export function standingIn(lines: ReadyLines, queue: string, nowMs: number): QueueStanding {
  const seen = new Lanes(lines.gates, nowMs);
  const stopped = new Map<string, StoppedJobs>();
  let ready = 0;
  let open = 0;
  let shown = 0;
  const requiring: { labels: readonly string[]; jobs: number }[] = [];
  for (const stand of lines.stands.of(queue)) {
    const openBefore = open;
    for (const [, line] of lines.linesOf(stand)) countLine(line);
    const labels = lines.stands.requiresOf(queue, stand);
    if (labels !== undefined && open > openBefore)
      requiring.push({ labels, jobs: open - openBefore });
  }
  function countLine({ plain, lanes }: Line): void {
    ready += plain.size + (lanes?.jobs.size ?? 0);
    if (lanes === undefined) {
      open += plain.size;
      shown += plain.size;
      return;
    }
    for (const [line, need] of seen.all(lanes)) {
      shown += line.jobs.size;
      if (need === undefined) {
        open += line.jobs.size;
        continue;
      }
      const found = stopped.get(need.gate.name) ?? { need, jobs: 0 };
      found.jobs += line.jobs.size;
      stopped.set(need.gate.name, found);
    }
  }
  return {
    ready,
    open,
    requiring,
    behindKey: seen.isExact ? ready - shown : 0,
    stopped: [...stopped.values()].sort((one, other) => other.jobs - one.jobs),
    isExact: seen.isExact,
  };
}

/** The lanes of sets with what stops them, up to the bound. */
class Lanes {
  readonly #gates: Gates;
  readonly #nowMs: number;
  #seen = 0;
  isExact = true;

  constructor(gates: Gates, nowMs: number) {
    this.#gates = gates;
    this.#nowMs = nowMs;
  }

  *all(set: LaneSet): Iterable<readonly [LaneLine, Need | undefined]> {
    if (set.plain.jobs.size > 0) yield [set.plain, undefined];
    for (const line of set.lanes.values()) {
      if (++this.#seen > lanesSeenMax) {
        this.isExact = false;
        return;
      }
      yield [line, this.#stopOf(set, line)];
    }
  }

  *open(set: LaneSet): Iterable<LaneLine> {
    for (const [line, stop] of this.all(set)) if (stop === undefined) yield line;
  }

  #stopOf(set: LaneSet, line: LaneLine): Need | undefined {
    const isShut = (need: Need) => !this.#gates.isOpen(need, this.#nowMs);
    const stop = line.needs.find(isShut);
    const cost = costOf(line.lane);
    if (stop !== undefined || set.queueGate === undefined || cost === 1) return stop;
    const need = { gate: set.queueGate, slots: 1, cost };
    return isShut(need) ? need : undefined;
  }
}
