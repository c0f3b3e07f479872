/**
 * What clients did with each job and when, and whether one order explains it: each call takes effect at one moment
 * between its begin and its answer, as if there were a single copy of the job. A search over the orders, job by job: take
 * any call that began before the earliest end among those left, apply it to a model of the job, go on; remember which
 * sets of calls with which state lead nowhere. A call without an answer may take effect at any later time, or never.
 *
 * The model leaves time out of it: a lease may end at any moment, and a claim whose answer was lost may have happened.
 * That only permits more; when leases begin and end is checked by their times elsewhere.
 */

type Verdict = "ok" | "refused" | "unavailable" | "unknown";

export interface JobEvent {
  readonly kind: "enqueue" | "claim" | "ack" | "fail" | "kill" | "release" | "cancel" | "read";
  readonly token: string | undefined;
  readonly beganMs: number;
  endedMs: number;
  verdict: Verdict;
  /** What a read showed: a state, or `absent`. */
  seen: string | undefined;
}

export class History {
  readonly #byJob = new Map<string, JobEvent[]>();
  count = 0;

  begin(
    marker: string,
    kind: JobEvent["kind"],
    { token, beganMs = performance.now() }: { token?: string; beganMs?: number } = {},
  ): JobEvent {
    const event: JobEvent = {
      kind,
      token,
      beganMs,
      endedMs: Number.POSITIVE_INFINITY,
      verdict: "unknown",
      seen: undefined,
    };
    this.count += 1;
    const events = this.#byJob.get(marker);
    if (events === undefined) this.#byJob.set(marker, [event]);
    else events.push(event);
    return event;
  }

  /** Jobs whose events no order explains, with the events. */
  contradictions(): string[] {
    const found: string[] = [];
    for (const [marker, events] of this.#byJob) {
      if (isLinearizable(events)) continue;
      const told = [...events].sort((one, other) => one.beganMs - other.beganMs).map(describe);
      found.push(`${marker}: no order explains ${told.join("; ")}`);
    }
    return found;
  }
}

export function settle(event: JobEvent, verdict: Verdict, seen?: string): void {
  event.verdict = verdict;
  event.seen = seen;
  if (verdict !== "unknown") event.endedMs = performance.now();
}

function describe(event: JobEvent): string {
  const end = Number.isFinite(event.endedMs) ? event.endedMs.toFixed(1) : "never";
  return `${event.kind}${event.token === undefined ? "" : ` ${event.token}`} ${event.beganMs.toFixed(1)}-${end} ${event.verdict}${event.seen === undefined ? "" : ` ${event.seen}`}`;
}

/** `absent`, `waiting`, `active <token>`, or an end. A claim that nobody saw has the token `?`. */
type State = string;

const ends: ReadonlySet<State> = new Set(["completed", "dead", "cancelled"]);
const workerEnds = { ack: "completed", fail: "waiting", kill: "dead", release: "waiting" } as const;

/** States that time, or a claim whose answer was lost, can make of this one. */
function drift(state: State): readonly State[] {
  if (state === "waiting") return ["waiting", "active ?"];
  return state.startsWith("active") ? [state, "waiting", "active ?"] : [state];
}

/** The state after the event, or undefined when it cannot have happened in this one. */
function apply(event: JobEvent, state: State): State | undefined {
  const isOk = event.verdict !== "refused";
  switch (event.kind) {
    case "enqueue":
      return state === "absent" ? "waiting" : undefined;
    case "claim":
      return state === "waiting" ? `active ${event.token}` : undefined;
    case "cancel":
      if (!isOk) return state === "absent" || ends.has(state) ? state : undefined;
      return state === "absent" || ends.has(state) ? undefined : "cancelled";
    case "read":
      return event.seen === shownAs(state) ? state : undefined;
    default: {
      const holds = state === `active ${event.token}`;
      if (!isOk) return holds ? undefined : state;
      return holds ? workerEnds[event.kind] : undefined;
    }
  }
}

function shownAs(state: State): string {
  return state.startsWith("active") ? "active" : state;
}

/** What the service calls a job that is not claimed and not over. */
export function stateShown(state: string): string {
  return ["pending", "scheduled", "retrying"].includes(state) ? "waiting" : state;
}

export function isLinearizable(all: readonly JobEvent[]): boolean {
  // Calls that were turned away said nothing about the job; reads without an answer neither.
  const events = all.filter(
    ({ kind, verdict }) =>
      verdict !== "unavailable" &&
      !(verdict === "unknown" && (kind === "read" || kind === "claim")),
  );
  const hopeless = new Set<string>();
  const search = (left: readonly JobEvent[], state: State): boolean => {
    if (left.every(({ verdict }) => verdict === "unknown")) return true;
    const key = `${left.map((event) => events.indexOf(event)).join()}|${state}`;
    if (hopeless.has(key)) return false;
    const firstEndMs = Math.min(...left.map(({ endedMs }) => endedMs));
    for (const event of left) {
      if (event.beganMs > firstEndMs) continue;
      const rest = left.filter((other) => other !== event);
      for (const before of drift(state)) {
        const after = apply(event, before);
        if (after !== undefined && search(rest, after)) return true;
      }
    }
    hopeless.add(key);
    return false;
  };
  return search(events, "absent");
}
