/** From a chain as a client describes it to the plan that the engine follows. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import { ChainStep, NewJob as NewJobSchema } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import type { RawJson } from "../base/json.ts";
import type { ChainPlan } from "../engine/chains.ts";
import type { NewJob } from "../engine/change.ts";
import { knownMembers, refuseOtherOptions } from "./known-members.ts";
import type { JobPlace } from "./relations.ts";
import { refuseUnsupportedJob } from "./unsupported.ts";

type Spec = Static<typeof NewJobSchema>;
type Step = Static<typeof ChainStep>;
type ToJob = (spec: Spec, place: JobPlace) => NewJob;

/** What the steps of a chain take over from its first job, unless they say otherwise. */
const inherited = [
  "priority",
  "max_retries",
  "retry_backoff",
  "retry_base_delay",
  "retry_max_delay",
  "retry_jitter",
  "retry_jitter_mode",
  "retry_for",
  "no_retry_on",
  "max_lost_leases",
  "max_snoozes",
  "dead_queue",
  "timeout",
  "tags",
] as const;

/**
 * The first job of the chain that a job describes, without its chain: what is said of it outside of the chain goes before
 * what the first step says.
 */
export function firstJobOf(spec: Spec): Spec {
  const [first] = spec.chain?.steps ?? [];
  if (first === undefined) return spec;
  if (first.queue !== spec.queue) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      `chain.steps[0].queue: expected "${spec.queue}", the queue of the first job, got "${first.queue}"`,
    );
  }
  const outside = "say it of the job itself, outside of the chain";
  atPath("chain.steps[0]", () => {
    refuseUnsupportedJob(first);
    refuseOtherOptions(ChainStep, first, outside);
  });
  return { ...knownMembers(ChainStep, first), ...knownMembers(NewJobSchema, spec) };
}

export function toChainPlan(spec: Spec, place: JobPlace, toJob: ToJob): ChainPlan | undefined {
  const { chain } = spec;
  if (chain == null) return undefined;
  const defaults = Object.fromEntries(
    inherited.map((name) => [name, spec[name]]).filter(([, value]) => value != null),
  );
  const toStep = (step: Step, path: string) => stepJob(step, path, { defaults, place, toJob });
  const plan = {
    steps: chain.steps.slice(1).map((step, i) => toStep(step, `chain.steps[${i + 1}]`)),
    shard: place.shard,
    ...onFailureOf(chain.on_failure, toStep),
    ...(chain.on_exit == null ? {} : { onExit: toStep(chain.on_exit, "chain.on_exit") }),
  };
  refuseLarge(sizeOfPlan(plan));
  return plan;
}

/** Characters of a plan in the log, nearly. */
export function sizeOfPlan(plan: ChainPlan): number {
  const jobs = [...plan.steps, plan.onExit, plan.onFailure].filter(
    (job) => typeof job === "object",
  );
  return jobs.reduce((sum, job) => sum + 120 + job.payload.length, 0);
}

function refuseLarge(size: number): void {
  if (size <= limits.chainBytesMax) return;
  throw new CorvoError(
    "LIMIT_EXCEEDED",
    `chain: its steps are ${size} bytes; at most ${limits.chainBytesMax} (chainBytesMax)`,
  );
}

/** Clients of 0.3 may send a word instead of a step. */
function onFailureOf(
  given: Step | string | null | undefined,
  toStep: (step: Step, path: string) => NewJob,
): Pick<ChainPlan, "onFailure"> {
  if (given == null || given === "stop") return {};
  if (typeof given === "string") return { onFailure: "continue" };
  return { onFailure: toStep(given, "chain.on_failure") };
}

/** A job that follows others: a step of a chain, or what follows the end of a batch. */
export function stepJob(
  step: Step,
  path: string,
  { defaults, place, toJob }: { defaults: object; place: JobPlace; toJob: ToJob },
): NewJob {
  return atPath(path, () => {
    refuseUnsupportedJob(step);
    refuseOtherOptions(ChainStep, step, "a job that follows others cannot have it");
    if (step.payload != null && !isObject(step.payload)) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        "payload: expected an object, to which the result of the job before is added",
      );
    }
    return toJob({ ...defaults, ...knownMembers(ChainStep, step) }, place);
  });
}

/** What an error says is said of that part of the call. */
function atPath<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CorvoError)) throw error;
    throw new CorvoError(error.code, `${path}: ${error.message}`, { hint: error.hint });
  }
}

function isObject(payload: RawJson): boolean {
  return payload.text.trimStart().startsWith("{");
}
