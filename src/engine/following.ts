/**
 * Jobs that are cancelled with a parent or a batch of another shard. The shard that has such jobs follows the parent or batch for as
 * long as one of them is unfinished; the other shard keeps who follows what, and tells them of a cancellation.
 */
import { parseGroupId, parseJobId } from "../base/ids.ts";
import type { Core } from "./core.ts";
import { findByIdText } from "./depend.ts";
import type { Owner } from "./links.ts";
import type { Cancelled, Follow, Unfollow } from "./mail.ts";
import { elsewhere } from "./place.ts";

/** The first of our jobs that goes with something of another shard. */
export function follow(core: Core, owner: Owner, isNew: boolean): void {
  const shard = typeof owner === "string" ? elsewhere(core.place, owner) : undefined;
  if (shard === undefined) return;
  const id = String(owner);
  core.post.send(shard, isNew ? { kind: "follow", id } : { kind: "follow", id, again: true });
}

/** None of our jobs goes with it any more. */
export function unfollow(core: Core, owner: Owner): void {
  const shard = typeof owner === "string" ? elsewhere(core.place, owner) : undefined;
  if (shard !== undefined) core.post.send(shard, { kind: "unfollow", id: String(owner) });
}

/** A job or batch was cancelled. */
export function tellFollowers(core: Core, seq: number): void {
  const followers = core.followers.size === 0 ? undefined : core.followers.get(String(seq));
  if (followers === undefined) return;
  for (const shard of followers.shards) {
    core.post.send(shard, { kind: "cancelled", id: followers.id });
  }
}

/** What is cancelled already is told at once. What is gone will not be cancelled any more. */
export function takeFollow(core: Core, from: number, { id, again }: Follow): void {
  const seq = numberOf(id);
  const state = seq === undefined ? undefined : stateOf(core, id, seq);
  if (seq === undefined || state === undefined) return;
  const shards = core.followers.get(String(seq))?.shards ?? [];
  if (!shards.includes(from)) core.followers.put(String(seq), { id, shards: [...shards, from] });
  if (again !== true && (state === "cancelled" || state === "cancelling")) {
    core.post.send(from, { kind: "cancelled", id });
  }
}

export function takeUnfollow(core: Core, from: number, { id }: Unfollow): void {
  const key = String(numberOf(id));
  const followers = core.followers.get(key);
  if (followers === undefined) return;
  const shards = followers.shards.filter((shard) => shard !== from);
  if (shards.length > 0) core.followers.put(key, { ...followers, shards });
  else core.followers.delete(key);
}

/** Something of another shard was cancelled, and our jobs go with it. */
export function takeCancelled(core: Core, { id }: Cancelled): void {
  if (!core.ties.hasMembers(id)) return;
  if (id.startsWith("batch_")) core.aftermath.push({ kind: "cancelMembers", batch: id, after: 0 });
  else core.aftermath.push({ kind: "cancelChildren", parent: id, after: 0 });
}

function numberOf(id: string): number | undefined {
  return (parseJobId(id) ?? parseGroupId("batch", id))?.seq;
}

function stateOf(core: Core, id: string, seq: number): string | undefined {
  const parsed = parseGroupId("batch", id);
  if (parsed === undefined) return findByIdText(core, id)?.state;
  const batch = core.state.records("batch").get(String(seq));
  return batch?.createdAtMs === parsed.createdAtMs ? batch.state : undefined;
}
