/**
 * The members of the cluster: who joins, votes, leaves, and who they are. Data about members is replicated like any other
 * (engine/members.ts); who votes is consensus' own configuration. The leader keeps the two in step:
 *
 * - a node joins as a learner, and is promoted by the leader once its log is nearly as long as the leader's and it has the
 *   blobs that its jobs use;
 * - a node that is removed leaves the configuration first and is forgotten then;
 * - at most one change is under way; a further one waits for its turn or is refused;
 * - once every node runs a version that knows the next feature level, the leader raises the cluster to it; nobody joins
 *   meanwhile, since the entry that does so would end a node of an older version;
 * - a node that listens elsewhere than the record says asks the others to correct it, since nobody can reach it before.
 */
import { CorvoError } from "../base/errors.ts";
import type { Clock, Logger, Timers } from "../base/ports.ts";
import type { AdmitMember, Change } from "../engine/change.ts";
import { levelOfVersion, newestFeatureLevel, versionOfLevel } from "../engine/feature-levels.ts";
import type { Outcome } from "../engine/outcome.ts";
import type { Member } from "../engine/state.ts";
import type { ChangeKind } from "../raft/conf-change.ts";
import { type ConfState, emptyData, none } from "../raft/message.ts";
import type { Progress } from "../raft/progress.ts";
import type { Group } from "./group.ts";
import { isCaughtUp, otherVoters } from "./progress.ts";
import type { Replica } from "./replica.ts";
import type { ShardMember } from "./shard-members.ts";

export interface SelfInfo {
  readonly id: number;
  readonly clusterId: string;
  readonly uuid: string;
  readonly httpUrl: string;
  readonly peerAddress: string;
  readonly version: string;
  /** Shows the others that it knows the cluster's secret. */
  readonly proof?: string;
}

interface MembershipDeps {
  readonly group: Group;
  readonly replica: Replica;
  /** The other shards of this node, which follow this one (`shard-members.ts`). */
  readonly others: readonly ShardMember[];
  readonly timers: Timers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds since a peer was last heard from; undefined when never. */
  readonly lastContactMs: (nodeId: number) => number | undefined;
  /** It knows of blobs that jobs use and that it has not got yet: a majority with it would not be one for them. */
  readonly lacksBlobs?: (nodeId: number) => boolean;
  /** Members or their addresses changed. */
  readonly onMembers: (members: readonly Member[]) => void;
  /** Has this node's record corrected through any of these HTTP addresses. */
  readonly announce: (self: SelfInfo, urls: readonly string[]) => Promise<void>;
}

/** How often the leader looks for learners to promote. */
const dutyMs = 200;
const changeTimeoutMs = 10_000;
/** A stop waits no longer for another leader than an election without a transfer would take. */
const handOverMs = 1500;
/** Between two attempts of a node to have its record corrected. */
const announceMs = 2000;

export class Membership {
  readonly #deps: MembershipDeps;
  #self: SelfInfo;
  #known: readonly Member[] = [];
  #waiting: (() => void)[] = [];
  #cancelDuty: (() => void) | undefined;
  #busy = false;
  #announceAtMs = 0;
  /** Calls of `join` that run, and the entry under way that raises the feature level: never both. */
  #joining = 0;
  #raising: Promise<unknown> | undefined;

  constructor(deps: MembershipDeps, self: SelfInfo) {
    this.#deps = deps;
    this.#self = self;
  }

  get self(): SelfInfo {
    return this.#self;
  }

  /** Where this node's HTTP API really listens. */
  setHttpUrl(httpUrl: string): void {
    this.#self = { ...this.#self, httpUrl };
  }

  get members(): readonly Member[] {
    return this.#deps.replica.engine.state.meta.members;
  }

  get conf(): ConfState {
    return this.#deps.replica.conf;
  }

