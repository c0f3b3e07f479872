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

  test("keeps every one of several times of day through changes of the clock", () => {
    expect(show("0,30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", 3)).toEqual([
      "2027-03-28T01:00",
      "2027-03-29T00:00",
      "2027-03-29T00:30",
    ]);
    expect(show("45 2,14 * * *", "Europe/Berlin", "2027-03-27T14:00Z", 2)).toEqual([
      "2027-03-28T01:00",
      "2027-03-28T12:45",
    ]);
    expect(show("0,30 2 * * *", "Europe/Berlin", "2027-10-30T12:00Z", 3)).toEqual([
      "2027-10-31T00:00",
      "2027-10-31T00:30",
      "2027-11-01T01:00",
    ]);
    expect(show("30 */2 * * *", "Europe/Berlin", "2027-03-28T00:00Z", 2)).toEqual([
      "2027-03-28T01:00",
      "2027-03-28T02:30",
    ]);
  });

  test("is due at midnight where the last hour of a day does not exist", () => {
    expect(show("30 23 * * *", "America/Nuuk", "2027-03-26T12:00Z", 3)).toEqual([
      "2027-03-27T01:30",
      "2027-03-28T01:00",
      "2027-03-29T00:30",
    ]);
  });

  test("goes on every hour through both, however every hour is written", () => {
    for (const hours of ["*", "*/1", "0-23", "0-11,12-23"]) {
      expect(show(`30 ${hours} * * *`, "Europe/Berlin", "2027-03-28T00:00Z", 2)).toEqual([
        "2027-03-28T00:30",
        "2027-03-28T01:30",
      ]);
      expect(show(`30 ${hours} * * *`, "Europe/Berlin", "2027-10-31T00:00Z", 2)).toEqual([
        "2027-10-31T00:30",
        "2027-10-31T01:30",
      ]);
    }
    expect(show("*/30 1-3 * * *", "Europe/Berlin", "2027-10-31T00:00Z", 3)).toEqual([
      "2027-10-31T00:30",
      "2027-10-31T01:00",
      "2027-10-31T01:30",
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
      fc.constantFrom(
        "*/7 * * * *",
        "30 2 * * *",
        "5,50 0-4 * * *",
        "15 */3 1-7 * 1",
        "0 0 29 2 *",
      ),
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
