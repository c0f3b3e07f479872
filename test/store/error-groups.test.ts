/** Dead jobs by what went wrong, in a database whose jobs have a few errors, over and over. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { errorGroupOf } from "../../src/engine/error-group.ts";
import { createQueue } from "../../src/engine/state.ts";
import { JobSearcher, type SearchBudget, searchBudget } from "../../src/store/job-search.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const dir = tempDir();
const path = join(dir.path, "state.db");
const searchers: JobSearcher[] = [];

function openSearcher(budget: Partial<SearchBudget> = {}): JobSearcher {
  const options = { budget: { ...searchBudget, ...budget }, nowMs: () => performance.now() };
  const searcher = new JobSearcher(path, options);
  searchers.push(searcher);
  return searcher;
}

/** Of six jobs three could not find a user, one each time out of two before that; one timed out, one expired, one is done. */
const stories = [
  { errors: ["user 17 not found"], errorClass: undefined },
  { errors: ["too slow", "user 4 not found"], errorClass: undefined },
  { errors: ["user 4 not found"], errorClass: "NotFound" },
  { errors: ["user 5 not found", "too slow"], errorClass: undefined },
  { errors: [], errorClass: undefined },
] as const;
const rounds = 20;
const unknownUser = errorGroupOf("user 1 not found", undefined).id;

beforeAll(() => {
  const rig = new StateRig(path, 0);
  const queue = createQueue("a", 1);
  rig.state.putQueue(queue);
  for (let i = 0; i < rounds * stories.length; i++) {
    const story = stories[i % stories.length] ?? stories[0];
    const seq = i + 1;
    const history = story.errors.length;
    const ends = { finish: seq, finishedAtMs: 1000 + seq, order: 0, reason: "job expired" };
    rig.state.putJob(buildJob({ seq, state: "dead", history, ...ends }));
    queue.counts.dead++;
    for (const [ordinal, error] of story.errors.entries()) {
      rig.state.putAttempt(buildAttempt({ seq, ordinal, error, errorClass: story.errorClass }));
    }
  }
  rig.state.putJob(buildJob({ seq: 1000 }));
  rig.checkpoint(1);
  rig.close();
});

afterAll(() => {
  for (const searcher of searchers) searcher.close();
  dir[Symbol.dispose]();
});

const seqsOf = (...places: readonly number[]) =>
  Array.from({ length: rounds * stories.length }, (_, i) => i).flatMap((i) =>
    places.includes(i % stories.length) ? [i + 1] : [],
  );

test("[J85] a filter by group finds the jobs whose last error is of it, page by page", () => {
  const searcher = openSearcher();
  const found: number[] = [];
  let cursor: string | undefined;
  do {
    const page = searcher.page({
      filter: { errorGroup: unknownUser },
      sort: "created_at",
      descending: false,
      limit: 7,
      ...(cursor === undefined ? {} : { cursor }),
    });
    found.push(...page.jobs.map(({ seq }) => seq));
    cursor = page.cursor;
  } while (cursor !== undefined);

  expect(found).toEqual(seqsOf(0, 1));
  const range = { afterSeq: 6, beforeSeq: 1e9, limit: 3 };
  expect(searcher.seqs({ errorGroup: unknownUser }, range).seqs).toEqual([7, 11, 12]);
});

test("[J85] dead jobs are counted by group, the largest first, with times and the job that died last", () => {
  const answer = openSearcher().errorGroups({ queue: "a", states: ["dead"] }, 3);

  expect(answer).toMatchObject({ jobs: 100, groupCount: 4, exact: true });
  expect(answer.groups[0]).toEqual({
    group: { id: unknownUser, errorClass: undefined, error: "user * not found" },
    count: 40,
    firstMs: 1001,
    lastMs: 1097,
    sample: { seq: 97, createdAtMs: 1_700_000_000_097 },
  });
  expect(answer.groups.slice(1).map(({ group, count }) => [group.error, count])).toEqual([
    ["job expired", 20],
    ["too slow", 20],
  ]);
});

test("[J85] more jobs than the budget allows are not looked at, and the answer says so", () => {
  const answer = openSearcher({ rowsMax: 10 }).errorGroups({ states: ["dead"] }, 50);
  expect(answer.exact).toBe(false);
  expect(answer.jobs).toBeLessThan(100);
});

test("[J85] jobs of a group come in any order", () => {
  const page = openSearcher().page({
    filter: { errorGroup: unknownUser },
    sort: "completed_at",
    descending: true,
    limit: 100,
  });

  expect(page.jobs.map(({ seq }) => seq)).toEqual(seqsOf(0, 1).reverse());
});
