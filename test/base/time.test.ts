/** Durations and times as text; the runtime's own Date is the oracle for the calendar. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatDuration, formatTime, parseDuration, parseTime } from "../../src/base/time.ts";

const firstMs = Date.UTC(0, 0, 1) - 1900 * 365.2425 * 86_400_000;
const timeMs = fc.integer({
  min: Math.ceil(firstMs),
  max: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
});

test("formatTime writes what Date writes", () => {
  fc.assert(
    fc.property(timeMs, (ms) => {
      fc.pre(new Date(ms).getUTCFullYear() >= 0);
      expect(formatTime(ms)).toBe(new Date(ms).toISOString());
    }),
    { numRuns: 3000 },
  );
});

test("parseTime reads what Date reads, with every zone and fraction", () => {
  const two = (value: number) => String(value).padStart(2, "0");
  const zone = fc.oneof(
    fc.constantFrom("Z", "z"),
    fc
      .tuple(fc.constantFrom("+", "-"), fc.nat(23), fc.nat(59))
      .map(([sign, hours, minutes]) => `${sign}${two(hours)}:${two(minutes)}`),
  );
  fc.assert(
    fc.property(
      timeMs,
      zone,
      fc.constantFrom("T", "t", " "),
      fc.nat(3),
      (ms, offset, between, digits) => {
        fc.pre(new Date(ms).getUTCFullYear() >= 1);
        const text = new Date(ms).toISOString();
        const fraction = digits === 0 ? "" : text.slice(19, 20 + digits);
        const local = `${text.slice(0, 10)}${between}${text.slice(11, 19)}${fraction}`;
        const expected = Date.parse(`${text.slice(0, 19)}${fraction}${offset.toUpperCase()}`);

        expect(parseTime(local + offset)).toBe(expected);
      },
    ),
    { numRuns: 3000 },
  );
});

test("formatTime and parseTime are each other's inverse", () => {
  fc.assert(
    fc.property(timeMs, (ms) => {
      fc.pre(new Date(ms).getUTCFullYear() >= 0);
      expect(parseTime(formatTime(ms))).toBe(ms);
    }),
  );
});

test("fractions finer than a millisecond are cut", () => {
  expect(parseTime("2026-01-02T03:04:05.123456789Z")).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 123));
  expect(parseTime("2026-01-02T03:04:05.9999Z")).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 999));
});

test("days and hours that do not exist are no time", () => {
  const wrong = [
    "2026-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:61Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00-01:60",
    "2026-01-01T00:00:00",
    "2026-01-01",
    "2026-1-1T00:00:00Z",
    "+2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00Z\n",
    "",
    "now",
  ];

  expect(wrong.filter((text) => parseTime(text) !== undefined)).toEqual([]);
  expect(parseTime("2024-02-29T00:00:00Z")).toBe(Date.UTC(2024, 1, 29));
  expect(parseTime("2000-02-29T23:59:59Z")).toBe(Date.UTC(2000, 1, 29, 23, 59, 59));
});

test("parseDuration adds up its parts", () => {
  const cases: [string, number][] = [
    ["250ms", 250],
    ["1h30m", 5_400_000],
    ["7d", 604_800_000],
    ["90", 90_000],
    ["0.5", 500],
    ["0", 0],
    ["1.5s", 1500],
    ["1m0.25s", 60_250],
    ["1500us", 2],
    ["1500µs", 2],
    ["1500μs", 2],
    ["2000000ns", 2],
    ["  5s ", 5000],
    ["1s1s", 2000],
  ];

  for (const [text, expected] of cases)
    expect([text, parseDuration(text)]).toEqual([text, expected]);
});

test("what is no duration is refused", () => {
  const wrong = [
    "",
    " ",
    "s",
    "-5s",
    "5 s",
    "5x",
    "1h30",
    "1.s",
    ".5s",
    "1e3s",
    "5S",
    "NaN",
    "Infinity",
    "1,5s",
    "5s,",
  ];

  expect(wrong.filter((text) => parseDuration(text) !== undefined)).toEqual([]);
});

test("a duration too long for a number is refused rather than infinite", () => {
  expect(parseDuration("9".repeat(400))).toBeUndefined();
  expect(parseDuration(`${"9".repeat(400)}d`)).toBeUndefined();
});

test("formatDuration writes what parseDuration reads back", () => {
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }),
    { numRuns: 2000 },
  );
  expect([0, 250, 90_000, 5_400_000, 86_400_000, 1001].map(formatDuration)).toEqual([
    "0ms",
    "250ms",
    "1m30s",
    "1h30m",
    "1d",
    "1.001s",
  ]);
});
