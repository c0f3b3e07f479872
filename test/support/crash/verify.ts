/** Holds what a restarted server shows against the journal. Every sentence that comes back is a broken promise. */
import type { Call, Claim, Journal, Track } from "./journal.ts";

export interface Shown {
  readonly id: string;
  readonly queue: string;
  readonly state: string;
  readonly payload: { readonly m: string };
}

export interface ShownQueue {
  readonly name: string;
  readonly paused: boolean;
  readonly [state: string]: unknown;
}

const states = [
  "pending",
  "scheduled",
  "active",
  "retrying",
  "completed",
  "dead",
  "cancelled",
  "held",
] as const;

/** `results` has the result of each completed job, by marker. */
export function verify(
  journal: Journal,
  shown: readonly Shown[],
  results: ReadonlyMap<string, unknown>,
): string[] {
  const problems: string[] = [];
  const byMarker = new Map<string, Shown[]>();
  for (const job of shown) {
    const same = byMarker.get(job.payload.m) ?? [];
    byMarker.set(job.payload.m, [...same, job]);
    if (!journal.tracks.has(job.payload.m)) problems.push(`${job.id}: nobody sent it`);
  }
  for (const track of journal.tracks.values()) {
    const jobs = byMarker.get(track.marker) ?? [];
    problems.push(...verifyPresence(track, jobs));
    problems.push(...verifyLeases(track));
    const [job] = jobs;
    if (job !== undefined) problems.push(...verifyEnd(track, job, results.get(track.marker)));
  }
  return problems;
}

function verifyPresence(track: Track, jobs: readonly Shown[]): string[] {
  const name = `${track.marker} (${track.id ?? "no id"})`;
  if (jobs.length > 1) return [`${name}: is there ${jobs.length} times`];
  if (track.isRefused) return jobs.length === 0 ? [] : [`${name}: was refused, and is there`];
  if (track.id === undefined) return [];
  if (jobs.length === 0) return [`${name}: was acknowledged, and is lost`];
  return jobs[0]?.id === track.id ? [] : [`${name}: is there as ${jobs[0]?.id}`];
}

function verifyEnd(track: Track, job: Shown, result: unknown): string[] {
  const { calls } = track;
  const name = `${track.marker} (${job.id}, ${job.state})`;
  const done = (kind: Call["kind"]) => calls.find((call) => call.kind === kind && isOk(call));
  const sent = (kind: Call["kind"]) => calls.some((call) => call.kind === kind && mayHave(call));
  const problems: string[] = [];
  const expect = (holds: boolean, says: string) => {
    if (!holds) problems.push(`${name}: ${says}`);
  };

  const acked = done("ack");
  if (acked !== undefined) {
    expect(job.state === "completed", "its ack was acknowledged");
    expect(result === acked.token, `its result is ${result}, acknowledged was ${acked.token}`);
  }
  const ackTokens = new Set(calls.filter((c) => c.kind === "ack" && isOk(c)).map((c) => c.token));
  expect(ackTokens.size <= 1, "two attempts were both acked");
  if (job.state === "completed") {
    const mayBe = calls.some((c) => c.kind === "ack" && mayHave(c) && c.token === result);
    expect(mayBe, `nobody sent the ack with result ${result}`);
  }
  if (job.state === "cancelled") expect(sent("cancel"), "nobody cancelled it");
  if (job.state === "dead") expect(sent("kill"), "nobody sent it to dead");
  if (!sent("retry")) {
    if (done("cancel") !== undefined) expect(job.state === "cancelled", "its cancel was answered");
    if (done("kill") !== undefined) expect(job.state === "dead", "its last fail was answered");
  }
  return problems;
}

/** A lease begins only when the one before it is over: by its time, by its worker's word, or by an operator's. */
function verifyLeases(track: Track): string[] {
  const problems: string[] = [];
  const claims = [...track.claims].sort((one, other) => one.startMs - other.startMs);
  const tokens = new Set(claims.map((claim) => claim.token));
  if (tokens.size < claims.length) problems.push(`${track.marker}: one lease was handed out twice`);
  for (let i = 1; i < claims.length; i++) {
    const [first, second] = [claims[i - 1], claims[i]];
    if (first === undefined || second === undefined) continue;
    const isOver =
      second.startMs >= first.endMs || track.calls.some((call) => ends(call, first, second));
    if (!isOver) {
      problems.push(
        `${track.marker}: lease ${second.token} began at ${second.startMs}, while ${first.token} held until ${first.endMs}`,
      );
    }
    const acked = track.calls.some((c) => c.kind === "ack" && isOk(c) && c.token === first.token);
    if (acked) problems.push(`${track.marker}: was handed out again after its ack`);
  }
  for (const call of track.calls) {
    const own = claims.find(({ token }) => token === call.token);
    const later = claims.find((claim) => own !== undefined && claim.startMs > own.startMs);
    if (isOk(call) && later !== undefined && later.seenAt < call.sentAt) {
      problems.push(
        `${track.marker}: took the ${call.kind} of lease ${call.token}, though ${later.token} had begun`,
      );
    }
  }
  return problems;
}

function ends(call: Call, first: Claim, second: Claim): boolean {
  if (!mayHave(call) || call.sentAt > second.seenAt) return false;
  return call.token === undefined || call.token === first.token;
}

function isOk(call: Call): boolean {
  return call.verdict === "ok";
}

function mayHave(call: Call): boolean {
  return call.verdict !== "refused";
}

/** The counters of the queues are those of a recount of their jobs, and the switches stand as they were left. */
export function verifyQueues(
  journal: Journal,
  queues: readonly ShownQueue[],
  shown: readonly Shown[],
): string[] {
  const problems: string[] = [];
  for (const queue of queues) {
    const jobs = shown.filter((job) => job.queue === queue.name);
    for (const state of states) {
      const listed = jobs.filter((job) => job.state === state).length;
      if (queue[state] !== listed) {
        problems.push(`${queue.name}: counts ${queue[state]} ${state} jobs, lists ${listed}`);
      }
    }
    const paused = journal.paused.get(queue.name);
    if (paused !== undefined && paused !== queue.paused) {
      problems.push(`${queue.name}: paused is ${queue.paused}, answered was ${paused}`);
    }
  }
  return problems;
}
