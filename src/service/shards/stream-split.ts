/**
 * A frame with items of several shards becomes one frame for each of them, and their answers become one again, each list in
 * the order in which its items were sent. Where a shard refused its whole part, its items say so one by one.
 */
import type { AnswerFrame, ClientFrame } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import { readable, splitJobs } from "./batch-jobs.ts";
import { type ShardCalls, splitBy } from "./shard-calls.ts";

const itemKinds = ["ack", "fail", "release", "snooze", "heartbeat"] as const;
const kinds = ["enqueue", ...itemKinds] as const;
type Kind = (typeof kinds)[number];

/** The part of one shard: its frame, and for each list where its items stand in the whole one. */
export interface FramePart {
  readonly frame: ClientFrame;
  readonly places: Readonly<Partial<Record<Kind, readonly number[]>>>;
}

/** The claim is not part of any: credits are lent, not split (`lent-credits.ts`). */
export function splitFrame(frame: ClientFrame, calls: ShardCalls): Map<number, FramePart> {
  const parts = new Map<number, FramePart>();
  const addEnqueue = (jobs: NonNullable<ClientFrame["enqueue"]>) => {
    const split = splitJobs(jobs, (queue) => calls.ofQueue(queue));
    const later = split.find(({ wave }) => wave > 0)?.jobs[0];
    if (later !== undefined) throw namesAnother(later.at);
    add("enqueue", new Map(split.map((part) => [part.shard, readable(part, () => undefined)])));
  };
  const add = (
    kind: Kind,
    split: Map<number, { readonly item: object; readonly at: number }[]>,
  ) => {
    for (const [shard, items] of split) {
      const part = parts.get(shard) ?? { frame: { id: frame.id }, places: {} };
      parts.set(shard, {
        // The items are of this kind: they come from the list of the same name.
        frame: { ...part.frame, [kind]: items.map(({ item }) => item) },
        places: { ...part.places, [kind]: items.map(({ at }) => at) },
      });
    }
  };
  if (frame.enqueue != null) addEnqueue(frame.enqueue);
  for (const kind of itemKinds) {
    const items: readonly { readonly job_id: string }[] | null | undefined = frame[kind];
    if (items != null)
      add(
        kind,
        splitBy(items, ({ job_id }) => calls.ofJob(job_id)),
      );
  }
  return parts;
}

/** What a frame asks of a shard is one batch there, and all shards get their part at once. */
function namesAnother(at: number): CorvoError {
  return new CorvoError(
    "VALIDATION_ERROR",
    `enqueue[${at}]: it names a job of this frame that is in another shard`,
    {
      hint: "Send it in a later frame, with the id of that job; or use POST /api/v1/enqueue/batch.",
    },
  );
}

interface Answered {
  readonly part: FramePart;
  readonly text: string;
}

export function mergeAnswers(frame: ClientFrame, answers: readonly Answered[]): string {
  const merged: Record<string, unknown> = { id: frame.id };
  for (const kind of kinds) {
    const sent = frame[kind];
    if (sent != null && sent.length > 0) merged[kind] = new Array(sent.length);
  }
  for (const { part, text } of answers) {
    // An answer holds no values of users, only ids, states and reasons.
    const answer = JSON.parse(text) as AnswerFrame;
    for (const kind of kinds) {
      const list = merged[kind] as unknown[] | undefined;
      part.places[kind]?.forEach((at, i) => {
        if (list !== undefined) list[at] = answer[kind]?.[i] ?? refused(part, kind, i, answer);
      });
    }
  }
  return JSON.stringify(merged);
}

function refused(part: FramePart, kind: Kind, i: number, answer: AnswerFrame): object {
  const item = part.frame[kind]?.[i] as { readonly job_id?: string } | undefined;
  return {
    job_id: item?.job_id ?? "",
    status: "error",
    code: answer.code ?? "INTERNAL_ERROR",
    error: answer.error ?? "the shard left the item out of its answer",
  };
}

/** The answer to a frame that was refused as a whole. */
export function refusalText(id: number, error: CorvoError): string {
  return JSON.stringify({
    id,
    error: error.message,
    code: error.code,
    ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: error.retryAfterMs }),
  });
}
