/**
 * Makes a stopped node the only member of its cluster: for when a majority is gone for good, and nobody can agree on
 * anything any more. It cannot know what the others had acknowledged without it, so it is asked for and never guessed.
 *
 *   identity with the next recovery epoch      from now on nodes of the old cluster are refused
 *   entries that remove the others, one by one     committed by decree, together with all that the log holds
 *   an entry that forgets who they were, and with several shards has them say anew what they are to each other
 *
 * The epoch comes first: a crash in between leaves a node that nobody can reach, and that is recovered once more.
 * Everything in the log is kept. The end of it may never have been acknowledged, but it may have been.
 */
import { existsSync } from "node:fs";
import { must } from "../../base/assert.ts";
import { CorvoError } from "../../base/errors.ts";
import type { AppendWork, Log, LogEntry } from "../../base/log.ts";
import type { Clock, Logger } from "../../base/ports.ts";
import { type Change, decodeBatch, encodeBatch } from "../../engine/change.ts";
import { mailLevel } from "../../engine/feature-levels.ts";
import type { Member } from "../../engine/state.ts";
import { type ChangeBase, changeMembership, restoreMembership } from "../../raft/changer.ts";
import {
  type ConfChange,
  decodeConfChange,
  encodeConfChange,
  leaveJointChange,
} from "../../raft/conf-change.ts";
import { type ConfState, type Entry, emptyData } from "../../raft/message.ts";
import { emptyMembership, isJoint } from "../../raft/tracker.ts";
import { toEntry, toLogEntry } from "../../replica/raft-log.ts";
import { type DataDir, DataDirError, openDataDir } from "../../store/data-dir.ts";
import { LogDamaged } from "../../store/log-format.ts";
import {
  type NodeIdentity,
  readNodeIdentity,
  writeNodeIdentity,
} from "../../store/node-identity.ts";
import { openStorage, type ShardStorage, type Storage } from "./storage.ts";

export interface Recoverable {
  readonly identity: NodeIdentity;
  /** As far as the stored state knows them. */
  readonly members: readonly Member[];
  readonly voters: readonly number[];
  /** Everybody but this node. */
  readonly others: readonly number[];
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** What this node knows to be committed; it may be more. */
  readonly commitIndex: number;
}

interface Plan {
  readonly layout: ChangeBase;
  /** Latest time that an entry of the log was stamped with. */
  readonly nowMs: number;
}

const readBytes = 4 * 1024 * 1024;
/** Nothing is claimed here. */
const cachedJobsMax = 1000;

/** Opens the directory of a stopped node, and keeps a server from starting on it meanwhile. */
export async function openForRecovery(dataDir: string, logger: Logger): Promise<Storage> {
  if (!existsSync(dataDir) || readNodeIdentity(dataDir) === undefined) {
    throw new CorvoError("NOT_FOUND", `${dataDir} is not the data directory of a node`, {
      hint: "Name it with --data-dir.",
    });
  }
  let dir: DataDir | undefined;
  try {
    dir = openDataDir(dataDir);
    const shards = readNodeIdentity(dataDir)?.shards ?? 1;
    return await openStorage(dir, { shards, cachedJobsMax, textIndex: false }, logger);
  } catch (error) {
    dir?.close();
    if (!(error instanceof DataDirError) && !(error instanceof LogDamaged)) throw error;
    const isLocked = error instanceof DataDirError && error.problem === "locked";
    throw new CorvoError("CONFLICT", error.message, {
      hint: isLocked ? "A server that runs is not recovered." : "Nothing was changed.",
    });
  }
}

/** What there is to recover. Of several shards the first is shown; all of them are cut down. */
export function inspect(storage: Storage): Recoverable {
  const identity = readNodeIdentity(storage.dir.path);
  if (identity === undefined) throw new Error("the directory belongs to no cluster yet");
  const main = mainOf(storage);
  const { last, lastTerm, hardState } = main.log.bounds(main.shard);
  const everybody = storage.shards.flatMap((shard) => everybodyIn(planOf(shard)));
  return {
    identity,
    members: main.store.state.meta.members,
    voters: planOf(main).layout.membership.voters.incoming,
    others: [...new Set(everybody)].filter((id) => id !== identity.nodeId).sort((a, b) => a - b),
    lastIndex: last,
    lastTerm,
    commitIndex: hardState.commit,
  };
}

function mainOf({ shards }: Storage): ShardStorage {
  return must(shards[0], "there is a shard");
}

function everybodyIn({ layout }: Plan): readonly number[] {
  const { voters, learners, learnersNext } = layout.membership;
  return [...voters.incoming, ...voters.outgoing, ...learners, ...learnersNext];
}

/** Makes this node the only member. Resolves when that is on disk; gives the new recovery epoch. */
export async function recover(
  storage: Storage,
  { identity, others }: Recoverable,
  clock: Clock,
): Promise<number> {
  const recoveryEpoch = identity.recoveryEpoch + 1;
  writeNodeIdentity(storage.dir.path, { ...identity, recoveryEpoch });
  // Each shard may have been cut off at another moment. Before they could write to each other there is nothing to put right.
  const mayWrite = storage.shards.every(({ store }) => store.state.meta.featureLevel >= mailLevel);
  const reunites = storage.shards.length > 1 && mayWrite;
  await cutDown(storage, { self: identity.nodeId, forgotten: others, clock, reunites });
  return recoveryEpoch;
}

