/** Durations and times as text. Inside the program a duration is always a whole number of milliseconds. */

const unitMs: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  // The micro sign and the Greek letter look alike, and both are in use.
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const part = /(\d+(?:\.\d+)?)(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d)/gy;

/** Reads `250ms`, `1h30m`, `7d`, or plain seconds (`90`, `0.5`). Undefined when the text is none of these. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return wholeMs(Number(trimmed) * 1000);
  if (trimmed === "") return undefined;
  part.lastIndex = 0;
  let totalMs = 0;
  while (part.lastIndex < trimmed.length) {
    const match = part.exec(trimmed);
    if (match === null) return undefined;
    totalMs += Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN);
  }
  return wholeMs(totalMs);
}

/** Undefined for what is no longer a duration but a number too large to count with. */
function wholeMs(durationMs: number): number | undefined {
  const rounded = Math.round(durationMs);
  return Number.isSafeInteger(rounded) ? rounded : undefined;
}

/** The shortest text that `parseDuration` reads back: `90000` → `1m30s`, `250` → `250ms`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)}ms`;
  let rest = Math.round(durationMs);
  let text = "";
  for (const unit of ["d", "h", "m"] as const) {
    const size = unitMs[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  if (rest > 0) text += `${rest / 1000}s`;
  return text;
}

const rfc3339 =
  /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/**
 * Reads an RFC 3339 time as milliseconds since 1970, with its zone. Undefined when it is not one, or names a day that
 * does not exist. Written out because the state machine's folders may not use the runtime's clock type.
 */
export function parseTime(text: string): number | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = (match[1] ?? "").split("-").map(Number);
  const [hour, minute, second] = (match[2] ?? "").split(":").map(Number);
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (hour === undefined || minute === undefined || second === undefined) return undefined;
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const offsetHour = Number(match[5] ?? 0);
  const offsetMinute = Number(match[6] ?? 0);
  if (offsetHour > 23 || offsetMinute > 59) return undefined;
  const offsetMinutes = (match[4] === "-" ? -1 : 1) * (offsetHour * 60 + offsetMinute);
  const milliseconds = Number((match[3] ?? "").padEnd(3, "0").slice(0, 3));
  const days = daysFromCivil(year, month, day);
  return (
    days * 86_400_000 +
    (hour * 3600 + minute * 60 + second) * 1000 +
    milliseconds -
    offsetMinutes * 60_000
  );
}

/** RFC 3339 in UTC with milliseconds. */
export function formatTime(timeMs: number): string {
  // Jobs of one batch share their times, and writing one out costs as much as the rest of a claimed job.
  if (timeMs === lastTimeMs) return lastTimeText;
  if (timeMs === olderTimeMs) return olderTimeText;
  olderTimeMs = lastTimeMs;
  olderTimeText = lastTimeText;
  lastTimeMs = timeMs;
  lastTimeText = writeTime(timeMs);
  return lastTimeText;
}

let lastTimeMs = Number.NaN;
let lastTimeText = "";
let olderTimeMs = Number.NaN;
let olderTimeText = "";

function writeTime(timeMs: number): string {
  const days = Math.floor(timeMs / 86_400_000);
  const inDay = timeMs - days * 86_400_000;
  const [year, month, day] = civilFromDays(days);
  const two = (value: number) => String(value).padStart(2, "0");
  const seconds = Math.floor(inDay / 1000);
  const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const fraction = String(Math.floor(inDay % 1000)).padStart(3, "0");
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T${clock}.${fraction}Z`;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 of a proleptic Gregorian date; eras of 400 years of 146,097 days, years counted from March. */
function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function civilFromDays(days: number): [number, number, number] {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthIndex = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthIndex + 2) / 5) + 1;
  const month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9;
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day];
}
