/** What every `State` must do. `open` gives a fresh one; `reopen` gives the same contents as a start would find them. */
import { describe, expect, test } from "bun:test";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { createQueue, type State } from "../../src/engine/state.ts";
import type { StateContents } from "../../src/engine/state-hash.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";

export interface OpenState {
  readonly state: State & { contents(): StateContents };
  /** Makes what was put so far durable, where there is such a thing. */
  store(): void;
  reopen(): State & { contents(): StateContents };
  close(): void;
}

export function stateContract(name: string, open: () => OpenState): void {
  describe(name, () => {
    const withState = (title: string, body: (opened: OpenState) => void) =>
      test(title, () => {
        const opened = open();
        try {
          body(opened);
        } finally {
          opened.close();
        }
      });

    withState("a job comes back as it was put, before and after it was stored", (opened) => {
      const { state } = opened;
      state.putQueue(createQueue("a", 1));
      const jobs = [
        buildJob({ seq: 1 }),
        buildJob({
          seq: 2,
          state: "active",
          token: 7,
          leaseMs: 500,
          leaseExpiresAtMs: 1500,
          workerId: "w",
          hostname: "h",
          progress: "1",
          checkpoint: "[2]",
          payload: '"\u{1f600}\u00e9"',
        }),
        buildJob({ seq: 3, state: "dead", finish: 1, finishedAtMs: 5, reason: "why", result: "0" }),
      ];

      for (const job of jobs) state.putJob(job);

      for (const job of jobs) expect(state.getJob(job.seq)).toEqual(job);
      opened.store();
      for (const job of jobs) expect(state.getJob(job.seq)).toEqual(job);
      const again = opened.reopen();
      for (const job of jobs) expect(again.getJob(job.seq)).toEqual(job);
      expect(again.getJob(4)).toBeUndefined();
    });

    withState(
      "the last put of a job wins, and a deleted job is gone with its attempts",
      (opened) => {
        const { state } = opened;
        state.putQueue(createQueue("a", 1));
        state.putJob(buildJob({ seq: 1, history: 1 }));
        state.putAttempt(attempt(1, 0));
        state.putJob(buildJob({ seq: 2, history: 1 }));
        state.putAttempt(attempt(2, 0));
        opened.store();

        state.putJob(buildJob({ seq: 1, history: 2, priority: 9 }));
        state.putAttempt(attempt(1, 1));
        state.putAttempt(attempt(2, 1));
        state.deleteJob(2);

        for (const at of stages(opened)) {
          expect(at.getJob(1)?.priority).toBe(9);
          expect(at.getJob(2)).toBeUndefined();
          expect([...at.contents().jobs()].map((job) => job.seq)).toEqual([1]);
          expect(attemptsOf(at)).toEqual(["1 0", "1 1"]);
        }
      },
    );

    withState(
      "a job that was restored under the number of one that was deleted is there, with its own attempts alone",
      (opened) => {
        const { state } = opened;
        state.putQueue(createQueue("a", 1));
        state.putJob(buildJob({ seq: 1, history: 3 }));
        for (let ordinal = 0; ordinal < 3; ordinal++) state.putAttempt(attempt(1, ordinal));
        opened.store();
        state.putAttempt(attempt(1, 3));
        state.putJob(buildJob({ seq: 1, history: 4 }));

        state.deleteJob(1);
        state.noteRestored(1);
        state.putJob(buildJob({ seq: 1, history: 1, priority: 9 }));
        state.putAttempt(attempt(1, 0));

        for (const at of stages(opened)) {
          expect(at.getJob(1)?.priority).toBe(9);
          expect([...at.contents().jobs()].map((job) => job.seq)).toEqual([1]);
          expect(attemptsOf(at)).toEqual(["1 0"]);
        }
      },
    );

    withState("a deleted attempt is gone", (opened) => {
      const { state } = opened;
      state.putQueue(createQueue("a", 1));
      state.putJob(buildJob({ seq: 1, history: 3 }));
      for (let ordinal = 0; ordinal < 3; ordinal++) state.putAttempt(attempt(1, ordinal));
      opened.store();

      state.deleteAttempt(1, 0);

      expect(attemptsOf(state)).toEqual(["1 1", "1 2"]);
      opened.store();
      expect(attemptsOf(opened.reopen())).toEqual(["1 1", "1 2"]);
    });

    withState(
      "jobs below the floor of their class are invisible, also after their queue went",
      (opened) => {
        const { state } = opened;
        state.putQueue(createQueue("a", 1));
        state.putQueue(createQueue("b", 1));
        const put = (seq: number, patch: Partial<Job>) => state.putJob(buildJob({ seq, ...patch }));
        put(1, { state: "completed", finish: 1 });
        put(2, { state: "cancelled", finish: 2 });
        put(3, { state: "dead", finish: 1 });
        put(4, { state: "completed", finish: 3, queue: "b" });
        opened.store();
        put(5, { state: "completed", finish: 4 });

        state.meta.floor.done = 5;
        state.purgeFinished("done", 5);
        state.deleteQueue("b");

        for (const at of stages(opened)) {
          expect([1, 2, 3, 4, 5].filter((seq) => at.getJob(seq) !== undefined)).toEqual([3]);
          expect([...at.contents().jobs()].map((job) => job.seq)).toEqual([3]);
        }
      },
    );

    withState("queues keep their order and their counters", (opened) => {
      const { state } = opened;
      for (const name of ["b", "a", "c"]) state.putQueue(createQueue(name, 1));
      opened.store();
      const queue = state.getQueue("a");
      if (queue === undefined) throw new Error("the queue was put");
      queue.paused = true;
      queue.counts.pending = 4;
      queue.finished.dead.set(3, { completed: 0, cancelled: 0, dead: 2 });
      state.touchQueue(queue);
      state.deleteQueue("b");
      state.putQueue(createQueue("b", 2));

      for (const at of stages(opened)) {
        expect([...at.queues()].map((one) => one.name)).toEqual(["a", "c", "b"]);
        expect(at.queueCount).toBe(3);
        expect(at.getQueue("a")).toEqual(queue);
        expect(at.getQueue("b")?.createdAtMs).toBe(2);
        expect(at.getQueue("d")).toBeUndefined();
      }
    });

    withState("a unique lock belongs to one queue and one key", (opened) => {
      const { state } = opened;
      state.putUnique("a", "k", { seq: 1, untilMs: 10 });
      state.putUnique("b", "k", { seq: 2, untilMs: 20 });
      state.putUnique("a", "k\nb", { seq: 3, untilMs: 30 });
      opened.store();
      state.deleteUnique("b", "k");
      state.putUnique("a", "k", { seq: 4, untilMs: 40 });

      for (const at of stages(opened)) {
        expect(at.getUnique("a", "k")).toEqual({ seq: 4, untilMs: 40 });
        expect(at.getUnique("b", "k")).toBeUndefined();
        expect(at.getUnique("a", "k\nb")).toEqual({ seq: 3, untilMs: 30 });
      }
    });

    withState("idempotency keys are forgotten in the order in which they came", (opened) => {
      const { state } = opened;
      const put = (key: string) =>
        state.putIdempotency({
          key,
          fingerprint: `${key}!`,
          expiresAtMs: 5,
          results: [{ kind: "added", seq: 1, createdAtMs: 2, state: "pending" }],
        });
      put("x");
      put("y");
      opened.store();
      put("z");
      state.deleteIdempotency("x");
      put("x");

      for (const at of stages(opened)) {
        expect([...at.contents().idempotency()].map((record) => record.key)).toEqual([
          "y",
          "z",
          "x",
        ]);
        expect(at.oldestIdempotency()?.key).toBe("y");
        expect(at.idempotencyCount).toBe(3);
        expect(at.getIdempotency("z")?.results).toEqual([
          { kind: "added", seq: 1, createdAtMs: 2, state: "pending" },
        ]);
        expect(at.getIdempotency("w")).toBeUndefined();
      }
    });

    withState(
      "a start finds every unfinished job, ready ones in the order of their line",
      (opened) => {
        const { state } = opened;
        state.putQueue(createQueue("a", 1));
        state.putJob(buildJob({ seq: 1, order: 12 }));
        state.putJob(buildJob({ seq: 2, order: 11 }));
        state.putJob(
          buildJob({ seq: 3, state: "scheduled", order: 0, dueAtMs: 50, expireAtMs: 60 }),
        );
        state.putJob(buildJob({ seq: 4, state: "completed", finish: 1, order: 0 }));
        state.putJob(
          buildJob({
            seq: 5,
            state: "active",
            order: 0,
            token: 3,
            leaseMs: 9,
            leaseExpiresAtMs: 70,
          }),
        );
        state.putJob(buildJob({ seq: 6, state: "held", order: 0 }));
        opened.store();

        const live = [...opened.reopen().liveJobs()];

        expect(live.filter((job) => job.state === "pending").map((job) => job.seq)).toEqual([2, 1]);
        expect(live.map((job) => job.seq).sort()).toEqual([1, 2, 3, 5, 6]);
        expect(live.find((job) => job.seq === 3)).toMatchObject({ dueAtMs: 50, expireAtMs: 60 });
        expect(live.find((job) => job.seq === 5)).toMatchObject({ token: 3, leaseExpiresAtMs: 70 });
      },
    );
  });
}

/** The state before it was stored, after, and as the next start finds it. */
function* stages(opened: OpenState): Iterable<OpenState["state"]> {
  yield opened.state;
  opened.store();
  yield opened.state;
  yield opened.reopen();
}

function attempt(seq: number, ordinal: number): Attempt {
  return buildAttempt({ seq, ordinal, attempt: ordinal + 1 });
}

function attemptsOf(state: { contents(): StateContents }): string[] {
  return [...state.contents().attempts()].map((one) => `${one.seq} ${one.ordinal}`).sort();
}
