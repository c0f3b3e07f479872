/** What the HTTP side of a node serves: the one shard it has, or a service that goes to each call's shards. */
import type { AppDeps } from "../../net/http/app.ts";
import { LeaderWatch } from "../../net/http/leader-watch.ts";
import type { Membership } from "../../replica/membership.ts";
import type { ShardSet } from "../../service/shards/shard-calls.ts";
import { createShardedHandlers } from "../../service/shards/sharded-service.ts";
import { createShardedStream } from "../../service/shards/sharded-stream.ts";
import { checkFrame } from "../../service/stream-session.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { createRemoteShards } from "./remote-shards.ts";
import type { Shard } from "./shard.ts";

type Routing = Pick<AppDeps, "handlers" | "stream" | "forward" | "shards">;

export function createRouting(shards: readonly Shard[], membership: Membership): Routing {
  const [first, ...others] = shards as [Shard];
  if (others.length > 0) return createShardedRouting(shards, membership);
  return { ...first.service, forward: leadershipOf(first, membership) };
}

/** Every node takes every call itself, and asks the leaders of the shards for their parts. */
function createShardedRouting(shards: readonly Shard[], membership: Membership): Routing {
  const watch = new LeaderWatch(systemTimers);
  const leaderships = shards.map((shard) => leadershipOf(shard, membership));
  const set: ShardSet = {
    count: shards.length,
    service: (shard) => shardOf(shards, shard).service,
    leaderOf(shard) {
      if (leaderships[shard]?.isLeader() === true) return "here";
      const url = leaderships[shard]?.leaderUrl();
      return url === undefined ? undefined : { url };
    },
    whenNotLeading: (shard, callback) =>
      watch.whenOver(() => leaderships[shard]?.isLeader() === true, callback),
    remote: createRemoteShards(),
    timers: systemTimers,
  };
  return {
    handlers: createShardedHandlers(set, { clock: systemClock, timers: systemTimers }),
    stream: createShardedStream({
      set,
      timers: systemTimers,
      check: (frame) => checkFrame(shardOf(shards, 0).node, frame),
    }),
    forward: { isLeader: () => true, leaderUrl: () => undefined },
    shards: (shard) => {
      const leadership = leaderships[shard];
      return leadership === undefined
        ? undefined
        : { ...shardOf(shards, shard).service, leadership };
    },
  };
}

function shardOf(shards: readonly Shard[], number: number): Shard {
  const shard = shards[number];
  if (shard === undefined)
    throw new Error(`there is no shard ${number}; there are ${shards.length}`);
  return shard;
}

function leadershipOf({ group, replica }: Shard, membership: Membership) {
  return {
    isLeader: () => replica.isLeader,
    leaderUrl: () => membership.httpUrlOf(group.state.leader),
  };
}
