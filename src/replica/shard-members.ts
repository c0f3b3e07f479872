/**
 * The members of every shard but the first. Shard 0 decides who is a member and who votes; the leader of each other shard
 * makes its own configuration equal to that, one step at a time: a node comes in as a learner, votes once it has caught up
 * in this shard too, and stops voting before it goes. A leader that is not to vote hands over first.
 *
 * A node's copy of shard 0 may be old. So a step is only taken when it is still the next one after a read of shard 0 that is
 * linearizable; otherwise an old leader could take out a node that has just come in.
 */
import type { Logger, Timers } from "../base/ports.ts";
import type { ChangeKind } from "../raft/conf-change.ts";
import { type ConfState, emptyData } from "../raft/message.ts";
import type { Group } from "./group.ts";
import { isCaughtUp, otherVoters } from "./progress.ts";
import type { Replica } from "./replica.ts";

export interface ShardMember {
  readonly group: Group;
  readonly replica: Replica;
}

interface ShardMembersDeps {
  readonly shard: number;
  readonly own: ShardMember;
  /** Shard 0 of this node. */
  readonly main: ShardMember;
  readonly timers: Timers;
  readonly logger: Logger;
}

export type Step =
  | { readonly kind: "change"; readonly change: ChangeKind; readonly id: number }
  | { readonly kind: "handOver"; readonly to: number };

const dutyMs = 200;

export class ShardMembers {
  readonly #deps: ShardMembersDeps;
  #cancel: (() => void) | undefined;
  #busy = false;

  constructor(deps: ShardMembersDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#cancel = this.#deps.timers.after(dutyMs, () => {
      this.duty().catch((error: unknown) => {
        this.#deps.logger.debug("a membership step of a shard did not go through", { error });
      });
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }

  /** One look, and one step if there is one. Only the leader has any. */
  async duty(): Promise<void> {
    if (this.#busy || !this.#deps.own.replica.isLeader) return;
    this.#busy = true;
    try {
      await this.#followLevel();
      await this.#step();
    } finally {
      this.#busy = false;
    }
  }

  /** The level only rises, and shard 0 rises only when every node knows it: an old copy can do no harm. */
  async #followLevel(): Promise<void> {
    const { own, main } = this.#deps;
    const level = main.replica.engine.featureLevel;
    if (own.replica.engine.featureLevel >= level) return;
    await own.replica.submit({ kind: "raiseFeatureLevel", level });
  }

  async #step(): Promise<void> {
    const { main, own, shard, logger } = this.#deps;
    const seen = this.#next();
    if (seen === undefined) return;
    await main.group.readBarrier();
    const step = this.#next();
    if (step === undefined || !own.replica.isLeader) return;
    if (step.kind === "handOver") {
      own.group.transferLeadership(step.to);
      return;
    }
    const { change: kind, id } = step;
    own.group.proposeConf({ transition: "auto", changes: [{ kind, id }], context: emptyData });
    logger.info(`shard ${shard}: ${describe[kind]} node ${id}, as shard 0 has it`);
  }

  #next(): Step | undefined {
    const { own, main } = this.#deps;
    const raft = own.group.state;
    return nextStep(own.replica.conf, main.replica.conf, {
      id: raft.id,
      isCaughtUp: (id) => isCaughtUp(raft, id),
      successor: () => otherVoters(raft, own.replica.conf.voters)[0],
    });
  }
}

const describe: Readonly<Record<ChangeKind, string>> = {
  addVoter: "lets vote",
  addLearner: "keeps without a vote",
  remove: "takes out",
  update: "updates",
};

/** What the leader of a shard knows besides the two configurations. */
export interface LeaderView {
  readonly id: number;
  isCaughtUp(id: number): boolean;
  /** The other voter that should lead if this one must not. */
  successor(): number | undefined;
}

/** What brings `own` closer to `wanted`, as the leader of the shard sees it; undefined when nothing does now. */
export function nextStep(own: ConfState, wanted: ConfState, leader: LeaderView): Step | undefined {
  // While a change is under way on either side it is not known what will be.
  if (isChanging(own) || isChanging(wanted) || wanted.voters.length === 0) return undefined;
  const members = [...own.voters, ...own.learners];
  const missing = [...wanted.voters, ...wanted.learners].find((id) => !members.includes(id));
  if (missing !== undefined) return { kind: "change", change: "addLearner", id: missing };
  const ripe = own.learners.find((id) => wanted.voters.includes(id) && leader.isCaughtUp(id));
  if (ripe !== undefined) return { kind: "change", change: "addVoter", id: ripe };
  const unwanted = own.voters.filter((id) => !wanted.voters.includes(id));
  const other = unwanted.find((id) => id !== leader.id);
  if (other !== undefined) return { kind: "change", change: "addLearner", id: other };
  if (unwanted.length > 0) {
    const to = leader.successor();
    return to === undefined ? undefined : { kind: "handOver", to };
  }
  const gone = own.learners.find(
    (id) => !wanted.learners.includes(id) && !wanted.voters.includes(id),
  );
  return gone === undefined ? undefined : { kind: "change", change: "remove", id: gone };
}

function isChanging(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0 || conf.learnersNext.length > 0;
}
