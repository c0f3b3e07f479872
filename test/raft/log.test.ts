import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Inflights } from "../../src/raft/inflights.ts";
import { RaftLog } from "../../src/raft/log.ts";
import { emptySnapshot, MemoryLog } from "../../src/raft/memory-log.ts";
import {
  type Entry,
  emptyData,
  entriesBytes,
  type Term,
  unbounded,
} from "../../src/raft/message.ts";

const logger = { debug() {}, info() {}, warn() {}, error() {} };

function entry(index: number, term: Term): Entry {
  return { index, term, type: "EntryNormal", data: Uint8Array.of(index % 256, term % 256) };
}

function entriesOf(terms: readonly Term[], from = 1): Entry[] {
  return terms.map((term, position) => entry(from + position, term));
}

function openLog(terms: readonly Term[], stable = 0, applyingBytesMax = unbounded) {
  const storage = new MemoryLog();
  storage.append(entriesOf(terms.slice(0, stable)));
  const log = new RaftLog({ storage, logger, applyingBytesMax });
  log.append(entriesOf(terms.slice(stable), stable + 1));
  return { storage, log };
}

/** Terms of a log: they never fall. */
const terms = fc.array(fc.nat({ max: 3 }), { maxLength: 12 }).map((steps) => {
  let term = 1;
  return steps.map((step): Term => {
    term += step > 2 ? 1 : 0;
    return term;
  });
});

