/**
 * Computes the configuration that follows from a change. Nothing is installed here: a result is
 * either a new membership with its progress map, or the reason why the change is not possible.
 *
 * Three steps exist. A simple change moves at most one voter, so that old and new majorities always
 * overlap. Entering a joint configuration copies the voters to the outgoing half and applies any
 * number of changes to the incoming half. Leaving it drops the outgoing half and turns voters that
 * were staged as learners into learners.
 */
import { type ConfChange, entersJoint, isLeaveJoint, type NodeChange } from "./conf-change.ts";
import { Inflights } from "./inflights.ts";
import type { ConfState, Index, NodeId } from "./message.ts";
import { Progress } from "./progress.ts";
import { jointIds, sortedIds } from "./quorum.ts";
import { emptyMembership, isJoint, type Membership, type ProgressMap } from "./tracker.ts";

export interface Layout {
  readonly membership: Membership;
  readonly progress: ProgressMap;
}

export interface ChangeBase extends Layout {
  /** Where probing of a new member starts. */
  readonly lastIndex: Index;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
}

export type ChangeResult =
  | { readonly kind: "changed"; readonly layout: Layout }
  | { readonly kind: "refused"; readonly reason: string };

/** The step that a proposed change asks for. */
export function changeMembership(base: ChangeBase, change: ConfChange): ChangeResult {
  if (isLeaveJoint(change)) return leaveJoint(base);
  const { joint, autoLeave } = entersJoint(change);
  return joint ? enterJoint(base, autoLeave, change.changes) : simpleChange(base, change.changes);
}

export function simpleChange(base: ChangeBase, changes: readonly NodeChange[]): ChangeResult {
  const draft = new Draft(base);
  const broken = draft.problem();
  if (broken !== undefined) return refuse(broken);
  if (isJoint(base.membership)) return refuse("can't apply simple config change in joint config");
  draft.applyAll(changes);
  if (draft.incoming.size === 0) return refuse("removed all voters");
  if (countDifferences(new Set(base.membership.voters.incoming), draft.incoming) > 1) {
    return refuse("more than one voter changed without entering joint config");
  }
  return draft.finish();
}

export function enterJoint(
  base: ChangeBase,
  autoLeave: boolean,
  changes: readonly NodeChange[],
): ChangeResult {
  const draft = new Draft(base);
  const broken = draft.problem();
  if (broken !== undefined) return refuse(broken);
  if (isJoint(base.membership)) return refuse("config is already joint");
  if (draft.incoming.size === 0) return refuse("can't make a zero-voter config joint");
  draft.outgoing = new Set(draft.incoming);
  draft.applyAll(changes);
  if (draft.incoming.size === 0) return refuse("removed all voters");
  draft.autoLeave = autoLeave;
  return draft.finish();
}

export function leaveJoint(base: ChangeBase): ChangeResult {
  const draft = new Draft(base);
  const broken = draft.problem();
  if (broken !== undefined) return refuse(broken);
  if (!isJoint(base.membership)) return refuse("can't leave a non-joint config");
  draft.dropOutgoing();
  return draft.finish();
}

/** Rebuilds the configuration that a snapshot or a restart describes, from nothing. */
export function restoreMembership(base: ChangeBase, conf: ConfState): ChangeResult {
  const replace: NodeChange[] = [
    ...toChanges("remove", conf.votersOutgoing),
    ...toChanges("addVoter", conf.voters),
    ...toChanges("addLearner", conf.learners),
    // They vote in the outgoing half, so adding them as learners only stages them.
    ...toChanges("addLearner", conf.learnersNext),
  ];
  let current: ChangeBase = { ...base, membership: emptyMembership, progress: new Map() };
  const oneByOne =
    conf.votersOutgoing.length === 0 ? replace : toChanges("addVoter", conf.votersOutgoing);
  for (const change of oneByOne) {
    const result = simpleChange(current, [change]);
    if (result.kind === "refused") return result;
    current = { ...current, ...result.layout };
  }
  if (conf.votersOutgoing.length > 0) return enterJoint(current, conf.autoLeave, replace);
  return {
    kind: "changed",
    layout: { membership: current.membership, progress: current.progress },
  };
}

function toChanges(kind: NodeChange["kind"], ids: readonly NodeId[]): NodeChange[] {
  return ids.map((id) => ({ kind, id }));
}

function refuse(reason: string): ChangeResult {
  return { kind: "refused", reason };
}

function countDifferences(a: ReadonlySet<NodeId>, b: ReadonlySet<NodeId>): number {
  return a.symmetricDifference(b).size;
}

