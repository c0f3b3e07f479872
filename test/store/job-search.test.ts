import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import { formatJobId } from "../../src/base/ids.ts";
import { bytesForm, compressForm, jsonOf } from "../../src/base/stored-value.ts";
import { isFinished, type Job, jobStates } from "../../src/engine/job.ts";
import { defaultOptions } from "../../src/engine/options.ts";
import type { JobFilter, JobPage, JobPageRequest, JobSort } from "../../src/engine/query.ts";
import { createQueue, retentionClassOf } from "../../src/engine/state.ts";
import { JobSearcher, type SearchBudget, searchBudget } from "../../src/store/job-search.ts";
import { buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const jobCount = 400;
const queueNames = ["a", "b", "mail/out"];
/** Awkward on purpose: quotes, paths, wildcards and statements must be nothing but text. */
const tagNames = ["env", 'a"b', "$.x", "x'); DROP TABLE jobs; --", "", "é.%_"];
/** The last two are compressed, and bytes: the one is found by its text, the other by nothing. */
const payloads = [
  '{"n":1}',
  '{"N":1,"s":"it\'s 100%"}',
  '"\u{1f600}"',
  "[]",
  compressForm(`{"n":1,"s":"it's 100%","more":"${"n".repeat(400)}"}`, 64),
  bytesForm("bjoxaXQnczEwMG4=", 11, "text/plain"),
];
const firstMs = 1_700_000_000_000;

/** What a search is compared with: the job and the errors of its attempts. */
interface Known {
  readonly job: Job;
  readonly errors: readonly string[];
}

const dir = tempDir();
const path = join(dir.path, "state.db");
const known: Known[] = [];
const searchers: JobSearcher[] = [];

function openSearcher(budget: Partial<SearchBudget> = {}): JobSearcher {
  const searcher = new JobSearcher(path, {
    budget: { ...searchBudget, ...budget },
    nowMs: () => performance.now(),
  });
  searchers.push(searcher);
  return searcher;
}

beforeAll(() => {
  const rig = new StateRig(path, 0);
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
    const stored = { ...job, seq, finish, createdAtMs: firstMs + Math.floor(seq / 10) };
    rig.state.putJob(stored);
    for (const [ordinal, error] of errors.entries()) {
      rig.state.putAttempt({
        seq,
        ordinal,
        attempt: 1,
        outcome: "failed",
        error: ordinal === 0 && job.priority === 0 ? undefined : error,
        errorClass: undefined,
        backtrace: undefined,
        output: undefined,
        workerId: undefined,
        startedAtMs: 1,
        endedAtMs: 2,
      });
    }
    const visible = finish === 0 || finish >= floor[kind];
    const queue = queues.find((one) => one.name === job.queue);
    if (visible && queue !== undefined) queue.counts[job.state]++;
    known.push({ job: stored, errors: job.priority === 0 ? errors.slice(1) : errors });
  }
  // Stored first and removed by retention afterwards, so that their rows still lie about.
  rig.checkpoint(1);
  Object.assign(rig.state.meta.floor, floor);
  rig.checkpoint(2);
  rig.close();
  for (let i = known.length - 1; i >= 0; i--) {
    const { job } = known[i] as Known;
    if (job.finish > 0 && job.finish < floor[retentionClassOf(job.state)]) known.splice(i, 1);
  }
});

afterAll(() => {
  for (const searcher of searchers) searcher.close();
  dir[Symbol.dispose]();
});

function randomJob(): fc.Arbitrary<Job> {
  const timeMs = fc.constantFrom(0, firstMs, firstMs + 5, firstMs + 50);
  return fc
    .record({
      queue: fc.constantFrom(...queueNames),
      state: fc.constantFrom(...jobStates),
      priority: fc.integer({ min: 0, max: 3 }),
      payload: fc.constantFrom(...payloads),
      scheduledAtMs: timeMs,
      startedAtMs: timeMs,
      finishedAtMs: timeMs,
      expireAtMs: timeMs,
      attempt: fc.integer({ min: 0, max: 3 }),
      history: fc.integer({ min: 0, max: 2 }),
      workerId: fc.constantFrom(undefined, "w1", "w'2"),
      options: fc
        .record(
          {
            uniqueKey: fc.constantFrom("k", "k'"),
            parentId: fc.constantFrom("job_1", "job_2"),
            tags: fc
              .dictionary(fc.constantFrom(...tagNames), fc.constantFrom("x", "y'\"", ""), {
                maxKeys: 3,
              })
              .map((tags) => JSON.stringify(tags)),
          },
          { requiredKeys: [] },
        )
        .map((some) =>
          Object.keys(some).length === 0 ? defaultOptions : { ...defaultOptions, ...some },
        ),
    })
    .map((patch) => buildJob({ seq: 1, ...patch, order: 0 }));
}

const boundMs = fc.constantFrom(0, firstMs - 1, firstMs, firstMs + 5, firstMs + 37, firstMs + 60);