describe("[R8 R13 R22] an append", () => {
  test("makes the logs equal up to its end, and keeps what agrees beyond it", () => {
    fc.assert(
      fc.property(
        terms,
        terms,
        fc.nat({ max: 12 }),
        fc.nat({ max: 12 }),
        (own, leaders, at, count) => {
          // Logs of one group: they agree on everything before an entry on which they agree.
          const shared = own.findIndex((term, position) => term !== leaders[position]);
          fc.pre(
            own.every((term, i) => term !== leaders[i] || i < (shared < 0 ? own.length : shared)),
          );
          const previous = Math.min(at, leaders.length);
          const sent = entriesOf(leaders).slice(previous, previous + count);
          const { log } = openLog(own);
          const last = log.maybeAppend(
            { index: previous, term: leaders[previous - 1] ?? 0 },
            sent,
            0,
          );
          if (
            previous > own.length ||
            (previous > 0 && own[previous - 1] !== leaders[previous - 1])
          ) {
            expect(last).toBeUndefined();
            expect(log.allEntries().map((e) => e.term)).toEqual(own);
            return;
          }
          expect(last).toBe(previous + sent.length);
          const result = log.allEntries().map((e) => e.term);
          const upTo = previous + sent.length;
          expect(result.slice(0, upTo)).toEqual(leaders.slice(0, upTo));
          const agrees = sent.every((e) => own[e.index - 1] === e.term);
          expect(result.length).toBe(agrees ? Math.max(own.length, upTo) : upTo);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("may arrive twice without any effect", () => {
    const { log } = openLog([1, 1, 2]);
    const sent = entriesOf([2, 2], 3);

    log.maybeAppend({ index: 2, term: 1 }, sent, 3);
    log.maybeAppend({ index: 2, term: 1 }, sent, 3);

    expect(log.allEntries().map((e) => e.term)).toEqual([1, 1, 2, 2]);
    expect(log.committed).toBe(3);
  });

  test("never replaces what is committed", () => {
    const { log } = openLog([1, 1]);
    log.commitTo(2);

    expect(() => log.maybeAppend({ index: 1, term: 1 }, entriesOf([2], 2), 2)).toThrow("committed");
  });
});

describe("[R20] the search for a meeting point", () => {
  test("finds the last entry of a term that is not too high", () => {
    const { log } = openLog([1, 2, 2, 4, 4, 5]);

    expect(log.findConflictByTerm(6, 3)).toEqual({ index: 3, term: 2 });
    expect(log.findConflictByTerm(6, 5)).toEqual({ index: 6, term: 5 });
    expect(log.findConflictByTerm(4, 0)).toEqual({ index: 0, term: 0 });
    expect(log.findConflictByTerm(9, 2)).toEqual({ index: 9, term: 0 });
  });

  test("needs no more probes than there are terms in both logs", () => {
    fc.assert(
      fc.property(terms, terms, (mine, theirs) => {
        const leader = openLog(mine).log;
        const follower = openLog(theirs).log;
        let next = leader.lastIndex();
        let probes = 0;
        for (;;) {
          probes += 1;
          const probed = { index: next, term: leader.termOrZero(next) };
          if (follower.matches(probed)) break;
          const end = Math.min(next, follower.lastIndex());
          const hint = follower.findConflictByTerm(end, probed.term);
          next = leader.findConflictByTerm(hint.index, hint.term).index;
        }
        const distinct = new Set([...mine, ...theirs]).size;
        expect(probes).toBeLessThanOrEqual(2 * distinct + 2);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("[R15] durable entries", () => {
  test("leave the unstable tail only if they are still the ones that were written", () => {
    const { log } = openLog([1, 1, 1]);
    log.unstable.acceptInProgress();
    log.maybeAppend({ index: 1, term: 1 }, entriesOf([2, 2], 2), 0);

    log.unstable.stableTo({ index: 3, term: 1 });

    expect(log.unstable.offset).toBe(1);
    expect(log.unstable.nextEntries().map((e) => e.index)).toEqual([2, 3]);
    log.unstable.stableTo({ index: 2, term: 2 });
    expect(log.unstable.offset).toBe(3);
  });

  test("are the only ones to be applied unless the host persists first", () => {
    const { log, storage } = openLog([1, 1, 1], 1);
    log.commitTo(3);

    expect(log.nextCommitted(false).map((e) => e.index)).toEqual([1]);
    expect(log.nextCommitted(true).map((e) => e.index)).toEqual([1, 2, 3]);
    storage.append(log.unstable.nextEntries());
    log.unstable.stableTo({ index: 3, term: 1 });
    expect(log.nextCommitted(false).map((e) => e.index)).toEqual([1, 2, 3]);
  });
});

test("[R17] entries are handed out for applying within the bound, all of them, in order", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.boolean(), { maxLength: 40 }),
      (length, bytesMax, acknowledge) => {
        const { log } = openLog(new Array<number>(length).fill(1), length, bytesMax);
        log.commitTo(length);
        const outstanding: (readonly Entry[])[] = [];
        const seen: number[] = [];
        for (const isAcknowledged of [
          ...acknowledge,
          ...new Array<boolean>(2 * length).fill(true),
        ]) {
          const page = log.nextCommitted(false);
          if (page.length > 0) {
            log.acceptApplying(page, false);
            outstanding.push(page);
            seen.push(...page.map((e) => e.index));
          }
          const bytes = entriesBytes(outstanding.slice(0, -1).flat());
          expect(bytes).toBeLessThan(bytesMax);
          const done = isAcknowledged ? outstanding.shift() : undefined;
          if (done !== undefined) log.appliedTo(done.at(-1)?.index ?? 0, entriesBytes(done));
        }
        expect(seen).toEqual(Array.from({ length }, (_, position) => position + 1));
      },
    ),
  );
});

test("[S4 S6] a snapshot replaces the log, whose next entry follows it", () => {
  const { log, storage } = openLog([1, 1], 2);
  const snapshot = { ...emptySnapshot, index: 9, term: 3 };

  log.restore(snapshot);

  expect([log.firstIndex(), log.lastIndex(), log.committed]).toEqual([10, 9, 9]);
  expect(log.lastId()).toEqual({ index: 9, term: 3 });
  expect(log.hasNextCommitted(true)).toBe(false);
  log.append([{ index: 10, term: 3, type: "EntryNormal", data: emptyData }]);
  storage.installSnapshot(snapshot);
  log.unstable.stableSnapshotTo(8);
  expect(log.unstable.snapshot).toBe(snapshot);
  log.unstable.stableSnapshotTo(9);
  log.appliedTo(9, 0);
  expect([log.firstIndex(), log.lastIndex(), log.applied]).toEqual([10, 10, 9]);
});

test("[R3] the window holds as many messages and bytes as allowed, and none after a reset", () => {
  const operations = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ free: fc.integer({ min: 0, max: 40 }) }),
      fc.constant({ reset: true } as const),
    ),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.nat({ max: 20 }),
      operations,
      (max, bytesMax, list) => {
        const inflights = new Inflights(max, bytesMax);
        let model: { index: number; bytes: number }[] = [];
        let index = 0;
        for (const operation of list) {
          if ("reset" in operation) {
            inflights.reset();
            model = [];
          } else if ("free" in operation) {
            inflights.freeTo(operation.free);
            model = model.filter((message) => message.index > operation.free);
          } else if (!inflights.isFull) {
            index += 1;
            inflights.add(index, operation.add);
            model.push({ index, bytes: operation.add });
          }
          const bytes = model.reduce((sum, message) => sum + message.bytes, 0);
          expect(inflights.count).toBe(model.length);
          expect(inflights.isFull).toBe(
            model.length === max || (bytesMax > 0 && bytes >= bytesMax),
          );
        }
      },
    ),
  );
});