  start(): void {
    this.#noteMembers();
    this.#cancelDuty = this.#deps.timers.after(dutyMs, () => {
      this.#noteMembers();
      this.confChanged();
      this.#duty().catch((error: unknown) => {
        this.#deps.logger.debug("a membership step did not go through", { error });
      });
      this.start();
    });
  }

  stop(): void {
    this.#cancelDuty?.();
  }

  /** The configuration changed, or something that nobody tells of may have; whoever waits for that looks again. */
  confChanged(): void {
    for (const look of this.#waiting.splice(0)) look();
  }

  /** Admits a node as a learner. A node that is known already keeps its number and its role. */
  async join(request: {
    readonly uuid: string;
    readonly httpUrl: string;
    readonly peerAddress: string;
    readonly version: string;
    readonly clusterId?: string;
  }): Promise<{ clusterId: string; nodeId: number; peers: readonly Member[] }> {
    const { clusterId, ...member } = request;
    if (clusterId !== undefined && clusterId !== this.#self.clusterId) {
      throw new CorvoError(
        "CONFLICT",
        `node ${request.uuid} belongs to cluster ${clusterId}, this is cluster ${this.#self.clusterId}`,
        { hint: "Start it with an empty data directory to join this cluster." },
      );
    }
    if (clusterId !== undefined && !this.members.some(({ uuid }) => uuid === request.uuid)) {
      throw new CorvoError(
        "CONFLICT",
        `node ${request.uuid} was removed from cluster ${clusterId} and is not taken back`,
        { hint: "Start it with an empty data directory and --join to add it as a new node." },
      );
    }
    // Whether it went through shows in the level that the version is held against.
    await this.#raising?.catch(() => undefined);
    this.#joining++;
    try {
      const nodeId = await this.#admit(member);
      return { clusterId: this.#self.clusterId, nodeId, peers: this.members };
    } finally {
      this.#joining--;
    }
  }

  async #admit(member: Omit<AdmitMember, "kind">): Promise<number> {
    const { featureLevel } = this.#deps.replica.engine;
    if (levelOfVersion(member.version) < featureLevel) {
      const needed = versionOfLevel(featureLevel);
      throw new CorvoError(
        "UNSUPPORTED",
        `node ${member.uuid} runs corvo ${member.version}; the cluster uses what only ${needed} and later know (feature level ${featureLevel})`,
        { hint: `Start it with corvo ${needed} or later.` },
      );
    }
    const outcome = await this.#submit({ kind: "admitMember", ...member });
    const nodeId = outcome.kind === "member" ? outcome.id : none;
    if (!this.#isInConf(nodeId)) {
      await this.#changeConf("addLearner", nodeId, () => this.#isInConf(nodeId));
    }
    return nodeId;
  }

  /** Takes a node out for good. A leader that is to go hands its role over first; the next leader removes it. */
  async remove(nodeId: number): Promise<void> {
    this.#mustKnow(nodeId);
    if (nodeId === this.#self.id) {
      if (this.conf.voters.length === 1) {
        throw new CorvoError(
          "CONFLICT",
          `node ${nodeId} is the only voter; the cluster would end`,
          {
            hint: "Stop the server instead, or add another node first.",
          },
        );
      }
      this.#deps.group.transferLeadership(this.#furthest());
      throw new CorvoError(
        "UNAVAILABLE",
        `node ${nodeId} leads and is handing over; the next leader removes it when asked again`,
        { retryAfterMs: 500 },
      );
    }
    await this.#leaveOthers(nodeId);
    if (this.#isInConf(nodeId)) {
      await this.#changeConf("remove", nodeId, () => !this.#isInConf(nodeId));
    }
    await this.#submit({ kind: "forgetMember", id: nodeId });
  }

  /**
   * A node that is forgotten here is cut off. A shard in which it still voted might need that vote to let it go, so it stops
   * voting in all of them first.
   */
  async #leaveOthers(nodeId: number): Promise<void> {
    const { others } = this.#deps;
    if (others.length === 0 || !this.#isInConf(nodeId)) return;
    if (this.conf.voters.includes(nodeId)) await this.setVoter(nodeId, false);
    await this.#until(
      () => others.every(({ replica }) => !replica.conf.voters.includes(nodeId)),
      `that node ${nodeId} votes in no other shard any more`,
    );
  }

  async setVoter(nodeId: number, voter: boolean): Promise<void> {
    this.#mustKnow(nodeId);
    const isVoter = () => this.conf.voters.includes(nodeId);
    if (!voter && isVoter() && this.conf.voters.length === 1) {
      throw new CorvoError("CONFLICT", `node ${nodeId} is the only voter`, {
        hint: "Let another node vote first.",
      });
    }
    if (!voter && nodeId === this.#self.id) {
      this.#deps.group.transferLeadership(this.#furthest());
      throw new CorvoError("UNAVAILABLE", `node ${nodeId} leads and is handing over; ask again`, {
        retryAfterMs: 500,
      });
    }
    await this.#submit({ kind: "setStandby", id: nodeId, standby: !voter });
    if (voter === isVoter()) return;
    if (voter) {
      // By the duty, as for any learner: one that is behind, or gone, would count against every majority from now on.
      const what = `node ${nodeId} is promoted once it has caught up with the leader, which`;
      await this.#until(isVoter, what);
    } else {
      await this.#changeConf("addLearner", nodeId, () => !isVoter());
    }
  }

  /** Resolves when another node leads. */
  async transferLeadership(nodeId: number | undefined): Promise<void> {
    this.#mustLead();
    const target = nodeId ?? this.#furthest();
    this.#mustKnow(target);
    if (target === this.#self.id) return;
    if (!this.conf.voters.includes(target)) {
      throw new CorvoError("CONFLICT", `node ${target} does not vote and cannot lead`, {
        hint: "Name a node that votes; `corvo cluster status` shows them.",
      });
    }
    await this.#handOverOthers(target);
    this.#deps.group.transferLeadership(target);
    await this.#until(() => this.#hasTakenOver(target), "the transfer");
  }

  /** Throws once it is given up, which nothing but a look shows. */
  #hasTakenOver(target: number): boolean {
    const { leader, role, transferee } = this.#deps.group.state;
    if (role === "leader" && transferee !== target) {
      throw new CorvoError(
        "UNAVAILABLE",
        `node ${target} did not take over within an election timeout; node ${leader} leads on`,
        {
          hint: "`corvo cluster status` shows how far it lags and when it was last heard from.",
          retryAfterMs: 500,
        },
      );
    }
    return leader === target;
  }

  /** The other shards that this node leads and in which that one votes. */
  async #handOverOthers(target: number): Promise<void> {
    const led = this.#deps.others.filter(
      ({ group, replica }) => group.state.role === "leader" && replica.conf.voters.includes(target),
    );
    for (const { group } of led) group.transferLeadership(target);
    await this.#until(
      () => led.every(({ group }) => group.state.role !== "leader"),
      "the transfer of every shard",
    );
  }

  /** Before a stop: a leader lets another one take over, so that nobody has to notice its absence first. */
  async handOver(): Promise<void> {
    const { group, replica, others, logger } = this.#deps;
    const led = [{ group, replica }, ...others].filter((one) => one.group.state.role === "leader");
    for (const one of led) {
      const [to] = otherVoters(one.group.state, one.replica.conf.voters);
      if (to !== undefined) one.group.transferLeadership(to);
    }
    const handing = led.filter((one) => one.replica.conf.voters.length > 1);
    try {
      await this.#until(
        () => handing.every((one) => one.group.state.role !== "leader"),
        "the transfer",
        handOverMs,
      );
    } catch (error) {
      logger.info("no other node took over before the stop; the others elect one after it", {
        error,
      });
    }
  }

  /** Address of another member's HTTP API, when it is known. */
  httpUrlOf(nodeId: number): string | undefined {
    if (nodeId === none || nodeId === this.#self.id) return undefined;
    return this.members.find((member) => member.id === nodeId)?.httpUrl.replace(/\/+$/, "");
  }

  /** What the leader knows of a member's log. */
  progressOf(nodeId: number): Progress | undefined {
    const { group } = this.#deps;
    return group.state.role === "leader" ? group.state.tracker.get(nodeId) : undefined;
  }

  lastContactMs(nodeId: number): number | undefined {
    return this.#deps.lastContactMs(nodeId);
  }

  /** Tells who listens when members or addresses are others than before. */
  #noteMembers(): void {
    if (this.#known === this.members) return;
    this.#known = this.members;
    this.#deps.onMembers(this.#known);
  }

  /** What is done without being asked: every node keeps its own record true, the leader promotes who has caught up. */
  async #duty(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      if (this.#deps.replica.isLeader) {
        await this.keepOwnRecord();
        await this.raiseFeatureLevel();
        await this.#promoteOne();
      } else {
        await this.#announceSelf();
      }
    } finally {
      this.#busy = false;
    }
  }

  async #announceSelf(): Promise<void> {
    const own = this.members.find((member) => member.uuid === this.#self.uuid);
    const nowMs = this.#deps.clock.monotonicMs();
    if (own === undefined || this.#isTrue(own) || nowMs < this.#announceAtMs) return;
    this.#announceAtMs = nowMs + announceMs;
    const urls = this.members.filter((member) => member !== own).map(({ httpUrl }) => httpUrl);
    try {
      await this.#deps.announce(this.#self, urls);
    } catch (error) {
      if (!(error instanceof CorvoError) || error.code !== "CONFLICT") throw error;
      // No later attempt can end differently, and only an operator can help.
      this.#announceAtMs = Number.POSITIVE_INFINITY;
      this.#deps.logger.warn(error.message, { hint: error.hint });
    }
  }

  #isTrue(own: Member): boolean {
    const { httpUrl, peerAddress, version } = this.#self;
    return own.httpUrl === httpUrl && own.peerAddress === peerAddress && own.version === version;
  }

  /**
   * Writes this node's addresses into the replicated state, if they are others there. Only on the leader. One that has no
   * record although others have is about to be removed, and does not let itself in again under another number.
   */
  async keepOwnRecord(): Promise<void> {
    const { uuid, httpUrl, peerAddress, version } = this.#self;
    const own = this.members.find((member) => member.uuid === uuid);
    if (own === undefined ? this.members.length > 0 : this.#isTrue(own)) return;
    await this.#submit({ kind: "admitMember", uuid, httpUrl, peerAddress, version });
  }

  /** Raises the cluster's level to what all of its nodes know, if that is more than it has. Only on the leader. */
  async raiseFeatureLevel(): Promise<void> {
    const { featureLevel } = this.#deps.replica.engine;
    if (featureLevel >= newestFeatureLevel || this.#joining > 0) return;
    const known = new Set(this.members.map(({ id }) => id));
    const isComplete = this.#confIds().every((id) => known.has(id));
    const levels = this.members.map(({ version }) => levelOfVersion(version));
    const level = Math.min(newestFeatureLevel, ...levels);
    if (!isComplete || level <= featureLevel) return;
    this.#raising = this.#submit({ kind: "raiseFeatureLevel", level });
    try {
      await this.#raising;
    } finally {
      this.#raising = undefined;
    }
    this.#deps.logger.info(
      `every node knows feature level ${level}: from now on this cluster needs corvo ${versionOfLevel(level)} or later`,
    );
  }

  async #promoteOne(): Promise<void> {
    const { state } = this.#deps.group;
    for (const id of this.conf.learners) {
      const member = this.members.find((candidate) => candidate.id === id);
      if (member === undefined || member.standby || !isCaughtUp(state, id)) continue;
      if (this.#deps.lacksBlobs?.(id) === true) continue;
      await this.#changeConf("addVoter", id, () => this.conf.voters.includes(id));
      this.#deps.logger.info(
        `node ${id} votes now: ${this.conf.voters.length} voters, tolerates ${Math.floor((this.conf.voters.length - 1) / 2)} failures`,
      );
      return;
    }
  }

  async #changeConf(kind: ChangeKind, id: number, isDone: () => boolean): Promise<void> {
    this.#mustLead();
    const result = this.#deps.group.proposeConf({
      transition: "auto",
      changes: [{ kind, id }],
      context: emptyData,
    });
    if (result.kind !== "appended" || result.refused !== undefined) {
      const reason = result.kind === "appended" ? result.refused : "this node does not lead";
      throw new CorvoError("UNAVAILABLE", `the membership cannot change now: ${reason}`, {
        retryAfterMs: 500,
      });
    }
    await this.#until(isDone, "the membership change");
  }

  /** Waits for something that an applied configuration or a new leader brings; `isDone` throws when it will not come. */
  #until(isDone: () => boolean, what: string, withinMs = changeTimeoutMs): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        try {
          if (!isDone()) {
            this.#waiting.push(look);
            return;
          }
          resolve();
        } catch (error) {
          reject(error);
        }
        cancel();
      };
      const cancel = this.#deps.timers.after(withinMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== look);
        reject(
          new CorvoError(
            "OUTCOME_UNKNOWN",
            `${what} was not confirmed within ${withinMs} ms; is a majority of the voters reachable?`,
          ),
        );
      });
      look();
    });
  }

  async #submit(change: Change): Promise<Outcome> {
    const outcome = await this.#deps.replica.submit(change);
    if (outcome.kind === "rejected") throw new CorvoError(outcome.code, outcome.message);
    return outcome;
  }

  #isInConf(id: number): boolean {
    return this.conf.voters.includes(id) || this.conf.learners.includes(id);
  }

  /** Everybody who gets entries, also while a change of the configuration is under way. */
  #confIds(): number[] {
    const { voters, votersOutgoing, learners, learnersNext } = this.conf;
    return [...voters, ...votersOutgoing, ...learners, ...learnersNext];
  }

  #mustKnow(id: number): void {
    if (this.members.some((member) => member.id === id) || this.#isInConf(id)) return;
    throw new CorvoError("NOT_FOUND", `no node ${id}`, {
      hint: "`corvo cluster status` lists the nodes.",
    });
  }

  #mustLead(): void {
    if (this.#deps.replica.isLeader) return;
    throw new CorvoError("UNAVAILABLE", "this node does not lead at the moment", {
      retryAfterMs: 200,
    });
  }

  /** The other voter whose log is the longest. */
  #furthest(): number {
    const [best] = otherVoters(this.#deps.group.state, this.conf.voters);
    if (best === undefined) {
      throw new CorvoError("CONFLICT", "there is no other voter to lead", {
        hint: "Let another node join first; `corvo cluster status` shows who votes.",
      });
    }
    return best;
  }
}
