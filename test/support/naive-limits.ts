/**
 * The rules of docs/reference/limits.md written down a second time: every start is remembered for ever, and whether a job
 * may run is worked out each time from all jobs, all starts and all settings.
 */
import type { PauseLimit, RaisedPause, RemoveLimit, SetLimit } from "../../src/engine/change.ts";
import { isFinished } from "../../src/engine/job.ts";
import type { Rate } from "../../src/engine/limits/rate.ts";
import type { LimitTarget, LimitValues } from "../../src/engine/limits/setting.ts";
import type { ModelJob } from "./naive-job.ts";

interface Setting {
  readonly target: LimitTarget;
  readonly values: LimitValues;
  readonly revision: number;
}

interface Start {
  readonly target: LimitTarget;
  readonly revision: number;
  readonly atMs: number;
  readonly cost: number;
}

/** What a job takes part in: an instance, with the units a run holds and the units a start costs. */
interface Part {
  readonly target: LimitTarget;
  readonly slots: number;
  readonly cost: number;
}

interface Turn {
  readonly queue: string;
  readonly requires: string;
  readonly priority: number;
  now: number;
  readonly passes: Map<string, number>;
}

const same = (one: LimitTarget, other: LimitTarget) =>
  one.scope === other.scope && one.queue === other.queue && one.name === other.name;

export class NaiveLimits {
  settings: Setting[] = [];
  #starts: Start[] = [];
  #pauses: { target: LimitTarget; untilMs: number }[] = [];
  #turns: Turn[] = [];

  /** The queue that a change makes, if it needs one. */
  opens(change: SetLimit | RemoveLimit | PauseLimit): { queue: string | undefined } {
    const { target } = change;
    if (change.kind === "removeLimit" || target.queue === "") return { queue: undefined };
    if (change.kind === "pauseLimit") {
      return { queue: target.scope === "queue" ? target.queue : undefined };
    }
    const isSome = this.#find(target) !== undefined || Object.keys(change.values).length > 0;
    return { queue: isSome ? target.queue : undefined };
  }

  change(change: RemoveLimit | PauseLimit, nowMs: number): string {
    if (change.kind === "removeLimit") return this.remove(change.target) ? "ok" : "NOT_FOUND";
    this.pause(change.target, nowMs + change.pauseMs);
    return "ok";
  }

  /** True when the setting took the number. */
  set({ target, values, only }: SetLimit, number: number): boolean {
    const old = this.#find(target);
    const next = { ...(only === undefined ? {} : old?.values), ...values };
    if (only !== undefined && values[only] === undefined) delete next[only];
    this.settings = this.settings.filter((setting) => setting !== old);
    if (Object.keys(next).length === 0) return false;
    const keeps =
      old !== undefined && JSON.stringify(old.values.rate) === JSON.stringify(next.rate);
    const revision = keeps ? old.revision : number;
    this.settings.push({ target, values: next, revision });
    return !keeps;
  }

  remove(target: LimitTarget): boolean {
    const old = this.#find(target);
    this.settings = this.settings.filter((setting) => setting !== old);
    return old !== undefined;
  }

  pause(target: LimitTarget, untilMs: number): void {
    this.#pauses = this.#pauses.filter((pause) => !same(pause.target, target));
    this.#pauses.push({ target, untilMs });
  }

  raise(job: ModelJob, pause: RaisedPause | undefined, nowMs: number): "refused" | "done" {
    if (pause === undefined) return "done";
    const key = job.options.lane?.key;
    if (pause.scope === "key" && key === undefined) return "refused";
    const name = pause.scope === "resource" ? (pause.name ?? "") : (key ?? "");
    const target: LimitTarget = {
      scope: pause.scope,
      queue: pause.scope === "resource" ? "" : job.queue,
      name: pause.scope === "queue" ? "" : name,
    };
    const before = this.#pauses.find((one) => same(one.target, target))?.untilMs ?? 0;
    this.pause(target, Math.max(before, nowMs + pause.pauseMs));
    return "done";
  }

  forgetQueue(queue: string): void {
    this.settings = this.settings.filter(({ target }) => target.queue !== queue);
    this.#starts = this.#starts.filter(({ target }) => target.queue !== queue);
    this.#pauses = this.#pauses.filter(({ target }) => target.queue !== queue);
  }