/** A configuration under change. Members are copied, because a change may turn their role. */
class Draft {
  readonly incoming: Set<NodeId>;
  outgoing: Set<NodeId>;
  autoLeave: boolean;
  readonly #base: ChangeBase;
  readonly #learners: Set<NodeId>;
  readonly #learnersNext: Set<NodeId>;
  readonly #progress = new Map<NodeId, Progress>();

  constructor(base: ChangeBase) {
    const { voters, learners, learnersNext, autoLeave } = base.membership;
    this.#base = base;
    this.incoming = new Set(voters.incoming);
    this.outgoing = new Set(voters.outgoing);
    this.#learners = new Set(learners);
    this.#learnersNext = new Set(learnersNext);
    this.autoLeave = autoLeave;
    for (const [id, progress] of base.progress) this.#progress.set(id, progress.clone());
  }

  applyAll(changes: readonly NodeChange[]): void {
    for (const { kind, id } of changes) {
      if (id === 0) continue;
      if (kind === "addVoter") this.#makeVoter(id);
      else if (kind === "addLearner") this.#makeLearner(id);
      else if (kind === "remove") this.#remove(id);
    }
  }

  dropOutgoing(): void {
    for (const id of sortedIds(this.#learnersNext)) {
      this.#learners.add(id);
      const progress = this.#progress.get(id);
      if (progress !== undefined) progress.isLearner = true;
    }
    this.#learnersNext.clear();
    for (const id of this.outgoing) {
      if (!this.incoming.has(id) && !this.#learners.has(id)) this.#progress.delete(id);
    }
    this.outgoing.clear();
    this.autoLeave = false;
  }

  finish(): ChangeResult {
    const broken = this.problem();
    if (broken !== undefined) return refuse(broken);
    return {
      kind: "changed",
      layout: { membership: this.#membership(), progress: this.#progress },
    };
  }

  problem(): string | undefined {
    return layoutProblem({ membership: this.#membership(), progress: this.#progress });
  }

  #membership(): Membership {
    return {
      voters: { incoming: sortedIds(this.incoming), outgoing: sortedIds(this.outgoing) },
      learners: sortedIds(this.#learners),
      learnersNext: sortedIds(this.#learnersNext),
      autoLeave: this.autoLeave,
    };
  }

  #makeVoter(id: NodeId): void {
    const progress = this.#progress.get(id);
    if (progress === undefined) {
      this.#addMember(id, false);
      return;
    }
    progress.isLearner = false;
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    this.incoming.add(id);
  }

  #makeLearner(id: NodeId): void {
    const progress = this.#progress.get(id);
    if (progress === undefined) {
      this.#addMember(id, true);
      return;
    }
    if (progress.isLearner) return;
    this.#remove(id);
    this.#progress.set(id, progress);
    if (this.outgoing.has(id)) {
      this.#learnersNext.add(id);
    } else {
      progress.isLearner = true;
      this.#learners.add(id);
    }
  }

  #remove(id: NodeId): void {
    this.incoming.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    // It still votes in the outgoing half, so it must still be replicated to.
    if (!this.outgoing.has(id)) this.#progress.delete(id);
  }

  #addMember(id: NodeId, isLearner: boolean): void {
    if (isLearner) this.#learners.add(id);
    else this.incoming.add(id);
    const { lastIndex, inflightMessagesMax, inflightBytesMax } = this.#base;
    const inflights = new Inflights(inflightMessagesMax, inflightBytesMax);
    const progress = new Progress(Math.max(lastIndex, 1), inflights, isLearner);
    // It had no chance to speak yet; without this the next quorum check could depose the leader.
    progress.recentActive = true;
    this.#progress.set(id, progress);
  }
}

/** What is wrong with a configuration, or undefined. */
export function layoutProblem({ membership, progress }: Layout): string | undefined {
  const { voters, learners, learnersNext, autoLeave } = membership;
  for (const id of [...jointIds(voters), ...learners, ...learnersNext]) {
    if (!progress.has(id)) return `no progress for ${id}`;
  }
  for (const id of learnersNext) {
    if (!voters.outgoing.includes(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (progress.get(id)?.isLearner) {
      return `${id} is in LearnersNext, but is already marked as learner`;
    }
  }
  for (const id of learners) {
    if (voters.outgoing.includes(id)) return `${id} is in Learners and Voters[1]`;
    if (voters.incoming.includes(id)) return `${id} is in Learners and Voters[0]`;
    if (!progress.get(id)?.isLearner) return `${id} is in Learners, but is not marked as learner`;
  }
  if (isJoint(membership)) return undefined;
  if (learnersNext.length > 0) return "cfg.LearnersNext must be nil when not joint";
  if (autoLeave) return "AutoLeave must be false when not joint";
  return undefined;
}
