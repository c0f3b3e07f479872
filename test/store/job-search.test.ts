import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import { type Attempt, isFinished, type Job } from "../../src/engine/job.ts";
import type { JobFilter, JobPage, JobPageRequest, JobSort } from "../../src/engine/query.ts";
import { createQueue, retentionClassOf } from "../../src/engine/state.ts";
import { JobSearcher, type SearchBudget, searchBudget } from "../../src/store/job-search.ts";
import { TextIndexer } from "../../src/store/text-indexer.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";
import { isMatch, type Known } from "../support/naive-filter.ts";
import {
  filterArbitrary,
  firstMs,
  jobCount,
  queueNames,
  randomJob,
} from "../support/random-filters.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const dir = tempDir();
const path = join(dir.path, "state.db");
const known: Known[] = [];
const searchers: JobSearcher[] = [];
/** Errors of jobs of the first half that come with the second. */
const lateError = "Refused: no Route to host";

/** Indexes of texts that know all jobs, and half of them as they were before the other half came. */
const wholeText = join(dir.path, "text.db");
const halfText = join(dir.path, "half.db");

function openSearcher(budget: Partial<SearchBudget> = {}, textPath?: string): JobSearcher {
  const searcher = new JobSearcher(path, {
    budget: { ...searchBudget, ...budget },
    nowMs: () => performance.now(),
    textPath,
  });
  searchers.push(searcher);
  return searcher;
}

beforeAll(() => {
  const rig = new StateRig(path, 0, undefined, true);
  const queues = queueNames.map((name) => createQueue(name, 1));
  for (const queue of queues) rig.state.putQueue(queue);
  const finishes = { done: 1, dead: 1 };
  const floor = { done: 30, dead: 12 };
  for (const job of fc.sample(
    fc.array(randomJob(), { minLength: jobCount, maxLength: jobCount, size: "max" }),
    {
      numRuns: 1,
      seed: 7,
    },
  )[0] ?? []) {
    const seq = (known.length + 1) * 3;
    const kind = retentionClassOf(job.state);
    const finish = isFinished(job.state) ? finishes[kind]++ : 0;
    const errors =
      job.history === 0 ? [] : job.history === 1 ? ["boom: it's 100%"] : ["first", "boom"];
    if (known.length === jobCount / 2) {
      rig.checkpoint(1);
      index(halfText);
      for (const [at, one] of known.entries()) {
        if (at % 7 > 0) continue;
        const late = { ...one.job, history: one.job.history + 1 };
        rig.state.putJob(late);
        rig.state.putAttempt(attempt(late.seq, one.job.history, lateError));
        known[at] = { job: late, errors: [...one.errors, lateError] };
      }
    }
    const stored = { ...job, seq, finish, createdAtMs: firstMs + Math.floor(seq / 10) };
    rig.state.putJob(stored);
    for (const [ordinal, error] of errors.entries()) {
      rig.state.putAttempt(
        attempt(seq, ordinal, ordinal === 0 && job.priority === 0 ? undefined : error),
      );
    }
    const visible = finish === 0 || finish >= floor[kind];
    const queue = queues.find((one) => one.name === job.queue);
    if (visible && queue !== undefined) queue.counts[job.state]++;
    known.push({ job: stored, errors: job.priority === 0 ? errors.slice(1) : errors });
  }
  // Stored first and removed by retention afterwards, so that their rows still lie about.
  for (const queue of queues) rig.state.touchQueue(queue);
  rig.checkpoint(2);
  Object.assign(rig.state.meta.floor, floor);
  rig.checkpoint(3);
  index(wholeText);
  rig.close();
  for (let i = known.length - 1; i >= 0; i--) {
    const { job } = known[i] as Known;
    if (job.finish > 0 && job.finish < floor[retentionClassOf(job.state)]) known.splice(i, 1);
  }
});

function attempt(seq: number, ordinal: number, error: string | undefined): Attempt {
  return buildAttempt({ seq, ordinal, error, output: undefined, workerId: undefined });
}

function index(textPath: string): void {
  const indexer = new TextIndexer(textPath, path);
  while (indexer.step());
  indexer.close();
}

afterAll(() => {
  for (const searcher of searchers) searcher.close();
  dir[Symbol.dispose]();
});

const keyOf: Readonly<Record<JobSort, (job: Job) => number>> = {
  created_at: (job) => job.seq,
  priority: (job) => job.priority,
  started_at: (job) => job.startedAtMs,
  completed_at: (job) => job.finishedAtMs,
  attempt: (job) => job.attempt,
};

function naive(filter: JobFilter, sort: JobSort, descending: boolean): Job[] {
  const key = keyOf[sort];
  const sign = descending ? -1 : 1;
  return known
    .filter((one) => isMatch(one, filter))
    .map((one) => one.job)
    .sort((one, other) => sign * (key(one) - key(other) || one.seq - other.seq));
}