  /** The first job of a queue's line that may run: by priority, by the turn of its group, by place. */
  next(line: readonly ModelJob[], jobs: readonly ModelJob[], nowMs: number): ModelJob | undefined {
    const free = line.filter((job) => !this.isStopped(job, jobs, nowMs));
    const priority = Math.min(...free.map((job) => job.priority));
    return free
      .filter((job) => job.priority === priority)
      .sort((one, other) => this.#rankOf(one) - this.#rankOf(other) || one.order - other.order)[0];
  }

  /** A job starts: what that costs, and whose turn it is then. */
  serve(job: ModelJob, jobs: readonly ModelJob[], nowMs: number): void {
    for (const { target, cost } of partsOf(job)) {
      const setting = this.#inForce(target);
      if (setting?.values.rate === undefined) continue;
      this.#starts.push({ target, revision: setting.revision, atMs: nowMs, cost });
    }
    if (groupsOf({ ...job, requires: requiresOf(job) }, jobs) < 2) return;
    const rank = this.#rankOf(job);
    const turn = this.#turnOf(job) ?? {
      queue: job.queue,
      requires: requiresOf(job),
      priority: job.priority,
      now: 0,
      passes: new Map(),
    };
    if (!this.#turns.includes(turn)) this.#turns.push(turn);
    turn.now = rank;
    turn.passes.set(groupOf(job), rank + 1 / this.#weightOf(job));
  }

  /** Turns are over where fewer than two groups are left. */
  look(jobs: readonly ModelJob[]): void {
    this.#turns = this.#turns.filter((turn) => groupsOf(turn, jobs) > 1);
  }

  isOverBacklog(queue: string, group: string | undefined, jobs: readonly ModelJob[]): boolean {
    if (group === undefined) return false;
    const max = this.#ofGroup(queue, group, "backlog");
    const waiting = jobs.filter(
      (job) =>
        job.queue === queue &&
        job.options.lane?.group === group &&
        job.state !== "active" &&
        !isFinished(job.state),
    );
    return max !== undefined && waiting.length >= max;
  }

  isStopped(job: ModelJob, jobs: readonly ModelJob[], nowMs: number): boolean {
    const fifo = job.options.lane?.fifo;
    if (fifo !== undefined) {
      const others = jobs.filter(
        (other) =>
          other !== job &&
          other.queue === job.queue &&
          other.options.lane?.fifo === fifo &&
          !isFinished(other.state),
      );
      if (others.some((other) => other.seq < job.seq || other.state === "active")) return true;
    }
    return partsOf(job).some((part) => !this.#isOpen(part, jobs, nowMs));
  }

  #isOpen({ target, slots, cost }: Part, jobs: readonly ModelJob[], nowMs: number): boolean {
    const pause = this.#pauses.find((one) => same(one.target, target));
    if (pause !== undefined && pause.untilMs > nowMs) return false;
    const setting = this.#inForce(target);
    const max = setting?.values.concurrency;
    if (max !== undefined && usedOf(target, jobs) + Math.min(slots, max) > max) return false;
    const rate = setting?.values.rate;
    if (rate === undefined) return true;
    const starts = this.#starts.filter(
      (start) => same(start.target, target) && start.revision === setting?.revision,
    );
    return fitsRate(rate, starts, cost, nowMs);
  }

  #rankOf(job: ModelJob): number {
    const turn = this.#turnOf(job);
    return Math.max(turn?.now ?? 0, turn?.passes.get(groupOf(job)) ?? 0);
  }

  #turnOf(job: ModelJob): Turn | undefined {
    return this.#turns.find(
      (turn) =>
        turn.queue === job.queue &&
        turn.priority === job.priority &&
        turn.requires === requiresOf(job),
    );
  }

  #weightOf(job: ModelJob): number {
    return this.#ofGroup(job.queue, groupOf(job), "weight") ?? 1;
  }

  #ofGroup(queue: string, name: string, member: "weight" | "backlog"): number | undefined {
    const own = this.#find({ scope: "group", queue, name })?.values[member];
    return own ?? this.#find({ scope: "eachGroup", queue, name: "" })?.values[member];
  }

  #find(target: LimitTarget): Setting | undefined {
    return this.settings.find((setting) => same(setting.target, target));
  }

  #inForce(target: LimitTarget): Setting | undefined {
    const each: LimitTarget = { scope: "eachKey", queue: target.queue, name: "" };
    return this.#find(target) ?? (target.scope === "key" ? this.#find(each) : undefined);
  }
}

function partsOf(job: ModelJob): Part[] {
  const { lane } = job.options;
  const cost = lane?.cost ?? 1;
  const parts: Part[] = [
    { target: { scope: "queue", queue: job.queue, name: "" }, slots: 1, cost },
  ];
  if (lane?.key !== undefined) {
    parts.push({ target: { scope: "key", queue: job.queue, name: lane.key }, slots: 1, cost });
  }
  for (const [name, units] of lane?.resources ?? []) {
    parts.push({ target: { scope: "resource", queue: "", name }, slots: units, cost: units });
  }
  return parts;
}

function usedOf(target: LimitTarget, jobs: readonly ModelJob[]): number {
  return jobs
    .filter(({ state }) => state === "active")
    .flatMap(partsOf)
    .filter((part) => same(part.target, target))
    .reduce((sum, { slots }) => sum + slots, 0);
}

function groupOf(job: ModelJob): string {
  return job.options.lane?.group ?? "";
}

/** Jobs with other requirements stand in another line, which has turns of its own. */
export function requiresOf(job: ModelJob): string {
  return JSON.stringify(job.options.lane?.requires ?? []);
}

function groupsOf(
  { queue, priority, requires }: { queue: string; priority: number; requires: string },
  jobs: readonly ModelJob[],
): number {
  const ready = jobs.filter(
    (job) =>
      job.queue === queue &&
      job.priority === priority &&
      job.state === "pending" &&
      job.order > 0 &&
      requiresOf(job) === requires,
  );
  return new Set(ready.map(groupOf)).size;
}

function fitsRate(rate: Rate, starts: readonly Start[], cost: number, nowMs: number): boolean {
  if (rate.kind === "sliding") {
    const stepMs = Math.ceil(rate.windowMs / 1000);
    const counting = starts.filter(
      ({ atMs }) => Math.ceil(atMs / stepMs) * stepMs + rate.windowMs > nowMs,
    );
    const units = counting.reduce((sum, start) => sum + Math.min(start.cost, rate.count), 0);
    return units + Math.min(cost, rate.count) <= rate.count;
  }
  // What is owed, in units times the window: each start adds to it, each millisecond pays `count` back.
  let owed = 0;
  let atMs = 0;
  for (const start of starts) {
    owed = Math.max(0, owed - (start.atMs - atMs) * rate.count) + start.cost * rate.windowMs;
    atMs = start.atMs;
  }
  owed = Math.max(0, owed - (nowMs - atMs) * rate.count);
  if (rate.kind === "leaky") return owed < rate.count;
  const burst = rate.burst ?? rate.count;
  return owed + Math.min(cost, burst) * rate.windowMs <= burst * rate.windowMs;
}
