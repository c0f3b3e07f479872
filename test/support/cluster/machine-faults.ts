/**
 * What can befall the machine of a node: its clock, its syncs, its space. A log that cannot be synced ends its node; a
 * state that cannot be stored, and a full disk, are waited for. What a node says about it is no broken promise.
 */
import { type ClusterNode, until } from "./cluster.ts";
import { type Fault, type FaultEnv, type Mend, pick, victim } from "./fault.ts";

/** What a node ends with when its log can no longer be trusted. */
const failedLogExit = 70;
/** Under load every member writes all the time, so a failing sync is met at once. */
const endsWithinMs = 10_000;
const clockMsMax = 3 * 60_000;
/** Of time that the clients get to see a fault before it is made worse. */
const noticeMs = 700;

const saysLogFailed = /stopped: the log failed: /;
const saysNotStored = /the state could not be stored; it is kept in memory/;
const saysNoSnapshot = /no snapshot could be made/;
const saysNoRoom = /is full: there is no room to open the log|disk is still full; free at least/;

function machineOf(node: ClusterNode) {
  if (node.machine === undefined) throw new Error(`${node.name} has no machine to break`);
  return node.machine;
}

/** One of those with a small disk, which is made the leader in half of the cases, or all of them. */
async function fillable({ cluster, chance }: FaultEnv): Promise<ClusterNode[]> {
  const small = cluster.nodes.filter(({ machine }) => machine?.hasSmallDisk === true);
  const one = pick(small, chance);
  if (chance() < 0.5) {
    const leader = await cluster.leader();
    await leader.request("POST", "/api/v1/cluster/transfer-leader", { node: String(one.id) });
  }
  return chance() < 0.2 ? small : [one];
}

function fill(env: FaultEnv, nodes: readonly ClusterNode[]): Mend {
  env.strikes();
  for (const node of nodes) {
    node.excuses.push(saysNotStored, saysNoSnapshot, saysNoRoom);
    machineOf(node).fill(Math.floor(env.chance() * 1024 * 1024));
  }
  return async () => {
    for (const node of nodes) {
      machineOf(node).free();
      await startAgain(node);
    }
  };
}

/**
 * A start on a full disk works, or says how much to free; the same for a node that starts again inside its process, with
 * a state that it was sent.
 */
async function startAgain(node: ClusterNode): Promise<void> {
  if (node.isAlive) return;
  await node.stop();
  const last = node.log.trimEnd().split("\n").at(-1) ?? "";
  if (!saysNoRoom.test(last)) throw new Error(`${node.name} ended on its full disk: ${last}`);
  await node.start();
}

async function fullDisk(env: FaultEnv): Promise<Mend> {
  return fill(env, await fillable(env));
}

async function killedOnFullDisk(env: FaultEnv): Promise<Mend> {
  const [node] = await fillable(env);
  if (node === undefined) throw new Error("no node has a small disk");
  const free = fill(env, [node]);
  await Bun.sleep(noticeMs);
  await node.kill();
  await node.spawn().listening.catch(() => undefined);
  return free;
}

async function failingLog(env: FaultEnv): Promise<Mend> {
  const node = await victim(env);
  const machine = machineOf(node);
  node.excuses.push(saysLogFailed);
  env.strikes();
  machine.failSyncs("log");
  const code = await node.ended(endsWithinMs).finally(() => machine.failSyncs("none"));
  if (code !== failedLogExit) {
    throw new Error(`${node.name} ended with ${code} when its log could not be synced`);
  }
  return () => node.start();
}

async function failingState(env: FaultEnv): Promise<Mend> {
  const node = await victim(env);
  node.excuses.push(saysNotStored, saysNoSnapshot);
  env.strikes();
  machineOf(node).failSyncs("state");
  return async () => machineOf(node).failSyncs("none");
}

async function stalledLog(env: FaultEnv): Promise<Mend> {
  const node = await victim(env);
  env.strikes();
  machineOf(node).stallSyncs(100 + env.chance() * 4000);
  return async () => machineOf(node).stallSyncs(0);
}

/** The clock is put right afterwards, which is another jump, or stays wrong until it jumps again. */
async function clockJump(env: FaultEnv): Promise<Mend> {
  const machine = machineOf(await victim(env));
  const staysWrong = env.chance() < 0.5;
  env.strikes();
  machine.clockMs = (env.chance() * 2 - 1) * clockMsMax;
  return async () => {
    if (!staysWrong) machine.clockMs = 0;
  };
}

/** Every clock is somewhere else, many times. */
async function clocksInDisorder(env: FaultEnv): Promise<Mend> {
  const { cluster, chance } = env;
  env.strikes();
  for (let times = 0; times < 10; times++) {
    machineOf(pick(cluster.nodes, chance)).clockMs = (chance() * 2 - 1) * 10_000;
    await Bun.sleep(100);
  }
  return async () => {
    for (const node of cluster.nodes) machineOf(node).clockMs = 0;
  };
}

/** Leadership goes from a clock that is ahead to one that is not. */
async function leaderAheadKilled(env: FaultEnv): Promise<Mend> {
  const node = await env.cluster.leader();
  machineOf(node).clockMs = env.chance() * clockMsMax;
  await Bun.sleep(noticeMs);
  env.strikes();
  await node.kill();
  return async () => {
    machineOf(node).clockMs = 0;
    await node.start();
    await until("a leader", () => env.cluster.findLeader(), 20_000);
  };
}

export const machineFaults: Readonly<Record<string, Fault>> = {
  "full disk": { kind: "disk", needs: "smallDisk", harm: fullDisk },
  "full disk and kill -9": { kind: "disk", needs: "smallDisk", harm: killedOnFullDisk },
  "failing sync of the log": { kind: "disk", needs: "shim", harm: failingLog },
  "failing sync of the state": { kind: "disk", needs: "shim", harm: failingState },
  "stalled syncs of the log": { kind: "disk", needs: "shim", harm: stalledLog },
  "a clock jumps": { kind: "clock", needs: "shim", harm: clockJump },
  "clocks in disorder": { kind: "clock", needs: "shim", harm: clocksInDisorder },
  "leader ahead of time, killed": { kind: "clock", needs: "shim", harm: leaderAheadKilled },
};