/** Makes a node the only voter of every shard, and has the members of these numbers forgotten. */
export async function cutDown(
  storage: Storage,
  env: {
    readonly self: number;
    readonly forgotten: readonly number[];
    readonly clock: Clock;
    /** The states of the shards may not fit together. */
    readonly reunites: boolean;
  },
): Promise<void> {
  // Shard 0 comes last: who the others were is known until all is done.
  for (const shard of storage.shards.toReversed()) {
    const forgotten = shard.shard === 0 ? env.forgotten : [];
    await recoverShard(shard, { ...env, forgotten });
  }
}

async function recoverShard(
  storage: ShardStorage,
  env: {
    readonly self: number;
    readonly forgotten: readonly number[];
    readonly clock: Clock;
    readonly reunites: boolean;
  },
): Promise<void> {
  const { log, store, shard: group } = storage;
  const { last, hardState } = log.bounds(group);
  const plan = planOf(storage);
  const term = hardState.term + 1;
  const entries = changesFor(plan.layout, env.self).map((change, i): Entry => {
    const data = encodeConfChange(change);
    return { term, index: last + 1 + i, type: "EntryConfChangeV2", data };
  });
  const changes: Change[] = env.forgotten.map((id) => ({ kind: "forgetMember", id }));
  if (env.reunites) changes.push({ kind: "reunite" });
  if (changes.length > 0) {
    const batch = { nowMs: Math.max(env.clock.nowMs(), plan.nowMs), seed: 0, changes };
    const data = new TextEncoder().encode(encodeBatch(batch, store.state.meta.featureLevel));
    entries.push({ term, index: last + 1 + entries.length, type: "EntryNormal", data });
  }
  await append(log, {
    group,
    entries: entries.map(toLogEntry),
    hardState: { term, vote: String(env.self), commit: last + entries.length },
  });
}

function append(log: Log, work: AppendWork): Promise<void> {
  return new Promise((resolve, reject) => {
    log.append(work, (fault) =>
      fault === undefined ? resolve() : reject(new Error(fault.message)),
    );
  });
}

/** The membership at the end of the log, and its time: what the state does not reflect yet is read. */
function planOf({ log, store, shard }: ShardStorage): Plan {
  const { last } = log.bounds(shard);
  let layout = restored(store.stored.conf, last);
  let { nowMs } = store.state.meta;
  for (let next = store.stored.index + 1; next <= last; ) {
    const found = log.read(shard, next, readBytes);
    if (found.length === 0) throw new Error(`entry ${next} of the log cannot be read`);
    for (const entry of found) {
      layout = withChange(layout, entry);
      nowMs = Math.max(nowMs, timeOf(entry));
    }
    next = (found.at(-1)?.index ?? next) + 1;
  }
  return { layout, nowMs };
}

function restored(conf: ConfState, lastIndex: number): ChangeBase {
  const base = {
    membership: emptyMembership,
    progress: new Map(),
    lastIndex,
    // Progress is tracked for nobody here.
    inflightMessagesMax: 1,
    inflightBytesMax: 1,
  };
  const result = restoreMembership(base, conf);
  if (result.kind === "refused") throw new Error(`the stored membership: ${result.reason}`);
  return { ...base, ...result.layout };
}

function withChange(layout: ChangeBase, logged: LogEntry): ChangeBase {
  const { type, data, index } = toEntry(logged);
  if (type === "EntryNormal") return layout;
  const change = decodeConfChange(data);
  if (change === undefined) throw new Error(`entry ${index} of the log is no change of members`);
  return applied(layout, change);
}

function applied(layout: ChangeBase, change: ConfChange): ChangeBase {
  const result = changeMembership(layout, change);
  if (result.kind === "refused") throw new Error(`a change of members: ${result.reason}`);
  return { ...layout, ...result.layout };
}

function timeOf(logged: LogEntry): number {
  const { type, data } = toEntry(logged);
  if (type !== "EntryNormal" || data.length === 0) return 0;
  return decodeBatch(new TextDecoder().decode(data)).nowMs;
}

/** The changes that leave only this node, each possible after the one before. */
function changesFor(start: ChangeBase, self: number): ConfChange[] {
  const changes: ConfChange[] = [];
  let layout = start;
  const add = (change: ConfChange) => {
    layout = applied(layout, change);
    changes.push(change);
  };
  const one = (kind: "addVoter" | "remove", id: number) =>
    add({ transition: "auto", changes: [{ kind, id }], context: emptyData });
  if (isJoint(layout.membership)) add(leaveJointChange);
  if (!layout.membership.voters.incoming.includes(self)) one("addVoter", self);
  const { voters, learners } = layout.membership;
  for (const id of [...voters.incoming, ...learners]) if (id !== self) one("remove", id);
  return changes;
}
