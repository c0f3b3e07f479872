/** Limits as clients see them. */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { formatTime } from "../base/time.ts";
import type { LimitStatus } from "../engine/limits/limit-view.ts";
import { type LimitTarget, type LimitValues, nameOf } from "../engine/limits/setting.ts";
import type { Node } from "./node.ts";

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
export type LimitView = Writable<ResultOf<Operations["setLimit"]>>;

export function limitView(node: Node, target: LimitTarget): LimitView {
  const { engine } = node.replica;
  const isGroup = target.scope === "group" || target.scope === "eachGroup";
  const isTemplate = isGroup || target.scope === "eachKey";
  const status = isTemplate ? undefined : engine.limits.status(target, node.readMs);
  const values: LimitValues =
    (status === undefined ? engine.state.records("limits").get(nameOf(target)) : status.setting) ??
    {};
  const view: LimitView = namesOf(target);
  if (values.concurrency !== undefined) view.concurrency = values.concurrency;
  if (values.rate !== undefined) {
    const { kind, count, windowMs, burst } = values.rate;
    view.rate = { count, window_ms: windowMs, kind, ...(burst === undefined ? {} : { burst }) };
  }
  if (values.weight !== undefined) view.weight = values.weight;
  if (values.backlog !== undefined) view.backlog = values.backlog;
  return status === undefined ? view : { ...view, ...stateView(node, status) };
}

function stateView(node: Node, status: LimitStatus): Partial<LimitView> {
  const open = status.opensAtMs <= node.readMs;
  const isTimed = !open && Number.isFinite(status.opensAtMs);
  return {
    in_use: status.used,
    open,
    ...(isTimed ? { opens_at: formatTime(status.opensAtMs) } : {}),
    ...(status.pausedUntilMs === 0 ? {} : { paused_until: formatTime(status.pausedUntilMs) }),
  };
}

function namesOf({ scope, queue, name }: LimitTarget): LimitView {
  switch (scope) {
    case "queue":
      return { queue };
    case "eachKey":
      return { queue, each_key: true };
    case "key":
      return { queue, key: name };
    case "eachGroup":
      return { queue, each_group: true };
    case "group":
      return { queue, group: name };
    case "resource":
      return { resource: name };
  }
}