function allPages(searcher: JobSearcher, request: JobPageRequest): JobPage[] {
  const pages: JobPage[] = [];
  let cursor: string | undefined;
  do {
    const page = searcher.page(cursor === undefined ? request : { ...request, cursor });
    pages.push(page);
    cursor = page.cursor;
    if (pages.length > 2000) throw new Error("paging does not end");
  } while (cursor !== undefined);
  return pages;
}

const sortArbitrary = fc.constantFrom<JobSort>(
  "created_at",
  "priority",
  "started_at",
  "completed_at",
  "attempt",
);

describe("pages", () => {
  test.each([
    ["without an index of texts", undefined],
    ["with an index of texts that is whole", wholeText],
    ["with an index of texts that is behind", halfText],
  ])(
    "[Q4] [Q5] [Q8] give each matching job once, in order, with the exact total, %s",
    (_, text) => {
      const searcher = openSearcher({ fewMax: 0 }, text);
      fc.assert(
        fc.property(
          filterArbitrary,
          sortArbitrary,
          fc.boolean(),
          fc.constantFrom(5, 50, 1000),
          (filter, sort, descending, limit) => {
            const expected = naive(filter, sort, descending);

            const pages = allPages(searcher, { filter, sort, descending, limit });

            expect(pages.flatMap((page) => page.jobs)).toEqual(expected);
            for (const page of pages) {
              expect(page).toMatchObject({ total: expected.length, totalExact: true });
            }
          },
        ),
        { numRuns: 120 },
      );
    },
    60_000,
  );

  test("[Q7] by start or end come along the index in one order, whatever the budget", () => {
    const searcher = openSearcher({ fewMax: 0, sortedMax: 0, rowsMax: 60, countMs: 0 }, wholeText);
    fc.assert(
      fc.property(
        filterArbitrary.filter((filter) => !("words" in filter || "payloadContains" in filter)),
        fc.constantFrom<JobSort>("started_at", "completed_at"),
        fc.boolean(),
        fc.constantFrom(1, 7, 50),
        (filter, sort, descending, limit) => {
          const expected = naive(filter, sort, descending);

          const pages = allPages(searcher, { filter, sort, descending, limit });

          const given = pages.flatMap((page) => page.jobs);
          expect(new Set(given.map((job) => job.seq))).toEqual(
            new Set(expected.map((job) => job.seq)),
          );
          expect(given.length).toBe(expected.length);
          for (const page of pages) {
            if (page.totalExact) expect(page.total).toBe(expected.length);
            else expect(page.total).toBeLessThanOrEqual(expected.length);
          }
        },
      ),
      { numRuns: 120 },
    );
  }, 60_000);

  test("[Q6] [Q7] [Q8] give each matching job once when the budget ends in the middle, and never a total that is too high", () => {
    const searcher = openSearcher({ rowsMax: 37, countMs: 0 });
    fc.assert(
      fc.property(
        filterArbitrary,
        sortArbitrary,
        fc.boolean(),
        fc.constantFrom(3, 50),
        (filter, sort, descending, limit) => {
          const expected = naive(filter, "created_at", descending);

          const pages = allPages(searcher, { filter, sort, descending, limit });

          const given = pages.flatMap((page) => page.jobs);
          if (sort === "created_at") expect(given).toEqual(expected);
          else {
            expect(new Set(given.map((job) => job.seq)).size).toBe(given.length);
            expect(given.length).toBe(expected.length);
          }
          for (const page of pages) {
            if (page.totalExact) expect(page.total).toBe(expected.length);
            else expect(page.total).toBeLessThanOrEqual(expected.length);
          }
        },
      ),
      { numRuns: 120 },
    );
  }, 60_000);

  test("[Q3] never show jobs that retention removed, though their rows are still there", () => {
    const shown = allPages(openSearcher(), request({ limit: 1000 })).flatMap((page) => page.jobs);

    const db = new Database(path, { readonly: true });
    const rows = db.query("SELECT count(*) AS count FROM jobs").get() as { count: number };
    db.close();
    expect(rows.count).toBe(jobCount);
    expect(shown.length).toBe(known.length);
    expect(known.length).toBeLessThan(jobCount - 20);
  });

  test("[Q6] are short and can be continued when the time is up, whatever was found", () => {
    let clockMs = 0;
    const searcher = new JobSearcher(path, {
      budget: { ...searchBudget, rowsMax: 64, timeMs: 1, countMs: 0 },
      nowMs: () => clockMs++,
    });
    searchers.push(searcher);

    const pages = allPages(searcher, request({ filter: { payloadContains: "nowhere" } }));

    expect(pages.length).toBe(Math.ceil(jobCount / 64));
    expect(pages[0]).toMatchObject({ jobs: [], total: 0, totalExact: false });
    expect(pages.at(-1)).toMatchObject({ jobs: [], total: 0, totalExact: true });
  });

  test("[Q7] in another order are sorted run by run", () => {
    const all = naive({}, "created_at", true);
    const pages = allPages(
      openSearcher({ rowsMax: 100 }),
      request({ sort: "priority", limit: 30 }),
    );

    const given = pages.flatMap((page) => page.jobs);
    const breaks = given.filter((job, at) => job.priority > (given[at - 1] ?? job).priority).length;
    expect(given.length).toBe(all.length);
    expect(breaks).toBe(Math.ceil(jobCount / 100) - 1);
    expect(pages.every((page) => page.total === all.length && page.totalExact)).toBe(true);
  });

  test("[Q2] belong to one checkpoint while another is written", () => {
    using other = tempDir();
    const otherPath = join(other.path, "state.db");
    const rig = new StateRig(otherPath, 0);
    const queue = createQueue("a", 1);
    rig.state.putQueue(queue);
    rig.checkpoint(1);
    let seq = 0;
    // The clock is read in the middle of a page, which makes it a way to write there.
    const searcher = new JobSearcher(otherPath, {
      budget: searchBudget,
      nowMs: () => {
        rig.state.putJob(buildJob({ seq: ++seq }));
        queue.counts.pending++;
        rig.state.touchQueue(queue);
        rig.checkpoint(1 + seq);
        return 0;
      },
    });

    for (let round = 0; round < 10; round++) {
      const page = searcher.page(request({ limit: 1000 }));
      expect(page.jobs.length).toBe(page.total);
    }
    expect(seq).toBeGreaterThan(10);
    searcher.close();
    rig.close();
  });

  test("are refused with a limit out of bounds", () => {
    const searcher = openSearcher();
    for (const limit of [0, -1, 1.5, 1001, Number.NaN]) {
      expect(codeOf(() => searcher.page(request({ limit })))).toBe("SEARCH_ERROR");
    }
  });
});

