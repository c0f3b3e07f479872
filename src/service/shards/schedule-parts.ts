/**
 * Schedules of several shards. One is where the queue of its jobs is, since that shard adds them; its name says nothing
 * about that, so all shards are asked for it. A schedule whose jobs are to go to a queue of another shard has to be
 * deleted first: its history cannot go along.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { pageOf } from "../page.ts";
import { scheduleListing } from "../schedule-handlers.ts";
import {
  type AnswerFor,
  type InputFor,
  type Part,
  type ResultFor,
  type ShardCalls,
  settleParts,
} from "./shard-calls.ts";

type ByName = "getSchedule" | "deleteSchedule" | "pauseSchedule" | "resumeSchedule" | "runSchedule";

export function createScheduleParts(
  calls: ShardCalls,
): Pick<Handlers, ByName | "listSchedules" | "setSchedule"> {
  const toOne =
    <Name extends ByName>(name: Name) =>
    async (input: InputFor<Name>, context: CallContext): Promise<AnswerFor<Name>> => {
      const parts = await settleParts(calls.all, (shard) =>
        calls.call(shard, name, input, context),
      );
      return foundIn(parts).result;
    };
  return {
    getSchedule: toOne("getSchedule"),
    deleteSchedule: toOne("deleteSchedule"),
    pauseSchedule: toOne("pauseSchedule"),
    resumeSchedule: toOne("resumeSchedule"),
    runSchedule: toOne("runSchedule"),

    async setSchedule(
      input: InputFor<"setSchedule">,
      context: CallContext,
    ): Promise<AnswerFor<"setSchedule">> {
      const shard = calls.ofQueue(input.body.job.queue);
      const others = calls.all.filter((other) => other !== shard);
      const look = { params: input.params, query: {}, body: {} };
      const parts = await settleParts(others, (other) =>
        calls.call(other, "getSchedule", look, context),
      );
      refuseElsewhere(input.params.name, parts);
      return calls.call(shard, "setSchedule", input, context);
    },

    async listSchedules(
      input: InputFor<"listSchedules">,
      context: CallContext,
    ): Promise<ResultFor<"listSchedules">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listSchedules", input, context)),
      );
      const found = parts.flatMap(({ schedules }) => schedules);
      const hasMore = parts.some(({ has_more }) => has_more);
      const { rows, end } = pageOf(scheduleListing, input.query, found, hasMore);
      return {
        schedules: rows,
        total: parts.reduce((sum, { total }) => sum + total, 0),
        ...end,
      };
    },
  };
}

/** The shard that has it. Where one could not be asked, nobody knows that there is none. */
function foundIn<Result>(parts: readonly Part<Result>[]): Part<Result> & { kind: "answered" } {
  let refusal: CorvoError | undefined;
  for (const part of parts) {
    if (part.kind === "answered") return part;
    if (refusal === undefined || refusal.code === "NOT_FOUND") refusal = part.error;
  }
  throw refusal ?? new Error("there is at least one shard");
}

function refuseElsewhere(name: string, parts: readonly Part<unknown>[]): void {
  for (const part of parts) {
    if (part.kind === "answered") {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `job.queue: schedule "${name}" is in shard ${part.shard}, and this queue is in another one`,
        {
          hint: "Delete the schedule first, or use a queue whose name has the same part in braces.",
        },
      );
    }
    if (part.error.code !== "NOT_FOUND") throw part.error;
  }
}
