/** Due times of timetables, across changes of the clock. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cronTimetable, dueTimes } from "../../src/service/timetable.ts";

const at = (text: string) => Date.parse(text);
const show = (expression: string, zone: string, from: string, count: number) =>
  dueTimes(cronTimetable(expression, zone), at(from), count).map((ms) =>
    new Date(ms).toISOString().slice(0, 16),
  );

describe("a cron timetable", () => {
  test("is due at the first moment after a gap, where its time of day does not exist", () => {
    expect(show("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", 2)).toEqual([
      "2026-03-29T01:00",
      "2026-03-30T00:30",
    ]);
    expect(show("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", 2)).toEqual([
      "2026-03-08T07:00",
      "2026-03-09T06:30",
    ]);
  });

  test("is due once at a fixed time of day that comes twice, and each hour through both", () => {
    expect(show("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", 2)).toEqual([
      "2026-11-01T05:30",
      "2026-11-02T06:30",
    ]);
    expect(show("0 * * * *", "Europe/Berlin", "2026-10-24T23:30Z", 3)).toEqual([
      "2026-10-25T00:00",
      "2026-10-25T01:00",
      "2026-10-25T02:00",
    ]);
  });

  test("knows seconds, the last day of a month and the shortcuts", () => {
    expect(show("0 0 L * *", "UTC", "2027-02-01T00:00Z", 1)).toEqual(["2027-02-28T00:00"]);
    expect(show("@daily", "UTC", "2027-02-01T00:00Z", 1)).toEqual(["2027-02-02T00:00"]);
    const [first = 0, second = 0] = dueTimes(cronTimetable("*/5 * * * * *", "UTC"), 0, 2);
    expect(second - first).toBe(5000);
  });

  test.each([
    ["61 * * * *", "UTC"],
    ["* * *", "UTC"],
    ["* * * * * * *", "UTC"],
    ["0 0 30 2 *", "UTC"],
    ["", "UTC"],
    ["0 0 * * *", "Mars/Olympus"],
    [`0 0 * * ${"1,".repeat(100)}1`, "UTC"],
  ])("%j in %s is refused with a reason", (expression, zone) => {
    expect(() => cronTimetable(expression, zone)).toThrow(/cron:|zone:/);
  });
});

test("due times after a time do not depend on how many are asked for at once", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("*/7 * * * *", "30 2 * * *", "15 */3 1-7 * 1", "0 0 29 2 *"),
      fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
      fc.integer({ min: at("2026-01-01"), max: at("2028-01-01") }),
      (expression, zone, fromMs) => {
        const timetable = cronTimetable(expression, zone);
        const together = dueTimes(timetable, fromMs, 4);
        let afterMs = fromMs;
        for (const dueMs of together) {
          const [alone] = dueTimes(timetable, afterMs, 1);
          expect(alone).toBe(dueMs);
          expect(dueMs).toBeGreaterThan(afterMs);
          afterMs = dueMs;
        }
      },
    ),
    { numRuns: 200 },
  );
});