describe("sequence numbers", () => {
  test("[Q10] of matching jobs come complete and in growing order, whatever the budget", () => {
    const searcher = openSearcher({ rowsMax: 20, fewMax: 0 }, halfText);
    fc.assert(
      fc.property(
        filterArbitrary,
        fc.integer({ min: 0, max: jobCount * 3 }),
        fc.integer({ min: 0, max: jobCount * 3 + 10 }),
        fc.integer({ min: 1, max: 100 }),
        (filter, afterSeq, beforeSeq, limit) => {
          const found: number[] = [];
          let from = afterSeq;
          for (;;) {
            const step = searcher.seqs(filter, {
              afterSeq: from,
              beforeSeq,
              limit: limit - found.length,
            });
            found.push(...step.seqs);
            if (step.goOnAfterSeq === undefined) break;
            from = step.goOnAfterSeq;
          }

          const expected = naive(filter, "created_at", false)
            .map((job) => job.seq)
            .filter((seq) => seq > afterSeq && seq < beforeSeq)
            .slice(0, limit);
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 120 },
    );
  }, 60_000);
});

describe("a cursor", () => {
  const searcher = () => openSearcher();
  const first = () => must(searcher().page(request({ limit: 5 })).cursor);

  test("[Q9] that no search returned is refused", () => {
    for (const cursor of ["", "x", "!!!", "eyJvZmZzZXQiOjUwfQ==", btoa("[1,2]"), btoa("[]")]) {
      expect(codeOf(() => searcher().page(request({ cursor })))).toBe("SEARCH_ERROR");
    }
  });

  test("[Q9] with a changed position is refused", () => {
    const parts = JSON.parse(atob(first())) as unknown[];
    for (const value of [-1, 1.5, "1; DROP TABLE jobs", null, 1e300, [], {}]) {
      const changed = btoa(JSON.stringify(parts.with(2, value)));
      expect(codeOf(() => searcher().page(request({ cursor: changed })))).toBe("SEARCH_ERROR");
    }
  });

  test("[Q9] of a search with another filter, sort or order is refused", () => {
    const cursor = first();
    const others: Partial<JobPageRequest>[] = [
      { filter: { queue: "a" } },
      { sort: "priority" },
      { descending: false },
    ];
    for (const other of others) {
      expect(codeOf(() => searcher().page(request({ cursor, ...other })))).toBe("SEARCH_ERROR");
    }
    expect(searcher().page(request({ cursor, limit: 9 })).jobs).toHaveLength(9);
  });

  test("fits the same filter written in another order", () => {
    const filter: JobFilter = { states: ["pending", "dead"], tags: {}, queue: "a" };
    const page = searcher().page(request({ filter, limit: 1 }));

    const same: JobFilter = { queue: "a", tags: {}, states: ["dead", "pending"] };
    const next = searcher().page(request({ filter: same, limit: 1, cursor: must(page.cursor) }));

    expect(next.jobs).toHaveLength(1);
  });
});

function request(patch: Partial<JobPageRequest>): JobPageRequest {
  return { filter: {}, sort: "created_at", descending: true, limit: 50, ...patch };
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof CorvoError ? error.code : String(error);
  }
}

function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("expected a value");
  return value;
}
