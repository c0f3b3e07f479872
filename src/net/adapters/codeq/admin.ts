/** codeQ's calls for operators: counts, cleaning up, topics, who leads. */
import type { InputOf, ResultOf } from "../../../api/operation.ts";
import { type Operations, Reply } from "../../../api/operations.ts";
import { CorvoError } from "../../../base/errors.ts";
import type { Clock } from "../../../base/ports.ts";
import { formatTime, parseTime } from "../../../base/time.ts";
import type { RequestContext } from "../../http/admission.ts";
import { type Call, type ForeignCall, foreign } from "../foreign.ts";
import { codeqRows as rows } from "./calls.ts";

const cleanupLimit = 1000;
/** A task that has ended expires after so long, and `before` is about that. */
const cleanupAgeMs = 24 * 3_600_000;

type QueueView = ResultOf<Operations["getQueue"]>;
type ClusterView = ResultOf<Operations["clusterStatus"]>;
type TopicDefaults = Pick<
  InputOf<Operations["setQueueDefaults"]>["body"],
  "max_retries" | "dead_queue"
>;

export function codeqAdminCalls(call: Call, clock: Clock): ForeignCall[] {
  return [
    foreign(rows.queues, async (_, context) => {
      const queues = await call("listQueues", {}, context);
      return (queues ?? []).map(countsOf);
    }),
    foreign(rows.queue, async ({ params }, context) => {
      const queue = await call("getQueue", { params: { name: params.command } }, context);
      if (queue === undefined) throw new CorvoError("NOT_FOUND", `no command ${params.command}`);
      return countsOf(queue);
    }),
    foreign(rows.cleanup, async ({ body }, context) => {
      const limit = body.limit ?? cleanupLimit;
      const before = body.before || formatTime(clock.nowMs());
      const expiredMs = parseTime(before);
      const filter = {
        state: ["completed" as const, "dead" as const, "cancelled" as const],
        // What is no time is refused by the search.
        completed_before: expiredMs === undefined ? before : formatTime(expiredMs - cleanupAgeMs),
        order: "asc" as const,
        limit,
      };
      const page = await call("searchJobs", { body: filter }, context);
      const job_ids = (page?.jobs ?? []).map(({ id }) => id);
      if (job_ids.length === 0) return { deleted: 0, before, limit };
      const done = await call("bulkJobs", { body: { job_ids, action: "delete" } }, context);
      return { deleted: done?.affected ?? 0, before, limit };
    }),
    ...topicCalls(call),
    foreign(rows.raftStatus, async (_, context) => {
      const status = await call("clusterStatus", {}, context);
      if (status === undefined) throw new CorvoError("UNAVAILABLE", "the cluster is not known");
      return raftStatusOf(status);
    }),
  ];
}

function countsOf({ name, pending, scheduled, retrying, active, dead }: QueueView) {
  return {
    command: name,
    ready: pending,
    delayed: scheduled + retrying,
    inProgress: active,
    dlq: dead,
  };
}

/** A topic's policy is the defaults of the queue and its concurrency, so it is in force. Other defaults are not the topic's. */
function topicCalls(call: Call): ForeignCall[] {
  const setDefaults = async (name: string, topic: TopicDefaults, context: RequestContext) => {
    const params = { name };
    const found = (await call("getQueueDefaults", { params }, context))?.defaults;
    const { max_retries: _, dead_queue: __, ...others } = found ?? {};
    const defaults = { ...others, ...topic };
    if (Object.keys(defaults).length === 0) await call("removeQueueDefaults", { params }, context);
    else await call("setQueueDefaults", { params, body: defaults }, context);
  };
  const find = async (name: string, context: RequestContext) => {
    const params = { name };
    const defaults = (await call("getQueueDefaults", { params }, context))?.defaults;
    const limit = await call("getLimit", { params }, context);
    return {
      name,
      ...(defaults?.max_retries == null ? {} : { maxAttempts: defaults.max_retries }),
      ...(defaults?.dead_queue == null ? {} : { deadLetterTopicRef: defaults.dead_queue }),
      ...(limit?.concurrency === undefined ? {} : { maxConsumers: limit.concurrency }),
    };
  };
  return [
    foreign(rows.putTopic, async ({ params, body }, context) => {
      const { name } = params;
      const unknown = (["retentionSeconds", "priorityTiers"] as const).find(
        (member) => body[member] != null,
      );
      if (unknown !== undefined) {
        const error = `${unknown}: is not set per topic; retention is the server's (--retention), priorities are 0 to 9`;
        return new Reply(422, { error, code: "UNSUPPORTED" });
      }
      const isNew = Object.keys(await find(name, context)).length === 1;
      const defaults = {
        ...(body.maxAttempts == null ? {} : { max_retries: body.maxAttempts }),
        ...(body.deadLetterTopicRef == null ? {} : { dead_queue: body.deadLetterTopicRef }),
      };
      await setDefaults(name, defaults, context);
      await call(
        "setConcurrency",
        { params: { name }, body: { max: body.maxConsumers ?? 0 } },
        context,
      );
      return new Reply(isNew ? 201 : 200, await find(name, context));
    }),
    foreign(rows.getTopic, async ({ params }, context) => {
      const topic = await find(params.name, context);
      if (Object.keys(topic).length === 1) {
        throw new CorvoError("NOT_FOUND", `no topic ${params.name}`);
      }
      return topic;
    }),
    foreign(rows.deleteTopic, async ({ params, query }, context) => {
      if (query.deletionPolicy !== "Delete") {
        const error = "deletionPolicy: Delete is needed to remove a topic";
        return new Reply(409, { error, code: "CONFLICT" });
      }
      const { name } = params;
      if (Object.keys(await find(name, context)).length === 1) {
        throw new CorvoError("NOT_FOUND", `no topic ${name}`);
      }
      await setDefaults(name, {}, context);
      await call("setConcurrency", { params: { name }, body: { max: 0 } }, context);
      return new Reply(204, undefined);
    }),
  ];
}

function raftStatusOf(status: ClusterView) {
  const self = status.nodes.find((node) => node.self);
  const groups = status.shards ?? [{ shard: 0, leader_id: status.leader_id }];
  return {
    enabled: status.nodes.length > 1,
    numGroups: groups.length,
    groups: groups.map(({ shard, leader_id }) => {
      const leader = status.nodes.find((node) => node.id === leader_id);
      return {
        shardIdx: shard,
        isLeader: self !== undefined && self.id === leader_id,
        selfId: status.node_id,
        selfAddr: self?.address ?? "",
        leaderId: leader_id,
        leaderAddr: leader?.address ?? "",
        leaderHTTPAddr: leader?.http_url ?? "",
        hasLeader: leader_id !== "",
      };
    }),
  };
}
