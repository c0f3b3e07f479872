import { expect, test } from "bun:test";
import fc from "fast-check";
import type { AppendWork, HardState, Log, LogEntry } from "../../src/base/log.ts";
import { append, entriesFrom, openTestLog, readAll, TempDir } from "../support/log.ts";

/** The log as it should be: a plain array per group. */
interface ModelGroup {
  baseIndex: number;
  entries: LogEntry[];
  hardState: HardState;
}

/** Choices without context; what they mean depends on the model when they are carried out. */
type Step =
  | {
      kind: "append";
      group: number;
      count: number;
      bytes: number;
      cut: number;
      newTerm: boolean;
      hard: boolean;
    }
  | { kind: "hard"; group: number; commit: number }
  | { kind: "reset"; group: number; ahead: number }
  | { kind: "compact"; group: number; share: number }
  | { kind: "settle" }
  | { kind: "reopen" };

const groupOf = fc.integer({ min: 0, max: 2 });
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      group: groupOf,
      count: fc.integer({ min: 1, max: 6 }),
      bytes: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constant(5000)),
      cut: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 8 })),
      newTerm: fc.boolean(),
      hard: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("hard" as const),
      group: groupOf,
      commit: fc.nat(1e9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("reset" as const),
      group: groupOf,
      ahead: fc.nat(50),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("compact" as const),
      group: groupOf,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

class Model {
  readonly groups = new Map<number, ModelGroup>();
  term = 1;

  group(id: number): ModelGroup {
    const known = this.groups.get(id);
    if (known !== undefined) return known;
    const made = { baseIndex: 0, entries: [], hardState: { term: 0, vote: "", commit: 0 } };
    this.groups.set(id, made);
    return made;
  }

  last(id: number): number {
    const { baseIndex, entries } = this.group(id);
    return entries.at(-1)?.index ?? baseIndex;
  }

  /** Applies a step and says which work carries it out. */
  work(step: Step): AppendWork | undefined {
    if (step.kind === "append") {
      const group = this.group(step.group);
      if (step.newTerm) this.term++;
      const cut = Math.min(step.cut, group.entries.length);
      group.entries.splice(group.entries.length - cut, cut);
      const first = this.last(step.group) + 1;
      const entries = entriesFrom(first, step.count, { term: this.term, bytes: step.bytes });
      group.entries.push(...entries);
      const hardState = { term: this.term, vote: `n${step.count}`, commit: first };
      if (step.hard) group.hardState = hardState;
      return {
        group: step.group,
        entries,
        ...(step.hard ? { hardState } : {}),
        ...(cut > 0 ? { truncateFrom: first } : {}),
      };
    }
    if (step.kind === "hard") {
      const hardState = { term: this.term, vote: "", commit: step.commit };
      this.group(step.group).hardState = hardState;
      return { group: step.group, entries: [], hardState };
    }
    if (step.kind === "reset") {
      const index = this.last(step.group) + step.ahead;
      const group = this.group(step.group);
      group.entries = [];
      group.baseIndex = index;
      return { group: step.group, entries: [], resetTo: { index, term: this.term } };
    }
    return undefined;
  }

  compact(id: number, share: number): number {
    const group = this.group(id);
    const count = Math.floor(group.entries.length * share);
    group.entries.splice(0, count);
    group.baseIndex += count;
    return group.baseIndex;
  }
}

function expectEqual(log: Log, model: Model): void {
  for (const [id, group] of model.groups) {
    const { first, last, hardState } = log.bounds(id);
    expect({ id, first, last, hardState }).toEqual({
      id,
      first: group.baseIndex + 1,
      last: model.last(id),
      hardState: group.hardState,
    });
    expect(readAll(log, id)).toEqual(group.entries);
  }
}

test("[G11] any history of works, compactions and restarts leaves what a plain array would hold", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepOf, { minLength: 5, maxLength: 60 }), async (steps) => {
      using dir = new TempDir();
      let log = await openTestLog(dir, { checkpointBytes: 64 * 1024 });
      const model = new Model();
      let pending: Promise<unknown>[] = [];
      const settle = async () => {
        expect(await Promise.all(pending)).toEqual(pending.map(() => undefined));
        pending = [];
      };
      for (const step of steps) {
        const work = model.work(step);
        if (work !== undefined) pending.push(append(log, work));
        else await settle();
        if (step.kind === "compact") {
          log.compact(step.group, model.compact(step.group, step.share));
        } else if (step.kind === "reopen") {
          await log.close();
          log = await openTestLog(dir, { checkpointBytes: 64 * 1024 });
        }
        if (work === undefined) expectEqual(log, model);
      }
      await settle();
      await log.close();
      log = await openTestLog(dir);
      expectEqual(log, model);
      await log.close();
    }),
    { numRuns: 60 },
  );
}, 30_000);
