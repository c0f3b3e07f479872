/** The query plans behind the promise that a page of an indexed shape costs the same at any size. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { JobFilter } from "../../src/engine/query.ts";
import { createQueue } from "../../src/engine/state.ts";
import { keyEntries } from "../../src/store/key-pages.ts";
import { planSearch } from "../../src/store/search-filter.ts";
import { laneSelect } from "../../src/store/search-lanes.ts";
import { buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const dir = tempDir();
let db: Database;

beforeAll(() => {
  const path = join(dir.path, "state.db");
  const rig = new StateRig(path, 0);
  rig.state.putQueue(createQueue("a", 1));
  rig.state.putJob(buildJob({ seq: 1 }));
  rig.checkpoint(1);
  rig.close();
  db = new Database(path, { readonly: true });
});

afterAll(() => {
  db.close();
  dir[Symbol.dispose]();
});

/** The steps of the plan, without repeats: lanes of one kind have the same. */
function planOf(filter: JobFilter, purpose: "entries" | "matches"): string[] {
  const plan = planSearch(filter, {
    db,
    floor: { done: 5, dead: 5 },
    fewMax: 0,
    nowMs: () => 0,
    texts: undefined,
  });
  const sql = laneSelect(plan.lanes, {
    columns: "seq",
    bounds: { lowSeq: 0, highSeq: 1000 },
    conditions: purpose === "entries" ? undefined : plan.conditions,
    tail: { text: "ORDER BY seq DESC LIMIT ?", values: [10] },
  });
  const rows = db.query(`EXPLAIN QUERY PLAN ${sql.text}`).all(...sql.values) as {
    detail: string;
  }[];
  return [...new Set(rows.map((row) => row.detail))].sort();
}

const table = "SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
const merge = ["LEFT", "MERGE (UNION ALL)", "RIGHT"];
const stateIndex = "SEARCH jobs USING COVERING INDEX by_state (state=? AND seq>? AND seq<?)";
const queueCovering =
  "SEARCH jobs USING COVERING INDEX by_queue (queue=? AND state=? AND seq>? AND seq<?)";
const queueIndex = "SEARCH jobs USING INDEX by_queue (queue=? AND state=? AND seq>? AND seq<?)";

test.each<[string, JobFilter, string[], string[]]>([
  ["no filter", {}, [table], [table]],
  ["one state", { states: ["pending"] }, [stateIndex], [stateIndex]],
  ["one finished state", { states: ["dead"] }, [stateIndex], [stateIndex]],
  [
    "several states",
    { states: ["dead", "pending", "held"] },
    [...merge, stateIndex],
    [...merge, stateIndex],
  ],
  ["a queue", { queue: "a" }, [...merge, queueCovering], [...merge, queueCovering, queueIndex]],
  [
    "a queue and an unfinished state",
    { queue: "a", states: ["pending"] },
    [queueCovering],
    [queueCovering],
  ],
  [
    "a queue and finished states",
    { queue: "a", states: ["dead", "completed"] },
    [...merge, queueCovering],
    [...merge, queueIndex],
  ],
  ["an id prefix", { jobIdPrefix: "job_0" }, [table], [table]],
])(
  "a page by %s reads one range of an index per lane and sorts nothing",
  (_, filter, entries, matches) => {
    expect(planOf(filter, "entries")).toEqual(entries.sort());
    expect(planOf(filter, "matches")).toEqual(matches.sort());
  },
);

test.each<[JobFilter, string]>([
  [{ uniqueKey: "k" }, "by_unique (<expr>=? AND seq>? AND seq<?)"],
  [{ batchId: "b" }, "by_batch (<expr>=? AND seq>? AND seq<?)"],
  [{ chainId: "c" }, "by_chain (<expr>=? AND seq>? AND seq<?)"],
  [{ parentId: "p" }, "by_parent (<expr>=? AND seq>? AND seq<?)"],
  [{ batchId: "b", queue: "a", states: ["dead"] }, "by_batch (<expr>=? AND seq>? AND seq<?)"],
])("a page by %j reads one range of its index and sorts nothing", (filter, index) => {
  expect(planOf(filter, "entries")).toEqual([`SEARCH jobs USING COVERING INDEX ${index}`]);
  expect(planOf(filter, "matches")).toEqual([`SEARCH jobs USING INDEX ${index}`]);
});

test("a page of a worker reads its index when its jobs may be many, and the states that are few otherwise", () => {
  const worker = "SEARCH jobs USING COVERING INDEX by_worker (worker=? AND seq>? AND seq<?)";

  expect(planOf({ workerId: "w" }, "entries")).not.toContain(worker);
  const counted = new Database(join(dir.path, "state.db"));
  counted.exec(`UPDATE queues SET body = json_set(body, '$.counts.completed', 1000000)`);
  counted.close();
  db.close();
  db = new Database(join(dir.path, "state.db"), { readonly: true });

  expect(planOf({ workerId: "w" }, "entries")).toEqual([worker]);
  expect(planOf({ workerId: "w", states: ["dead"] }, "entries")).toEqual([stateIndex]);
});

test.each(["by_started", "by_finished"] as const)(
  "pages in the order of %s read its index and sort nothing",
  (index) => {
    for (const descending of [true, false]) {
      for (const at of [undefined, [5, 6] as const]) {
        const sql = keyEntries(index, { descending, at, bounds: [] });
        const rows = db.query(`EXPLAIN QUERY PLAN ${sql.text}`).all(...sql.values) as {
          detail: string;
        }[];

        expect(rows.map((row) => row.detail).join("; ")).toMatch(
          new RegExp(`^(SCAN|SEARCH) jobs USING COVERING INDEX ${index}( \\(.*\\))?$`),
        );
      }
    }
  },
);

test("conditions without an index are tested on the rows of a range, never by going through the table", () => {
  const filter: JobFilter = {
    states: ["dead", "pending"],
    payloadContains: "x",
    errorContains: "y",
    tags: { a: "b" },
    hasErrors: true,
  };

  const steps = planOf(filter, "matches");

  expect(steps.filter((step) => /^SCAN (jobs|attempts|a)\b|TEMP B-TREE/.test(step))).toEqual([]);
  expect(steps).toContain("SEARCH a EXISTS USING PRIMARY KEY (seq=?)");
});
