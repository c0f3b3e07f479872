/**
 * What clocks on the wall show in a time zone, and when they show it. A reading of a clock is written as the milliseconds
 * of a UTC clock that shows the same, so calendars reckon with it as with any time.
 *
 * Zones are those of the runtime. Two changes of a zone's clock are taken to be more than two days apart.
 */
const dayMs = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/** What a clock in the zone shows, without the parts of a second. */
export function wallClockAt(ms: number, zone: string): number {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of format.formatToParts(ms)) shown[type] = Number(value);
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = shown;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** When a clock in the zone first shows this; if it never does, the first moment after the gap. Whole seconds. */
export function firstShowing(wallMs: number, zone: string): number {
  const before = wallMs - offsetAt(wallMs - dayMs, zone);
  if (wallClockAt(before, zone) === wallMs) return before;
  const after = wallMs - offsetAt(wallMs + dayMs, zone);
  if (wallClockAt(after, zone) === wallMs) return after;
  return changeBetween(after, before, zone);
}

/** The first second with another offset than the first of two, which differ. */
function changeBetween(fromMs: number, toMs: number, zone: string): number {
  const offset = offsetAt(fromMs, zone);
  let [low, high] = [fromMs, toMs];
  while (high - low > 1000) {
    const middle = low + Math.floor((high - low) / 2000) * 1000;
    if (offsetAt(middle, zone) === offset) low = middle;
    else high = middle;
  }
  return high;
}

function offsetAt(ms: number, zone: string): number {
  return wallClockAt(ms, zone) - Math.floor(ms / 1000) * 1000;
}
