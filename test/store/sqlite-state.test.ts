import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createQueue } from "../../src/engine/state.ts";
import { stateContract } from "../contract/state.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

for (const cachedJobsMax of [0, 1, Number.POSITIVE_INFINITY]) {
  stateContract(`the database with ${cachedJobsMax} cached jobs`, () => {
    const dir = tempDir();
    const rig = new StateRig(join(dir.path, "state.db"), cachedJobsMax);
    return {
      state: rig.state,
      store: () => rig.checkpoint(1),
      reopen: () => {
        rig.crash();
        return rig.state;
      },
      close: () => {
        rig.close();
        dir[Symbol.dispose]();
      },
    };
  });
}

describe("the purge", () => {
  test("leaves rows alone that a replay from the stored index still needs", () => {
    using dir = tempDir();
    const rig = new StateRig(join(dir.path, "state.db"), 0);
    rig.state.putQueue(createQueue("a", 1));
    rig.state.putJob(buildJob({ seq: 1, state: "completed", finish: 1, history: 1 }));
    rig.state.putAttempt(buildAttempt({ seq: 1 }));
    rig.step(1);
    rig.step(1);

    // Before the checkpoint is settled, the job is run again and retention passes the place where it had finished.
    rig.state.putJob(buildJob({ seq: 1, state: "pending", history: 1 }));
    rig.state.meta.floor.done = 5;
    rig.step(2);
    while (rig.purge());
    rig.crash();

    expect(rig.state.getJob(1)?.state).toBe("completed");
    expect([...rig.state.contents().attempts()]).toHaveLength(1);
    rig.close();
  });

  test("removes rows and attempts of jobs below the stored floor, and no others", () => {
    using dir = tempDir();
    const path = join(dir.path, "state.db");
    const rig = new StateRig(path, 0);
    rig.state.putQueue(createQueue("a", 1));
    for (let seq = 1; seq <= 5000; seq++) {
      rig.state.putJob(buildJob({ seq, state: "completed", finish: seq, history: 1 }));
      rig.state.putAttempt(buildAttempt({ seq }));
    }
    rig.checkpoint(1);

    rig.state.meta.floor.done = 4500;
    rig.checkpoint(2);
    while (rig.purge());

    expect(countRows(path)).toEqual({ jobs: 501, attempts: 501 });
    rig.close();
  });
});

test("a job that is deleted before it was stored leaves no attempts behind", () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = new StateRig(path, 0);
  rig.state.putQueue(createQueue("a", 1));
  rig.state.putJob(buildJob({ seq: 1, history: 1 }));
  rig.state.putAttempt(buildAttempt({ seq: 1 }));

  rig.state.deleteJob(1);
  rig.checkpoint(1);

  expect(countRows(path)).toEqual({ jobs: 0, attempts: 0 });
  rig.close();
});

test("a job that is restored while the deletion of the one before it cannot be stored is there after both", () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = new StateRig(path, 0);
  rig.state.putQueue(createQueue("a", 1));
  rig.state.putJob(buildJob({ seq: 1, history: 2 }));
  rig.state.putAttempt(buildAttempt({ seq: 1 }));
  rig.state.putAttempt(buildAttempt({ seq: 1, ordinal: 1 }));
  rig.checkpoint(1);
  rig.state.deleteJob(1);
  rig.step(2);
  rig.state.noteRestored(1);
  rig.state.putJob(buildJob({ seq: 1, priority: 9 }));

  rig.fail();
  rig.checkpoint(3);
  rig.crash();

  expect(rig.state.getJob(1)?.priority).toBe(9);
  expect(countRows(path)).toEqual({ jobs: 1, attempts: 0 });
  rig.close();
});

test("a job that was removed by retention before it was stored does not come back as the unfinished one it was", () => {
  using dir = tempDir();
  const rig = new StateRig(join(dir.path, "state.db"), 0);
  rig.state.putQueue(createQueue("a", 1));
  rig.state.putJob(buildJob({ seq: 1 }));
  rig.checkpoint(1);

  rig.state.putJob(buildJob({ seq: 1, state: "completed", finish: 1, order: 0 }));
  rig.state.meta.floor.done = 2;
  rig.state.deleteQueue("a");
  rig.checkpoint(2);
  rig.crash();

  expect([...rig.state.liveJobs()]).toEqual([]);
  expect(rig.state.getJob(1)).toBeUndefined();
  rig.close();
});

function countRows(path: string): { jobs: number; attempts: number } {
  const db = new Database(path, { readonly: true });
  const row = db
    .query(
      "SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM attempts) AS attempts",
    )
    .get() as { jobs: number; attempts: number };
  db.close();
  return row;
}
