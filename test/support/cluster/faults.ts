/** Everything that can befall a cluster of processes, by name: their machines have a file of their own. */
import { type Cluster, until } from "./cluster.ts";
import {
  bringBack,
  type Fault,
  type FaultEnv,
  type Harm,
  type Mend,
  pick,
  victim,
} from "./fault.ts";
import { machineFaults } from "./machine-faults.ts";
import type { LinkFault } from "./peer-network.ts";

/** It fetches the state and all blobs before, on a machine that has more to do. */
const votesMsMax = 60_000;

async function breakLinks(
  env: FaultEnv,
  faultOf: (from: number, to: number) => LinkFault | undefined,
): Promise<Mend> {
  const { network } = env.cluster;
  if (network === undefined) throw new Error("the cluster was made without a network");
  env.strikes();
  await network.setFaults(faultOf);
  return () => network.setFaults(() => undefined);
}

function holdOrCut(chance: () => number): LinkFault {
  return { kind: chance() < 0.5 ? "hold" : "cut" };
}

export /** Asks the leader for a change of members until it is done, or gives up: under faults either is right. */
async function ask(cluster: Cluster, path: string, body: object): Promise<boolean> {
  return until(
    path,
    async () => {
      const leader = await cluster.leader();
      const { status, text } = await leader.request("POST", `/api/v1/cluster/${path}`, body);
      if (status === 200 || status === 404) return true;
      throw new Error(text);
    },
    10_000,
  ).catch(() => false);
}

const toProcesses: Readonly<Record<string, Harm>> = {
  "kill -9 of one": async (env) => {
    const node = await victim(env);
    env.strikes();
    await node.kill();
    return () => bringBack([node]);
  },
  "kill -9 of the leader": async ({ cluster, strikes }) => {
    const node = await cluster.leader();
    strikes();
    await node.kill();
    return () => bringBack([node]);
  },
  "kill -9 of all": async ({ cluster, strikes }) => {
    strikes();
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    return () => bringBack(cluster.nodes);
  },
  "pause of one": async (env) => {
    const node = await victim(env);
    env.strikes();
    node.pause();
    return async () => node.resume();
  },
  "rolling restart": async ({ cluster }) => {
    for (const node of cluster.nodes) {
      await node.stop();
      await node.start();
      await until("a leader after a restart", () => cluster.findLeader(), 20_000);
    }
    return async () => undefined;
  },
};

const toNetwork: Readonly<Record<string, Harm>> = {
  "one cut off": async (env) => {
    const { id } = await victim(env);
    const fault = holdOrCut(env.chance);
    return breakLinks(env, (from, to) => (from === id || to === id ? fault : undefined));
  },
  "one not heard": async (env) => {
    const { id } = await victim(env);
    return breakLinks(env, (from) => (from === id ? { kind: "hold" } : undefined));
  },
  "one that does not hear": async (env) => {
    const { id } = await victim(env);
    return breakLinks(env, (_from, to) => (to === id ? { kind: "hold" } : undefined));
  },
  "two halves with a bridge": async (env) => {
    const bridge = await victim(env);
    const others = env.cluster.nodes.filter((node) => node !== bridge);
    const left = new Set(others.slice(0, Math.ceil(others.length / 2)).map(({ id }) => id));
    const fault = holdOrCut(env.chance);
    return breakLinks(env, (from, to) =>
      from === bridge.id || to === bridge.id || left.has(from) === left.has(to) ? undefined : fault,
    );
  },
  "two parts": async (env) => {
    const { nodes } = env.cluster;
    const left = new Set(nodes.filter(() => env.chance() < 0.5).map(({ id }) => id));
    const fault = holdOrCut(env.chance);
    return breakLinks(env, (from, to) => (left.has(from) === left.has(to) ? undefined : fault));
  },
  "slow links": async (env) => {
    const delays = new Map<string, number>();
    return breakLinks(env, (from, to) => {
      const key = `${from}>${to}`;
      const delayMs = delays.get(key) ?? Math.ceil(env.chance() * 150);
      delays.set(key, delayMs);
      return { kind: "delay", delayMs };
    });
  },
  "cut off and killed": async (env) => {
    const { id } = await victim(env);
    const mend = await breakLinks(env, (from, to) =>
      from === id || to === id ? { kind: "cut" } : undefined,
    );
    const node = await victim(env);
    await node.kill();
    return async () => {
      await bringBack([node]);
      await mend();
    };
  },
};

const toMembers: Readonly<Record<string, Harm>> = {
  "leadership handed over": async ({ cluster, chance }) => {
    for (let times = 0; times < 3; times++) {
      const leader = await cluster.leader();
      const target = pick(cluster.nodes, chance);
      await leader.request("POST", "/api/v1/cluster/transfer-leader", { node: String(target.id) });
    }
    return async () => undefined;
  },
  "demoted and promoted": async ({ cluster, chance }) => {
    const node = String(pick(cluster.nodes, chance).id);
    await ask(cluster, "demote", { node });
    return async () => void (await ask(cluster, "promote", { node }));
  },
  "replaced on an empty disk": async ({ cluster, chance }) => {
    const old = pick(cluster.nodes, chance);
    await old.kill();
    const fresh = await cluster.add({ join: cluster.nodes.filter((node) => node !== old) });
    await fresh.start();
    return async () => {
      const votes = async () => {
        const { nodes } = await (await cluster.leader()).status();
        return nodes.some(({ id, voter }) => id === String(fresh.id) && voter);
      };
      await until("the new node votes", votes, votesMsMax);
      if (!(await ask(cluster, "remove", { node: String(old.id) }))) {
        throw new Error(`node ${old.id} could not be removed`);
      }
      cluster.nodes.splice(cluster.nodes.indexOf(old), 1);
    };
  },
};

function ofKind(kind: Fault["kind"], harms: Readonly<Record<string, Harm>>): [string, Fault][] {
  return Object.entries(harms).map(([name, harm]) => [name, { kind, harm }]);
}

export const faults: ReadonlyMap<string, Fault> = new Map([
  ...ofKind("process", toProcesses),
  ...ofKind("network", toNetwork),
  ...ofKind("members", toMembers),
  ...Object.entries(machineFaults),
]);
