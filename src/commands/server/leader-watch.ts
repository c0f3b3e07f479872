/**
 * What a node that hears of no leader finds out from the others over HTTP, since nothing of it reaches this node by itself:
 *
 * - It was removed from the cluster: the others do not talk to it any more, and the log that says so does not come. What another
 *   node says counts when it has applied at least what this one has, and this one is a member by that: then the removal came
 *   later, and nobody who was removed is taken back. So a leader that is none any more does no harm by its answer.
 * - There is a leader, and it does not reach this node at the address that it was told. It knows why.
 */
import type { Logger, Timers } from "../../base/ports.ts";
import { none } from "../../raft/message.ts";
import type { RaftState } from "../../raft/state.ts";
import type { Membership } from "../../replica/membership.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { systemTimers } from "../_shared/system.ts";
import { type ClusterSeen, clusterSeenAt, resolveAddress } from "./join.ts";
import type { ShardCore } from "./shard.ts";

export interface LeaderWatchDeps {
  readonly uuid: string;
  readonly timers: Timers;
  /** Does this node hear from a leader, or lead? */
  readonly isLed: () => boolean;
  /** What this node has applied. */
  readonly own: () => Omit<ClusterSeen, "leads" | "leaderUrl">;
  /** Where the others listen, as far as this node knows: URLs, or addresses like those of `--join`. */
  readonly addresses: () => readonly string[];
  /** The URLs that an address stands for. */
  readonly resolve: (address: string) => Promise<readonly string[]>;
  readonly ask: (url: string) => Promise<ClusterSeen>;
  /** `url` is that of the node that says so. */
  readonly onRemoved: (url: string) => void;
  /** What the leader sees, which does not reach this node. Told once, until this node is led again. */
  readonly onUnreached: (url: string, seen: ClusterSeen) => void;
}

/** Longer than an election takes, so that others are asked when something is wrong only. */
const watchMs = 2000;
/** An answer may fall into the moment between a change of members and the count of its entry, or into an election. */
const answersMin = 2;

interface Answer {
  readonly url: string;
  readonly seen: ClusterSeen;
}

export class LeaderWatch {
  readonly #deps: LeaderWatchDeps;
  /** How many looks in a row have found each. */
  #removals = 0;
  #leaders = 0;
  #cancel: (() => void) | undefined;

  constructor(deps: LeaderWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#cancel = this.#deps.timers.after(watchMs, () => void this.#look());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #look(): Promise<void> {
    const answers = this.#deps.isLed() ? [] : await this.#askAll();
    if (this.#cancel === undefined) return;
    const { uuid, own, onRemoved, onUnreached } = this.#deps;
    const remover = answers.find(({ seen }) => hasRemoved(uuid, own(), seen));
    const leader = answers.find(({ seen }) => leadsIt(uuid, own(), seen));
    this.#removals = remover === undefined ? 0 : this.#removals + 1;
    this.#leaders = leader === undefined ? 0 : this.#leaders + 1;
    if (remover !== undefined && this.#removals === answersMin) {
      onRemoved(remover.url);
      return;
    }
    if (leader !== undefined && this.#leaders === answersMin) onUnreached(leader.url, leader.seen);
    this.start();
  }

  /** Also whoever leads by the word of these. */
  async #askAll(): Promise<readonly Answer[]> {
    const { addresses, resolve } = this.#deps;
    // A name that leads nowhere, like a node that does not answer, leaves it to the others.
    const urls = (await fulfilled(addresses().map(resolve))).flat();
    const answers = await this.#ask(urls);
    const leaders = new Set(answers.flatMap(({ seen }) => seen.leaderUrl ?? []));
    return [...answers, ...(await this.#ask([...leaders].filter((url) => !urls.includes(url))))];
  }

  #ask(urls: readonly string[]): Promise<readonly Answer[]> {
    return fulfilled(urls.map(async (url) => ({ url, seen: await this.#deps.ask(url) })));
  }
}

async function fulfilled<T>(promises: readonly Promise<T>[]): Promise<readonly T[]> {
  const settled = await Promise.allSettled(promises);
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

export function createLeaderWatch(
  cores: readonly ShardCore[],
  {
    identity,
    membership,
    join,
    logger,
    onRemoved,
  }: {
    readonly identity: NodeIdentity;
    readonly membership: Membership;
    /** Addresses through which it joined: all that a node knows to which nothing has come yet. */
    readonly join: readonly string[];
    readonly logger: Logger;
    /** With a sentence that says who says so. */
    readonly onRemoved: (reason: string) => void;
  },
): LeaderWatch {
  // The first shard decides who is a member.
  const [{ group, replica }] = cores as [ShardCore];
  const { clusterId, recoveryEpoch, nodeId } = identity;
  const { uuid } = membership.self;
  return new LeaderWatch({
    uuid,
    timers: systemTimers,
    isLed: () => isLed(group.state),
    own: () => ({
      clusterId,
      recoveryEpoch,
      appliedIndex: replica.appliedIndex,
      members: membership.members,
    }),
    addresses: () => {
      const others = membership.members.filter((member) => member.uuid !== uuid);
      return others.length > 0 ? others.map(({ httpUrl }) => httpUrl) : join;
    },
    resolve: resolveAddress,
    ask: clusterSeenAt,
    onRemoved: (url) =>
      onRemoved(`node ${nodeId} was removed from cluster ${clusterId}, says ${url}`),
    onUnreached: (url, { members }) => {
      const failure =
        members.find((member) => member.uuid === uuid)?.failure ?? "it does not say why";
      logger.warn(
        `${url} leads the cluster and does not reach this node at ${membership.self.peerAddress}: ${failure}`,
        {
          hint: "Nodes call each other in both directions. Look at what lies between, and at --peer-advertise, which tells the others where this node is.",
        },
      );
    },
  });
}

/**
 * By what came from a leader, not by connections to it, on which answers come back also when it cannot call this node. Who
 * votes gives a silent leader up by itself; a learner never does.
 */
export function isLed({ role, leader, electionElapsed, config }: RaftState): boolean {
  if (role === "leader") return true;
  return leader !== none && electionElapsed < 2 * config.electionTicks;
}

function hasRemoved(uuid: string, own: Own, seen: ClusterSeen): boolean {
  const isLater = seen.appliedIndex >= own.appliedIndex;
  return isSame(own, seen) && isLater && isIn(own, uuid) && !isIn(seen, uuid);
}

/** By its own word: what a follower says of its leader may be old. */
function leadsIt(uuid: string, own: Own, seen: ClusterSeen): boolean {
  return isSame(own, seen) && seen.leads && isIn(seen, uuid);
}

type Own = ReturnType<LeaderWatchDeps["own"]>;

function isSame(own: Own, { clusterId, recoveryEpoch }: ClusterSeen): boolean {
  return clusterId === own.clusterId && recoveryEpoch === own.recoveryEpoch;
}

function isIn({ members }: Pick<ClusterSeen, "members">, uuid: string): boolean {
  return members.some((member) => member.uuid === uuid);
}
