import { expect, test } from "bun:test";
import { Ledger, type QueueTotals } from "../../../src/commands/bench/ledger.ts";

const clean: QueueTotals = { completed: 0, waiting: 0, dead: 0, cancelled: 0 };

/** Jobs that went through their whole life. */
function finished(count: number): Ledger {
  const ledger = new Ledger();
  const first = ledger.take(count);
  for (let number = first; number < first + count; number++) {
    ledger.accept(number, 1000 + number);
    ledger.claim(number, 1000 + number, 5000 + number);
    ledger.ack(number);
  }
  return ledger;
}

test("whole lives that the server counts alike are verified, whichever of claim and acceptance came first", () => {
  const ledger = finished(100_000);
  ledger.take(2);
  ledger.claim(100_000, 7, 8);
  ledger.accept(100_000, 7);
  ledger.ack(100_000);
  ledger.accept(100_001, 9);

  expect(ledger.verify({ ...clean, completed: 100_001, waiting: 1 })).toEqual([]);
});

test("a job that was acknowledged and is gone from the server is found", () => {
  const ledger = finished(3);
  ledger.accept(ledger.take(1), 9);

  expect(ledger.verify({ ...clean, completed: 3, waiting: 0 })).toEqual([
    "the server counts 0 waiting jobs; the acknowledged work says 1",
  ]);
});

test("a job that was acked and is not completed is found", () => {
  const ledger = finished(3);

  expect(ledger.verify({ ...clean, completed: 2, waiting: 1 })).toEqual([
    "the server counts 2 completed jobs; the acknowledged work says 3",
    "the server counts 1 waiting jobs; the acknowledged work says 0",
  ]);
});

test("jobs of the server that nobody sent are found", () => {
  const ledger = finished(3);

  expect(ledger.verify({ ...clean, completed: 3, dead: 1, cancelled: 2 })).toEqual([
    "the server counts 1 dead jobs; the acknowledged work says 0",
    "the server counts 2 cancelled jobs; the acknowledged work says 0",
  ]);
});

test("a job that two workers hold at once is found, with both leases", () => {
  const ledger = finished(3);
  ledger.claim(1, 1001, 6000);

  expect(ledger.verify({ ...clean, completed: 3 })).toEqual([
    "job 1 was claimed twice: under the lease 5001, which was live, and under 6000",
  ]);
});

test("a job that comes under another id than it was accepted under is found", () => {
  const ledger = new Ledger();
  ledger.take(1);
  ledger.accept(0, 1);
  ledger.claim(0, 2, 3);
  ledger.ack(0);

  expect(ledger.verify({ ...clean, completed: 1 })).toEqual([
    "job 0 was accepted and claimed under the ids 1 and 2",
  ]);
});

test("answers that never came and answers to nothing are found", () => {
  const ledger = finished(1);
  ledger.take(2);
  ledger.accept(2, 9);
  ledger.claim(2, 9, 10);
  ledger.claim(77, 1, 1);
  ledger.ack(0);
  ledger.accept(99, 1);

  expect(ledger.verify({ ...clean, completed: 1, waiting: 1 })).toEqual([
    "a job with the number 77 was claimed; 3 were sent",
    "job 0 was acked twice",
    "an answer names job 99; 3 were sent",
    "job 1 was sent, and its enqueue was never answered",
    "job 2 was claimed, and its ack was never answered",
  ]);
});

test("a job that was completed without an acknowledged enqueue is found", () => {
  const ledger = new Ledger();
  ledger.take(1);
  ledger.refuse(0);
  ledger.claim(0, 1, 1);
  ledger.ack(0);

  expect(ledger.verify({ ...clean, completed: 1, waiting: -1 })).toContain(
    "job 0 was completed, and its enqueue was not acknowledged",
  );
});

test("many problems are counted, and the first ones are shown", () => {
  const ledger = finished(50);
  for (let number = 0; number < 50; number++) ledger.ack(number);

  const problems = ledger.verify({ ...clean, completed: 50 });

  expect(problems).toHaveLength(11);
  expect(problems.at(-1)).toBe("and 40 more");
});