const filterArbitrary: fc.Arbitrary<JobFilter> = fc
  .record(
    {
      queue: fc.constantFrom(...queueNames, "none", "a' OR 1=1 --"),
      states: fc.subarray([...jobStates]),
      priority: fc.integer({ min: 0, max: 4 }),
      tags: fc.dictionary(fc.constantFrom(...tagNames), fc.constantFrom("x", "y'\"", ""), {
        maxKeys: 2,
      }),
      payloadContains: fc.constantFrom("n", "N", "%", "_", "it's", "\u{1f600}", ""),
      errorContains: fc.constantFrom("boom", "BOOM", "%", "first"),
      createdAfterMs: boundMs,
      createdBeforeMs: boundMs,
      scheduledAfterMs: boundMs,
      scheduledBeforeMs: boundMs,
      startedAfterMs: boundMs,
      startedBeforeMs: boundMs,
      completedAfterMs: boundMs,
      completedBeforeMs: boundMs,
      expireAfterMs: boundMs,
      expireBeforeMs: boundMs,
      attemptMin: fc.integer({ min: 0, max: 4 }),
      attemptMax: fc.integer({ min: 0, max: 4 }),
      uniqueKey: fc.constantFrom("k", "k'", "none"),
      workerId: fc.constantFrom("w1", "w'2"),
      parentId: fc.constantFrom("job_1", "job_9"),
      hasErrors: fc.boolean(),
      jobIdPrefix: fc
        .tuple(fc.integer({ min: 1, max: jobCount }), fc.integer({ min: 0, max: 31 }))
        .map(([nth, length]) => {
          const seq = nth * 3;
          return `${formatJobId(seq, firstMs + Math.floor(seq / 10), 0)}0`.slice(0, length);
        }),
    },
    { requiredKeys: [] },
  )
  // All 22 at once match nothing: keep a few.
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 4 }))
  .map((some) => Object.fromEntries(some) as JobFilter);

function isMatch({ job, errors }: Known, filter: JobFilter): boolean {
  const tags = JSON.parse(job.options.tags ?? "{}") as Record<string, string>;
  const within = (timeMs: number, afterMs: number | undefined, beforeMs: number | undefined) =>
    (afterMs === undefined || (timeMs > 0 && timeMs > afterMs)) &&
    (beforeMs === undefined || (timeMs > 0 && timeMs < beforeMs));
  const equal = <Value>(value: Value, wanted: Value | undefined) =>
    wanted === undefined || value === wanted;
  return (
    equal(job.queue, filter.queue) &&
    (filter.states === undefined || filter.states.includes(job.state)) &&
    equal(job.priority, filter.priority) &&
    Object.entries(filter.tags ?? {}).every(([name, value]) => tags[name] === value) &&
    (jsonOf(job.payload) ?? "").includes(filter.payloadContains ?? "") &&
    (filter.errorContains === undefined ||
      errors.some((error) => error.includes(filter.errorContains ?? ""))) &&
    within(job.createdAtMs, filter.createdAfterMs, filter.createdBeforeMs) &&
    within(job.scheduledAtMs, filter.scheduledAfterMs, filter.scheduledBeforeMs) &&
    within(job.startedAtMs, filter.startedAfterMs, filter.startedBeforeMs) &&
    within(job.finishedAtMs, filter.completedAfterMs, filter.completedBeforeMs) &&
    within(job.expireAtMs, filter.expireAfterMs, filter.expireBeforeMs) &&
    job.attempt >= (filter.attemptMin ?? 0) &&
    job.attempt <= (filter.attemptMax ?? 99) &&
    equal(job.options.uniqueKey, filter.uniqueKey) &&
    equal(job.workerId, filter.workerId) &&
    equal(job.options.parentId, filter.parentId) &&
    equal(errors.length > 0, filter.hasErrors) &&
    formatJobId(job.seq, job.createdAtMs, 0).startsWith(filter.jobIdPrefix ?? "")
  );
}

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
  test("[Q4] [Q5] [Q8] give each matching job once, in order, with the exact total", () => {
    const searcher = openSearcher();
    fc.assert(
      fc.property(
        filterArbitrary,
        sortArbitrary,
        fc.boolean(),
        fc.constantFrom(1, 7, 50, 1000),
        (filter, sort, descending, limit) => {
          const expected = naive(filter, sort, descending);

          const pages = allPages(searcher, { filter, sort, descending, limit });

          expect(pages.flatMap((page) => page.jobs)).toEqual(expected);
          for (const page of pages) {
            expect(page).toMatchObject({ total: expected.length, totalExact: true });
          }
        },
      ),
      { numRuns: 600 },
    );
  }, 30_000);

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
      { numRuns: 300 },
    );
  });

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
      budget: { rowsMax: 64, timeMs: 1, countMs: 0 },
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
    const searcher = openSearcher({ rowsMax: 20 });
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
      { numRuns: 300 },
    );
  });
});

describe("text", () => {
  test("[Q11] is found in queue, payload and tags, newest first", () => {
    const searcher = openSearcher();
    for (const text of ["mail", "it's", "DROP TABLE", "\u{1f600}", "%", "nowhere"]) {
      const expected = naive({}, "created_at", true).filter((job) =>
        [job.queue, jsonOf(job.payload) ?? "", job.options.tags ?? ""].some((part) =>
          part.includes(text),
        ),
      );

      expect(searcher.text(text, 1000)).toEqual(expected);
      expect(searcher.text(text, 5)).toEqual(expected.slice(0, 5));
    }
  });

  test("that is empty is refused", () => {
    expect(codeOf(() => openSearcher().text("", 5))).toBe("SEARCH_ERROR");
  });
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
