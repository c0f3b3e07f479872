/** The shapes of messages between shards. They were made by an engine, from what was let in before; each is looked at again. */
import type { JobRef } from "./chains.ts";
import type { NewJob } from "./change.ts";
import { changeLimits as bounds } from "./limits.ts";
import type { Errand, Mail, Tally } from "./mail.ts";
import type { JobOptions } from "./options.ts";
import {
  checked,
  integer,
  list,
  members,
  optional,
  pair,
  type Shape,
  variants,
  word,
  yes,
} from "./shape.ts";
import {
  count,
  jobRows,
  key,
  longText,
  optionRows,
  restOfChain,
  seq,
  shard,
  shortText,
  storedValue,
  time,
} from "./well-formed-job.ts";

const id = key;
const change = integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

const numberAndTime = pair(seq, time);
const ref: Shape<JobRef> = (value) =>
  Array.isArray(value) && value.length === 3
    ? (numberAndTime(value.slice(0, 2)) ?? shard(value[2]))
    : numberAndTime(value);

/** What an engine adds in another shard. */
const addedJob: Shape<NewJob> = members<NewJob>({
  ...jobRows,
  options: optional(
    members<Partial<JobOptions>>({
      ...optionRows,
      chain: optional(restOfChain),
      chainId: optional(id),
      chainStep: optional(integer(-2, bounds.listMax)),
      deadOf: optional(ref),
    }),
  ),
});

const errand: Shape<Errand> = variants<Errand>({
  step: { chain: id, step: integer(-2, bounds.listMax), batch: optional(id) },
  callback: {
    batch: id,
    slot: word({ successJob: true, failureJob: true, completeJob: true }),
  },
});

const tally: Shape<Tally> = members<Tally>({
  total: change,
  pending: change,
  completed: change,
  dead: change,
  cancelled: change,
});

const jobs = checked(list(seq, 1, bounds.listMax), (value) =>
  new Set(value).size === value.length ? undefined : "each job once",
);

export const mail: Shape<Mail> = variants<Mail>({
  watch: { id, at: count, again: optional(yes) },
  unwatch: { id },
  ended: {
    id,
    how: word({
      completed: true,
      dead: true,
      cancelled: true,
      deleted: true,
      removed: true,
      missing: true,
    }),
    at: count,
    only: optional(yes),
  },
  follow: { id, again: optional(yes) },
  unfollow: { id },
  cancelled: { id },
  add: { job: addedJob, errand: optional(errand) },
  added: { errand, job: optional(ref), problem: optional(longText) },
  step: {
    chain: id,
    step: integer(0, bounds.listMax),
    how: word({ completed: true, dead: true, cancelled: true, runsAgain: true }),
    job: id,
    plan: optional(restOfChain),
    parentId: optional(shortText),
    cascadeCancel: optional(yes),
    batchId: optional(id),
    result: optional(storedValue),
    exit: optional(longText),
    error: optional(longText),
    reason: optional(longText),
  },
  findStep: { chain: id, step: integer(0, bounds.listMax), seq },
  reunited: {},
  join: { batch: id, jobs },
  joined: { batch: id, jobs, refusal: optional(longText) },
  partDone: { batch: id },
  count: { batch: id, by: tally },
});
