/** Handlers of operations on limits. */
import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { pageRowsDefault } from "../api/page.ts";
import { CorvoError } from "../base/errors.ts";
import { formatJobId } from "../base/ids.ts";
import { formatTime } from "../base/time.ts";
import type { Rate } from "../engine/limits/rate.ts";
import type { LimitScope, LimitTarget, LimitValues } from "../engine/limits/setting.ts";
import { type LimitView, limitView } from "./limit-views.ts";
import type { Node } from "./node.ts";
import { endOf, type Listing, pageOf, startOf } from "./page.ts";
import { toDuration, toTime } from "./values.ts";

type LimitHandlers = Pick<
  Handlers,
  | "listLimits"
  | "setLimit"
  | "getLimit"
  | "removeLimit"
  | "pauseLimit"
  | "resumeLimit"
  | "blockedKeys"
  | "setResource"
  | "getResource"
  | "removeResource"
  | "pauseResource"
  | "resumeResource"
  | "setConcurrency"
  | "setThrottle"
  | "removeThrottle"
>;
type Body = InputOf<Operations["setLimit"]>["body"];
type LimitPart = Partial<Pick<Body, "key" | "each_key" | "group" | "each_group">>;
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const changeBytes = 512;

export function createLimitHandlers(node: Node): LimitHandlers {
  return { ...settingHandlers(node), ...pauseHandlers(node), ...listHandlers(node) };
}

type SettingHandlers = Pick<
  LimitHandlers,
  | "setLimit"
  | "removeLimit"
  | "setResource"
  | "removeResource"
  | "setConcurrency"
  | "setThrottle"
  | "removeThrottle"
>;

function settingHandlers(node: Node): SettingHandlers {
  const set = async (target: LimitTarget, values: LimitValues) => {
    await node.propose({ kind: "setLimit", target, values }, changeBytes);
    return limitView(node, target);
  };
  const remove = async (target: LimitTarget) => {
    await node.propose({ kind: "removeLimit", target }, changeBytes);
    return { status: "removed" };
  };
  const replace = async (
    queue: string,
    only: "concurrency" | "rate",
    values: LimitValues,
  ): Promise<{ status: string }> => {
    const target: LimitTarget = { scope: "queue", queue, name: "" };
    await node.propose({ kind: "setLimit", target, values, only }, changeBytes);
    return { status: "ok" };
  };
  return {
    setLimit: ({ params, body }) => {
      const target = targetOf(params.name, body);
      return set(target, toValues(target.scope, body));
    },
    // What stands in the body must not be passed over: without it, the limit of the whole queue would go.
    removeLimit: ({ params, query, body }) => remove(targetOf(params.name, query, body)),
    setResource: ({ params, body }) => set(resourceOf(params.name), toValues("resource", body)),
    removeResource: ({ params }) => remove(resourceOf(params.name)),
    setConcurrency: ({ params, body }) =>
      replace(params.name, "concurrency", body.max > 0 ? { concurrency: body.max } : {}),
    setThrottle: ({ params, body }) =>
      replace(params.name, "rate", {
        rate: { kind: "sliding", count: body.rate, windowMs: body.window_ms },
      }),
    removeThrottle: ({ params }) => replace(params.name, "rate", {}),
  };
}

type PauseHandlers = Pick<
  LimitHandlers,
  "pauseLimit" | "resumeLimit" | "pauseResource" | "resumeResource"
>;

function pauseHandlers(node: Node): PauseHandlers {
  const pause = async (target: LimitTarget, body: InputOf<Operations["pauseResource"]>["body"]) => {
    const pauseMs = toPauseMs(node, body);
    await node.propose({ kind: "pauseLimit", target, pauseMs }, changeBytes);
    const { pausedUntilMs } = node.replica.engine.limits.status(target, node.readMs);
    return { status: "paused", paused_until: formatTime(pausedUntilMs) };
  };
  const resume = async (target: LimitTarget) => {
    await node.propose({ kind: "pauseLimit", target, pauseMs: 0 }, changeBytes);
    return { status: "resumed" };
  };
  return {
    pauseLimit: ({ params, body }) => pause(keyOrQueue(params.name, body.key), body),
    resumeLimit: ({ params, body }) => resume(keyOrQueue(params.name, body.key)),
    pauseResource: ({ params, body }) => pause(resourceOf(params.name), body),
    resumeResource: ({ params }) => resume(resourceOf(params.name)),
  };
}

