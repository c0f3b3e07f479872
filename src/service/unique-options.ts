/**
 * The options about a unique key, from the wire to the engine. `debounce`, `throttle` and `singleton` are short for a
 * scope, a period and a rule for conflicts; the engine knows only those. What contradicts itself is refused here with the
 * reason, because whichever half were followed, somebody would have meant the other.
 */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import type { NewJob } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import type { JobOptions, OnConflict, UniqueScope } from "../engine/options.ts";
import { optionalDuration } from "./values.ts";

type Spec = Static<typeof NewJob>;

/** Longer than any job waits: held without a limit in time. */
const unlimitedMs = limits.delayMsMax;

type UniqueOption =
  | "uniqueKey"
  | "uniqueMs"
  | "uniqueScope"
  | "onConflict"
  | "debounceMs"
  | "debounceMaxMs"
  | "merge";

export const uniqueReaders: {
  readonly [Name in UniqueOption]: (spec: Spec) => JobOptions[Name] | undefined;
} = {
  uniqueKey: (spec) => spec.unique_key ?? undefined,
  uniqueMs: (spec) => {
    if (spec.unique_period != null) return spec.unique_period * 1000;
    if (spec.throttle != null) return optionalDuration("throttle", spec.throttle);
    return isUnlimited(spec) ? unlimitedMs : undefined;
  },
  uniqueScope: (spec) => scopeOf(spec),
  onConflict: (spec) => conflictOf(spec),
  debounceMs: (spec) => optionalDuration("debounce", spec.debounce),
  debounceMaxMs: (spec) => optionalDuration("debounce_max", spec.debounce_max),
  merge: (spec) => spec.merge ?? undefined,
};

function isUnlimited(spec: Spec): boolean {
  return spec.debounce != null || spec.singleton != null || spec.on_conflict === "keep_last";
}

function scopeOf(spec: Spec): UniqueScope | undefined {
  if (spec.throttle != null) return "period";
  return spec.debounce != null ? "waiting" : (spec.unique_scope ?? undefined);
}

function conflictOf(spec: Spec): OnConflict | undefined {
  if (spec.debounce != null) return "replace";
  return spec.singleton === "cancel" ? "cancel" : (spec.on_conflict ?? undefined);
}

const keyed = [
  "unique_period",
  "unique_scope",
  "on_conflict",
  "debounce",
  "throttle",
  "singleton",
  "merge",
] as const satisfies readonly (keyof Spec)[];

/** What a short form decides by itself. */
const decidedBy: readonly (readonly [short: keyof Spec, decides: readonly (keyof Spec)[]])[] = [
  [
    "debounce",
    [
      "unique_scope",
      "on_conflict",
      "unique_period",
      "throttle",
      "singleton",
      "delay",
      "scheduled_at",
    ],
  ],
  ["throttle", ["unique_scope", "on_conflict", "unique_period", "singleton", "merge"]],
  ["singleton", ["unique_scope", "on_conflict", "unique_period", "merge"]],
];

export function refuseContradictions(spec: Spec): void {
  if (spec.debounce_max != null) checkDebounceMax(spec);
  const given = keyed.filter((name) => spec[name] != null);
  if (given.length === 0) return;
  // 0.3 took a period without a key for nothing, and so it stays.
  const needsKey = given.find((name) => name !== "unique_period");
  if (needsKey !== undefined && spec.unique_key == null) {
    throw contradiction(
      needsKey,
      "it says what happens to jobs of one unique_key, and none is given",
    );
  }
  for (const [short, decides] of decidedBy) {
    if (spec[short] == null) continue;
    const other = decides.find((name) => spec[name] != null);
    if (other !== undefined) throw contradiction(other, `${short} decides that itself`);
  }
  checkDurations(spec);
  checkScope(spec);
  checkDependencies(spec);
  checkChain(spec);
  checkMerge(spec);
}

function checkDebounceMax(spec: Spec): void {
  if (spec.debounce == null) {
    throw contradiction("debounce_max", "it bounds debounce, which is not given");
  }
  const maxMs = optionalDuration("debounce_max", spec.debounce_max) ?? 0;
  if (maxMs < (optionalDuration("debounce", spec.debounce) ?? 0)) {
    throw contradiction("debounce_max", `${spec.debounce_max} is shorter than debounce`);
  }
}

function checkDurations(spec: Spec): void {
  for (const name of ["debounce", "throttle"] as const) {
    if (optionalDuration(name, spec[name]) === 0) throw contradiction(name, "0 would mean nothing");
  }
}

function checkScope(spec: Spec): void {
  const scope = spec.unique_scope ?? "done";
  const rule = spec.on_conflict;
  if (rule === "keep_last" && scope !== "done") {
    throw contradiction(
      "on_conflict",
      `keep_last waits for the end of a running job; with unique_scope ${scope} it does not hold the key then`,
    );
  }
  if (rule === "keep_last" && spec.unique_period != null) {
    throw contradiction("unique_period", "keep_last waits for as long as the other job runs");
  }
  if (rule === "cancel" && scope !== "done") {
    throw contradiction(
      "on_conflict",
      scope === "waiting"
        ? "with unique_scope waiting only a job that never ran could be cancelled; replace does that and keeps its id"
        : "with unique_scope period the key may be held by a job that is done, which nothing can cancel",
    );
  }
}

function checkDependencies(spec: Spec): void {
  const rule = conflictOf(spec);
  if ((rule !== "replace" && rule !== "keep_last") || (spec.depends_on ?? []).length === 0) return;
  throw contradiction(
    "depends_on",
    "a job that may take the place of a waiting one cannot depend on others, since they may wait for that very job",
  );
}

function checkChain(spec: Spec): void {
  const rule = conflictOf(spec);
  if ((rule !== "replace" && rule !== "keep_last") || spec.chain == null) return;
  throw contradiction(
    "chain",
    "a job that begins a chain cannot take the place of a waiting one; on_conflict cancel ends the chain that waits and begins this one",
  );
}

function checkMerge(spec: Spec): void {
  if (spec.merge == null) return;
  const rule = conflictOf(spec);
  if (rule !== "replace" && rule !== "keep_last") {
    throw contradiction(
      "merge",
      "payloads are joined when a job is replaced; it needs debounce, or on_conflict replace or keep_last",
    );
  }
  const isJson = spec.payload_base64 == null && spec.payload_blob == null;
  const text = isJson ? (spec.payload?.text ?? "{}") : "";
  const isList = text.trimStart().startsWith("[");
  const isObject = text.trimStart().startsWith("{");
  if (spec.merge === "append" ? !isList : !isObject) {
    const wanted = spec.merge === "append" ? "an array" : "an object";
    throw contradiction("merge", `"${spec.merge}" needs ${wanted} as the payload`);
  }
}

function contradiction(field: keyof Spec, why: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", `${field}: ${why}`, {
    hint: "docs/reference/admission.md says which options go together.",
    details: { path: field },
  });
}
