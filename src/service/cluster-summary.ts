/**
 * How the cluster is, in one sentence for whoever looks after it: what it can lose, what is wrong, and what to do about it.
 * The worst thing comes first. A follower knows only itself and its leader, so it judges nothing that it cannot see.
 */
import { formatDuration } from "../base/time.ts";
import type { ClusterMember, ClusterView } from "./cluster.ts";

export interface ClusterSummary {
  /** For programs: `degraded` still takes writes, `unavailable` does not. */
  readonly status: "healthy" | "degraded" | "unavailable";
  readonly sentence: string;
}

export function summarizeCluster(view: ClusterView): ClusterSummary {
  const whole = summarizeMembers(view);
  const orphans = view.shards.filter((shard) => shard.leaderId === undefined);
  if (orphans.length === 0 || whole.status === "unavailable") return whole;
  const which = orphans.map(({ shard }) => shard).join(", ");
  const noun = orphans.length === 1 ? "Shard" : "Shards";
  return {
    status: "degraded",
    sentence: `${noun} ${which} of ${view.shards.length}: no leader is known to node ${view.selfId}, and writes to these queues wait for an election. ${whole.sentence}`,
  };
}

function summarizeMembers(view: ClusterView): ClusterSummary {
  // It hears of the others only through the leader, so their silence towards it means nothing.
  if (view.leaderId !== undefined && view.leaderId !== view.selfId) {
    return {
      status: "healthy",
      sentence: `Node ${view.selfId} follows leader ${view.leaderId}; ask the leader how the others are.`,
    };
  }
  const voters = view.members.filter((member) => member.voter);
  const down = voters.filter((member) => member.state === "unreachable");
  const majority = Math.floor(voters.length / 2) + 1;
  if (voters.length - down.length < majority) return lostMajority(voters, down, majority);
  if (view.leaderId === undefined) {
    return {
      status: "unavailable",
      sentence: `No leader is known to node ${view.selfId}: writes wait for an election. If this lasts, check that a majority (${majority} of ${count(voters.length, "voter")}) is running and reachable.`,
    };
  }
  if (view.members.length === 1 && fullOnes(view.members).length > 0) {
    return {
      status: "degraded",
      sentence: "A single node, whose disk is full: it can store nothing until there is space.",
    };
  }
  if (view.members.length === 1) {
    return {
      status: "healthy",
      sentence: [
        "A single node: healthy; losing its disk loses its jobs.",
        ...drainingOnes(view),
      ].join(" "),
    };
  }
  return judge(view, voters, down);
}

function lostMajority(
  voters: readonly ClusterMember[],
  down: readonly ClusterMember[],
  majority: number,
): ClusterSummary {
  return {
    status: "unavailable",
    sentence: `Writes stopped: ${down.length} of ${count(voters.length, "voter")} cannot be reached (${names(down)}) and ${majority} are needed; start them again.`,
  };
}

/** As the leader sees it, with a majority. */
function judge(
  view: ClusterView,
  voters: readonly ClusterMember[],
  down: readonly ClusterMember[],
): ClusterSummary {
  const majority = Math.floor(voters.length / 2) + 1;
  const full = fullOnes(voters);
  const spare = Math.max(0, voters.length - down.length - full.length - majority);
  const parts: string[] = [];
  const silent = down.filter((member) => !member.isOneWay);
  if (silent.length > 0) {
    parts.push(
      `Degraded: ${names(silent)} cannot be reached, and the cluster ${survives(spare)}. Start it again, or replace it: add another with \`corvo server --join\`, then \`corvo cluster remove ${silent[0]?.id}\`.`,
    );
  }
  for (const member of down.filter(({ isOneWay }) => isOneWay)) {
    parts.push(
      `Degraded: node ${describeOneWay(member)}, and the cluster ${survives(spare)}. ${oneWayAdvice}`,
    );
  }
  if (full.length > 0) {
    parts.push(
      `Degraded: the disk of ${names(full)} is full, so nothing is stored there, and the cluster ${survives(spare)}. Free space on it.`,
    );
  }
  if (parts.length === 0) parts.push(soundness(voters.length, spare));
  parts.push(...others(view));
  const isHealthy = down.length + full.length === 0 && voters.length > 2;
  return { status: isHealthy ? "healthy" : "degraded", sentence: parts.join(" ") };
}

