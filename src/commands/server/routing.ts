/** What the HTTP side of a node serves: the one shard it has, or a service that goes to each call's shards. */
import { shardOfId } from "../../base/ids.ts";
import type { AppDeps } from "../../net/http/app.ts";
import type { Drain } from "../../net/http/drain.ts";
import { LeaderWatch } from "../../net/http/leader-watch.ts";
import type { Membership } from "../../replica/membership.ts";
import { EventFeed } from "../../service/event-feed.ts";
import type { NoteLease, ShardSet } from "../../service/shards/shard-calls.ts";
import { createShardedHandlers } from "../../service/shards/sharded-service.ts";
import { createShardedStream } from "../../service/shards/sharded-stream.ts";
import { checkFrame } from "../../service/stream-session.ts";
import { parseToken } from "../../service/views.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import type { FormingGate } from "./forming-gate.ts";
import { leaseNumber } from "./open-node.ts";
import { createRemoteShards } from "./remote-shards.ts";
import type { Shard } from "./shard.ts";

interface RoutingParts {
  readonly shards: readonly Shard[];
  readonly membership: Membership;
  readonly drain: Drain;
  readonly gate: FormingGate;
}

type Routing = Pick<AppDeps, "handlers" | "stream" | "events" | "forward" | "shards" | "drain">;

export function createRouting(parts: RoutingParts): Routing {
  const { shards, membership, drain, gate } = parts;
  const [first, ...others] = shards as [Shard, ...Shard[]];
  const whole =
    others.length > 0
      ? createShardedRouting(parts)
      : { ...first.service, forward: leadershipOf(first, membership) };
  return {
    ...whole,
    handlers: gate.guardHandlers(whole.handlers),
    stream: gate.guardStream(whole.stream),
    drain,
  };
}

/** Every node takes every call itself, and asks the leaders of the shards for their parts. */
function createShardedRouting({
  shards,
  membership,
  drain,
  gate,
}: RoutingParts): Omit<Routing, "drain"> {
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
  const parts = shards.map(({ service }, shard) => ({
    handlers: gate.guardHandlers(service.handlers),
    stream: gate.guardStream(service.stream),
    leadership: leaderships[shard] ?? { isLeader: () => false, leaderUrl: () => undefined },
  }));
  const noteLease: NoteLease = (jobId, token) =>
    drain.noteLease(leaseNumber(shardOfId(jobId) ?? 0, parseToken(token)));
  const events = new EventFeed(
    shards.map(({ node }) => node.events),
    systemTimers,
  );
  const { nodeId } = shardOf(shards, 0).node.options;
  const ports = { clock: systemClock, timers: systemTimers, noteLease, events, nodeId };
  return {
    events,
    handlers: createShardedHandlers(set, ports),
    stream: createShardedStream({
      set,
      timers: systemTimers,
      check: (frame) => checkFrame(shardOf(shards, 0).node, frame),
      noteLease,
    }),
    forward: { isLeader: () => true, leaderUrl: () => undefined },
    shards: (shard) => parts[shard],
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
