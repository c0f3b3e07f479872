/**
 * Notices that this node was removed from its cluster. Nobody tells it: the others do not talk to it any more, and the log that
 * says so does not reach it. So a node that hears of no leader asks the others over HTTP who the members are.
 *
 * What another node says counts when it has applied at least what this one has, and this one is a member by that: then the
 * removal came later, and nobody who was removed is taken back. So a leader that is none any more does no harm by its answer.
 */
import type { Timers } from "../../base/ports.ts";
import { none } from "../../raft/message.ts";
import type { Membership } from "../../replica/membership.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { systemTimers } from "../_shared/system.ts";
import { type MembersShown, membersAt } from "./join.ts";
import type { Peers } from "./peers.ts";
import type { ShardCore } from "./shard.ts";

export interface RemovalDeps {
  readonly uuid: string;
  readonly timers: Timers;
  /** Does this node hear from a leader, or lead? */
  readonly isLed: () => boolean;
  /** What this node has applied. */
  readonly own: () => MembersShown;
  /** Where the others listen. */
  readonly urls: () => readonly string[];
  readonly ask: (url: string) => Promise<MembersShown>;
  /** `url` is that of the node that says so. */
  readonly onRemoved: (url: string) => void;
}

/** Longer than an election takes, so that others are asked when something is wrong only. */
const watchMs = 2000;
/** An answer may fall into the moment between a change of members and the count of its entry. */
const answersMin = 2;

export class RemovalWatch {
  readonly #deps: RemovalDeps;
  #answers = 0;
  #cancel: (() => void) | undefined;

  constructor(deps: RemovalDeps) {
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
    const url = this.#deps.isLed() ? undefined : await this.#findWitness();
    if (this.#cancel === undefined) return;
    this.#answers = url === undefined ? 0 : this.#answers + 1;
    if (url === undefined || this.#answers < answersMin) this.start();
    else this.#deps.onRemoved(url);
  }

  async #findWitness(): Promise<string | undefined> {
    const { uuid, own, urls, ask } = this.#deps;
    for (const url of urls()) {
      // Who does not answer knows nothing.
      const shown = await ask(url).catch(() => undefined);
      if (shown !== undefined && wasRemoved(uuid, own(), shown)) return url;
    }
    return undefined;
  }
}

export function createRemovalWatch(
  cores: readonly ShardCore[],
  {
    identity,
    membership,
    peers,
    onRemoved,
  }: {
    readonly identity: NodeIdentity;
    readonly membership: Membership;
    readonly peers: Peers;
    /** With a sentence that says who says so. */
    readonly onRemoved: (reason: string) => void;
  },
): RemovalWatch {
  // The first shard decides who is a member.
  const [{ group, replica }] = cores as [ShardCore];
  const { clusterId, recoveryEpoch, nodeId } = identity;
  const { uuid } = membership.self;
  return new RemovalWatch({
    uuid,
    timers: systemTimers,
    isLed: () => {
      const { leader } = group.state;
      return leader === nodeId || (leader !== none && peers.silentMs(leader) < watchMs);
    },
    own: () => ({
      clusterId,
      recoveryEpoch,
      appliedIndex: replica.appliedIndex,
      uuids: membership.members.map((member) => member.uuid),
    }),
    urls: () =>
      membership.members.filter((member) => member.uuid !== uuid).map(({ httpUrl }) => httpUrl),
    ask: membersAt,
    onRemoved: (url) =>
      onRemoved(`node ${nodeId} was removed from cluster ${clusterId}, says ${url}`),
  });
}

function wasRemoved(uuid: string, own: MembersShown, shown: MembersShown): boolean {
  return (
    own.uuids.includes(uuid) &&
    !shown.uuids.includes(uuid) &&
    shown.clusterId === own.clusterId &&
    shown.recoveryEpoch === own.recoveryEpoch &&
    shown.appliedIndex >= own.appliedIndex
  );
}
