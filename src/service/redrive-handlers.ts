/** Handlers of operations on the dead jobs of a queue. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { Reply } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { ErrorGroupCount } from "../engine/query.ts";
import { refuseUnknownMembers } from "./bulk.ts";
import { printStored, toFilter } from "./filter/body.ts";
import type { Node } from "./node.ts";

type RedriveHandlers = Pick<
  Handlers,
  "deadGroups" | "startRedrive" | "getRedrive" | "cancelRedrive"
>;
type RedriveView = ResultOf<Operations["getRedrive"]>;
type GroupView = ResultOf<Operations["deadGroups"]>["groups"][number];

const defaultGroups = 50;

export function createRedriveHandlers(node: Node): RedriveHandlers {
  const { search } = node.deps;
  return {
    async deadGroups({ params, query }) {
      const { name } = params;
      if (node.replica.engine.state.getQueue(name) === undefined) {
        throw new CorvoError("NOT_FOUND", `no queue "${name}"`);
      }
      const filter = { queue: name, states: ["dead" as const] };
      const found = await search.errorGroups(filter, query.limit ?? defaultGroups);
      const groups = found.groups.map((group) => groupView(node, group));
      const { groupCount, jobs, exact } = found;
      return { queue: name, groups, group_count: groupCount, jobs, exact };
    },
    async startRedrive({ params, body }) {
      const queue = params.name;
      if (body.to_queue === queue) {
        throw new CorvoError("VALIDATION_ERROR", `to_queue: "${queue}" is where the jobs are`);
      }
      node.refuseElsewhere(queue);
      if (body.to_queue != null) node.refuseElsewhere(body.to_queue);
      const given = body.filter ?? {};
      refuseUnknownMembers(given);
      for (const member of ["queue", "state", "sort", "order", "limit", "cursor"]) {
        if ((given as Readonly<Record<string, unknown>>)[member] == null) continue;
        throw new CorvoError(
          "VALIDATION_ERROR",
          `filter.${member}: a redrive is of all dead jobs of one queue that match`,
        );
      }
      const filter = toFilter(given, node.filterEnv);
      const { total, totalExact } = await search.page({
        filter: { ...filter, queue, states: ["dead"] },
        sort: "created_at",
        descending: false,
        limit: 1,
      });
      const change = {
        kind: "startRedrive" as const,
        queue,
        filter,
        total,
        totalExact,
        ...(body.to_queue == null ? {} : { toQueue: body.to_queue }),
        ...(body.rate_per_second == null ? {} : { perSecond: body.rate_per_second }),
      };
      await node.propose(change, 512 + JSON.stringify(filter).length);
      return new Reply(202, redriveView(node, queue));
    },
    getRedrive: async ({ params }) => redriveView(node, params.name),
    async cancelRedrive({ params }) {
      await node.propose({ kind: "cancelRedrive", queue: params.name }, 128);
      return { status: "cancelled" };
    },
  };
}

function redriveView(node: Node, queue: string): RedriveView {
  const redrive = node.replica.engine.state.records("redrive").get(queue);
  if (redrive === undefined) {
    throw new CorvoError("NOT_FOUND", `dead jobs of queue "${queue}" were never redriven`);
  }
  return {
    queue,
    state: redrive.state,
    filter: printStored(redrive.filter, node.options.shard),
    ...(redrive.toQueue === undefined ? {} : { to_queue: redrive.toQueue }),
    ...(redrive.perSecond === 0 ? {} : { rate_per_second: redrive.perSecond }),
    total: redrive.total,
    total_exact: redrive.totalExact,
    retried: redrive.retried,
    skipped: redrive.skipped,
    started_at: formatTime(redrive.startedAtMs),
    ...(redrive.finishedAtMs === 0 ? {} : { finished_at: formatTime(redrive.finishedAtMs) }),
  };
}

function groupView(node: Node, found: ErrorGroupCount): GroupView {
  const { group, count, firstMs, lastMs, sample } = found;
  return {
    id: group.id,
    ...(group.errorClass === undefined ? {} : { error_class: group.errorClass }),
    error: group.error,
    count,
    ...(firstMs === 0 ? {} : { first_at: formatTime(firstMs) }),
    ...(lastMs === 0 ? {} : { last_at: formatTime(lastMs) }),
    sample_job_id: node.idOf(sample),
  };
}