function listHandlers(
  node: Node,
): Pick<LimitHandlers, "listLimits" | "getLimit" | "getResource" | "blockedKeys"> {
  return {
    async listLimits({ query }) {
      const named = new Map<string, LimitTarget>();
      const { limits: view } = node.replica.engine;
      for (const { target } of view.settings()) named.set(sortName(target), target);
      for (const target of view.paused(node.readMs)) named.set(sortName(target), target);
      const targets = [...named.values()].filter(
        ({ queue }) => query.queue === undefined || queue === query.queue,
      );
      const listing = { ...limitListing, placeOf: sortName };
      const { rows, end } = pageOf(listing, query, targets);
      return { limits: rows.map((target) => limitView(node, target)), ...end };
    },
    getLimit: async ({ params, query }) => limitView(node, targetOf(params.name, query)),
    getResource: async ({ params }) => limitView(node, resourceOf(params.name)),
    async blockedKeys({ params, query }) {
      const { engine } = node.replica;
      if (engine.state.getQueue(params.name) === undefined) {
        throw new CorvoError("NOT_FOUND", `no queue "${params.name}"`);
      }
      const limit = query.limit ?? pageRowsDefault;
      const after = startOf(blockedKeysList, query);
      const found = engine.limits.blockedKeys(params.name, after, limit + 1);
      const keys = found.slice(0, limit).map(({ key, holder, waiting }) => {
        const job = engine.state.getJob(holder);
        if (job === undefined) throw new Error("the oldest job of a key exists");
        const job_id = formatJobId(job.seq, job.createdAtMs, node.options.shard);
        return { key, job_id, state: job.state, waiting };
      });
      return { keys, ...endOf(blockedKeysList, found.length > limit, keys.at(-1)?.key) };
    },
  };
}

/** Orders a list by queue, then what is limited there; resources, which have no queue, come first. */
function sortName(target: LimitTarget): string {
  return `${target.queue}\n${target.scope}\n${target.name}`;
}

const blockedKeysList = "blocked-keys";

/** Limits as they are answered. */
export const limitListing: Listing<LimitView> = {
  list: "limits",
  isReverse: false,
  placeOf: (view) =>
    sortName(
      view.resource === undefined ? targetOf(view.queue ?? "", view) : resourceOf(view.resource),
    ),
};

function resourceOf(name: string): LimitTarget {
  return { scope: "resource", queue: "", name };
}

function keyOrQueue(queue: string, key: string | null | undefined): LimitTarget {
  return key == null ? { scope: "queue", queue, name: "" } : { scope: "key", queue, name: key };
}

function targetOf(queue: string, ...parts: readonly LimitPart[]): LimitTarget {
  const named: [LimitScope, string][] = [];
  for (const part of parts) {
    if (part.key != null) named.push(["key", part.key]);
    if (part.each_key === true) named.push(["eachKey", ""]);
    if (part.group != null) named.push(["group", part.group]);
    if (part.each_group === true) named.push(["eachGroup", ""]);
  }
  if (named.length > 1) {
    throw invalid("key, each_key, group and each_group exclude each other; give one, or none");
  }
  const [scope, name] = named[0] ?? (["queue", ""] as const);
  return { scope, queue, name };
}

function toValues(scope: LimitScope, body: Partial<Body>): LimitValues {
  const values: Writable<LimitValues> = {};
  if (body.concurrency != null) values.concurrency = body.concurrency;
  if (body.rate != null) values.rate = toRate(body.rate);
  if (body.weight != null) values.weight = body.weight;
  if (body.backlog != null) values.backlog = body.backlog;
  const isGroup = scope === "group" || scope === "eachGroup";
  if (isGroup && (values.concurrency !== undefined || values.rate !== undefined)) {
    throw invalid(
      "groups have a weight and a backlog; for concurrency and rate give the jobs a limit_key",
    );
  }
  if (!isGroup && (values.weight !== undefined || values.backlog !== undefined)) {
    throw invalid("weight and backlog are of groups; name one with group, or all with each_group");
  }
  if (Object.keys(values).length === 0) {
    const wanted = isGroup ? "weight or backlog" : "concurrency or rate";
    throw invalid(`nothing is limited: give ${wanted}, or remove the limit`);
  }
  return values;
}

function toRate(rate: NonNullable<Body["rate"]>): Rate {
  const kind = rate.kind ?? "token";
  const windowMs = toDuration("rate.window", rate.window);
  if (windowMs < 1) throw invalid(`rate.window: "${rate.window}" is no time`);
  if (windowMs > limits.rateWindowMsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `rate.window: "${rate.window}" is longer than 30 days (rateWindowMsMax)`,
    );
  }
  if (rate.burst != null && kind !== "token") {
    throw invalid(`rate.burst: a ${kind} rate has no burst; only token has`);
  }
  const burst = rate.burst == null ? {} : { burst: rate.burst };
  return { kind, count: rate.count, windowMs, ...burst };
}

function toPauseMs(node: Node, body: InputOf<Operations["pauseResource"]>["body"]): number {
  if ((body.for == null) === (body.until == null)) {
    throw invalid("give for or until, one of them, to say how long the pause is");
  }
  const pauseMs =
    body.for == null
      ? toTime("until", body.until ?? "") - node.deps.clock.nowMs()
      : toDuration("for", body.for);
  if (pauseMs > 0 && pauseMs <= limits.delayMsMax) return pauseMs;
  throw invalid(
    body.for == null
      ? `until: ${body.until} is not within the next 10 years`
      : `for: "${body.for}" is no time`,
  );
}

function invalid(message: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", message);
}
