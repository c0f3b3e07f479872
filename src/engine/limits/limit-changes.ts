/** Sets, removes and pauses limits. */

import type { PauseLimit, RaisedPause, RemoveLimit, SetLimit } from "../change.ts";
import type { Core } from "../core.ts";
import type { Job } from "../job.ts";
import { engineLimits } from "../limits.ts";
import { type Outcome, type Rejection, reject } from "../outcome.ts";
import { tooManyQueues } from "../queue-settings.ts";
import type { Lane } from "./lane.ts";
import {
  describeTarget,
  type LimitSetting,
  type LimitTarget,
  type LimitValues,
  limitName,
  nameOf,
} from "./setting.ts";

export function applyToLimit(core: Core, change: SetLimit | RemoveLimit | PauseLimit): Outcome {
  switch (change.kind) {
    case "setLimit":
      return setLimit(core, change);
    case "removeLimit":
      return removeLimit(core, change);
    case "pauseLimit":
      return pauseLimit(core, change);
  }
}

function setLimit(core: Core, change: SetLimit): Outcome {
  const { target } = change;
  const limits = core.state.records("limits");
  const name = nameOf(target);
  const old = limits.get(name);
  const values = merged(old, change);
  if (Object.keys(values).length === 0) {
    if (old === undefined) return { kind: "ok" };
    limits.delete(name);
    core.lines.settingChanged(target);
    return { kind: "ok" };
  }
  const refusal = old === undefined ? admit(core, target, limits.size) : undefined;
  if (refusal !== undefined) return refusal;
  // What was spent of a rate goes on counting as long as the rate stays what it is.
  const isSameRate = old !== undefined && sameRate(old, values);
  const revision = isSameRate ? old.revision : core.takeNumber();
  limits.put(name, { target, revision, ...values });
  core.lines.settingChanged(target);
  return { kind: "ok" };
}

function removeLimit(core: Core, { target }: RemoveLimit): Outcome {
  const limits = core.state.records("limits");
  if (!limits.has(nameOf(target))) {
    return reject("NOT_FOUND", `no limit is set for ${describeTarget(target)}`);
  }
  limits.delete(nameOf(target));
  core.lines.settingChanged(target);
  return { kind: "ok" };
}

function pauseLimit(core: Core, { target, pauseMs }: PauseLimit): Outcome {
  if (target.scope === "queue" && core.openQueue(target.queue) === undefined) {
    return tooManyQueues(target.queue);
  }
  return pauseUntil(core, target, core.nowMs + pauseMs) ?? { kind: "ok" };
}

/** Raises a pause with the end of an attempt; one that lasts longer already stays. */
export function raisePause(core: Core, job: Job, pause: RaisedPause): Rejection | undefined {
  const target = pauseTarget(job, pause);
  if (target === undefined) {
    return reject("VALIDATION_ERROR", 'pause_scope: "key", but the job has no limit_key');
  }
  const pausedUntilMs = core.state.records("limitStates").get(nameOf(target))?.pausedUntilMs ?? 0;
  return pauseUntil(core, target, Math.max(pausedUntilMs, core.nowMs + pause.pauseMs));
}

/** Everything that was set for a queue that no longer exists. */
export function forgetQueueLimits(core: Core, queue: string): void {
  const limits = core.state.records("limits");
  for (const [name, { target }] of [...limits.entries()]) {
    if (target.queue === queue) limits.delete(name);
  }
  core.lines.gates.forgetQueue(queue);
}

/** Why a group may not get another waiting job; undefined when it may. */
export function backlogRefusal(core: Core, queue: string, group: string): Rejection | undefined {
  const limits = core.state.records("limits");
  if (limits.size === 0) return undefined;
  const own = limits.get(limitName("group", queue, group))?.backlog;
  const max = own ?? limits.get(limitName("eachGroup", queue))?.backlog;
  if (max === undefined || core.lines.backlogOf(queue, group) < max) return undefined;
  return reject(
    "LIMIT_EXCEEDED",
    `group "${group}" of queue "${queue}" has ${core.lines.backlogOf(queue, group)} waiting jobs; at most ${max} (its backlog limit)`,
  );
}

/** Why a queue may not get a job with these requirements; undefined when it may. */
export function requirementsRefusal(
  core: Core,
  queue: string,
  lane: Lane | undefined,
): Rejection | undefined {
  const requires = lane?.requires;
  if (requires === undefined) return undefined;
  const { stands } = core.lines;
  const { requirementSetsMax } = engineLimits;
  if (stands.has(queue, requires) || stands.count(queue) < requirementSetsMax) return undefined;
  return reject(
    "LIMIT_EXCEEDED",
    `requires: unfinished jobs of queue "${queue}" have ${requirementSetsMax} different sets of requirements already (requirementSetsMax)`,
  );
}

function pauseTarget(job: Job, pause: RaisedPause): LimitTarget | undefined {
  const key = job.options.lane?.key;
  switch (pause.scope) {
    case "queue":
      return { scope: "queue", queue: job.queue, name: "" };
    case "resource":
      return { scope: "resource", queue: "", name: pause.name ?? "" };
    case "key":
      return key === undefined ? undefined : { scope: "key", queue: job.queue, name: key };
  }
}

function pauseUntil(core: Core, target: LimitTarget, untilMs: number): Rejection | undefined {
  if (!core.lines.gates.pause(target, untilMs, core.nowMs)) {
    return reject(
      "LIMIT_EXCEEDED",
      `${engineLimits.limitStatesMax} queues, keys and resources are limited or paused already (limitStatesMax)`,
    );
  }
  core.lines.stateChanged(target);
  return undefined;
}

function admit(core: Core, target: LimitTarget, count: number): Rejection | undefined {
  if (count >= engineLimits.limitsMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `${describeTarget(target)} would be limit number ${count + 1}; at most ${engineLimits.limitsMax} (limitsMax)`,
    );
  }
  if (target.queue !== "" && core.openQueue(target.queue) === undefined) {
    return tooManyQueues(target.queue);
  }
  return undefined;
}

function merged(old: LimitSetting | undefined, { values, only }: SetLimit): LimitValues {
  if (only === undefined || old === undefined) return values;
  const { target: _, revision: __, [only]: ___, ...kept } = old;
  return { ...kept, ...values };
}

function sameRate(old: LimitValues, values: LimitValues): boolean {
  const [one, other] = [old.rate, values.rate];
  return (
    one?.kind === other?.kind &&
    one?.count === other?.count &&
    one?.windowMs === other?.windowMs &&
    one?.burst === other?.burst
  );
}
