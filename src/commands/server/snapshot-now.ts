/**
 * A snapshot because somebody asked for one: it is made now, and the log lets go of what it covers. Entries that a member
 * in touch still lacks stay, and so do the last few: a node that leads next would otherwise have to send its whole
 * state to members that are only a moment behind.
 */
import { must } from "../../base/assert.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock } from "../../base/ports.ts";
import type { SnapshotMade } from "../../service/cluster.ts";
import { aloneTailEntries, type Consensus, compactLog } from "./consensus.ts";
import type { ShardStorage } from "./storage.ts";

type StoredShard = Consensus & { readonly storage: ShardStorage };
type Made = Omit<SnapshotMade, "nodeId">;

/** Of every shard of the node; the indexes told are those of the first. */
export async function snapshotNow(shards: readonly StoredShard[], clock: Clock): Promise<Made> {
  const startedMs = clock.monotonicMs();
  const made: Omit<Made, "durationMs">[] = [];
  for (const shard of shards) made.push(await snapshotOf(shard));
  const bytes = made.reduce((sum, one) => sum + one.bytes, 0);
  const { index, logFirst } = must(made[0], "there is a shard");
  return { index, logFirst, bytes, durationMs: clock.monotonicMs() - startedMs };
}

async function snapshotOf({
  storage,
  group,
  snapshots,
}: StoredShard): Promise<Omit<Made, "durationMs">> {
  try {
    const { index, bytes } = await snapshots.make();
    compactLog(storage, snapshots, Math.min(index, neededBy(group)) - aloneTailEntries);
    return { index, bytes, logFirst: storage.log.bounds(storage.shard).first };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CorvoError("UNAVAILABLE", `no snapshot could be made: ${reason}`, {
      cause,
      hint: "The node's log has the details; a full disk is the usual reason.",
    });
  }
}

/** What the slowest member in touch has. Only a leader knows; others keep what they have for nobody. */
function neededBy(group: Consensus["group"]): number {
  const { role, tracker } = group.state;
  if (role !== "leader") return Number.POSITIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  for (const id of tracker.ids) {
    const progress = tracker.get(id);
    if (progress?.recentActive === true) least = Math.min(least, progress.match);
  }
  return least;
}