/** Of voters that are all there. */
function soundness(voters: number, spare: number): string {
  if (voters === 1) return "One voter: losing it stops writes.";
  if (voters === 2) {
    return "Two voters: losing either node stops writes; add a third with `corvo server --join`.";
  }
  const isEven = voters % 2 === 0;
  const advice = isEven
    ? ` An even number of voters tolerates no more than ${voters - 1} do: \`corvo cluster demote\` one, or add one.`
    : "";
  return `Healthy: the cluster ${survives(spare)}.${advice}`;
}

/** What does not endanger writes, and is worth a word all the same. */
function others(view: ClusterView): string[] {
  const parts = [...drainingOnes(view), ...wrongClocks(view)];
  const slow = view.members.filter((member) => member.voter && member.state === "catching up");
  if (slow.length > 0) parts.push(`Catching up: ${slow.map(describeLag).join(", ")}.`);
  const fetching = view.members.filter(({ voter, lacksBlobs }) => voter && lacksBlobs);
  if (fetching.length > 0) parts.push(`Fetching blobs of jobs: ${names(fetching)}.`);
  for (const learner of view.members.filter((member) => !member.voter)) {
    if (learner.isOneWay) {
      parts.push(`Learner ${describeOneWay(learner)}. ${oneWayAdvice}`);
    } else if (learner.state === "unreachable") {
      parts.push(`Learner ${learner.id} cannot be reached.`);
    } else if (learner.state === "catching up") {
      parts.push(`Learner ${describeLag(learner)} is catching up and votes when it has.`);
    } else if (learner.lacksBlobs) {
      parts.push(
        `Learner ${learner.id} is fetching blobs of jobs, and does not vote before it has them.`,
      );
    } else {
      parts.push(`Learner ${learner.id} keeps a copy and does not vote.`);
    }
  }
  return parts;
}

function drainingOnes({ members }: ClusterView): string[] {
  return members
    .filter((member) => member.state === "draining")
    .map(
      ({ id }) =>
        `Node ${id} is draining: it gives out no work. Stop it, or let it go on with \`corvo server drain --undo\`.`,
    );
}

/** What two clocks that are set by NTP never differ by. */
const skewMsMax = 1000;

function wrongClocks({ members, selfId }: ClusterView): string[] {
  const wrong = members.flatMap(({ id, state, clockSkewMs = 0 }) => {
    const byMs = Math.abs(clockSkewMs);
    // Of one that is out of touch it is old.
    if (byMs <= skewMsMax || state === "unreachable") return [];
    const by = formatDuration(Math.round(byMs / 100) * 100);
    return `node ${id} is ${by} ${clockSkewMs > 0 ? "ahead" : "behind"}`;
  });
  if (wrong.length === 0) return [];
  return [
    `Clocks differ from that of node ${selfId}: ${wrong.join(", ")}. Set them by NTP, since jobs fall due by the clock of whoever leads.`,
  ];
}

/** With less than this a log can no longer grow. */
const fullBelowBytes = 1024 * 1024;

function fullOnes(members: readonly ClusterMember[]): ClusterMember[] {
  return members.filter(
    ({ disk, state }) =>
      state !== "unreachable" && disk !== undefined && disk.freeBytes < fullBelowBytes,
  );
}

const oneWayAdvice = "Look at what lies between, and at its --peer-advertise.";

function describeOneWay({ id, peerAddress, failure }: ClusterMember): string {
  const why = failure === undefined ? "" : ` (${failure})`;
  return `${id} runs, but cannot be reached at ${peerAddress}${why}`;
}

function survives(spare: number): string {
  if (spare === 0) return "tolerates no further failure";
  return `tolerates ${count(spare, "failure")}`;
}

function describeLag(member: ClusterMember): string {
  if (member.lag === undefined) return String(member.id);
  return `${member.id} (${member.lag.toLocaleString("en-US")} entries behind)`;
}

function names(members: readonly ClusterMember[]): string {
  return members.map((member) => `node ${member.id}`).join(", ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
