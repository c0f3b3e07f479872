/**
 * Reads what a user wrote as a timetable, and computes due times. The calendar is `croner`'s, which is asked with a time
 * and never looks at a clock; zones are those of the runtime.
 *
 * Where the clocks go forward, a time of day that does not exist is due at the first moment after the gap. Where they go
 * back, a fixed time of day is due once, at its first occurrence. `croner` keeps this for a single time of day only and not
 * for one before midnight whose gap ends on the next day, so of times of day it is asked for what clocks show, and
 * `wall-clock.ts` tells when. What is due each hour or more often goes on through both.
 */
import { Cron } from "croner";
import { requestLimits as limits } from "../api/limits.ts";
import { CorvoError } from "../base/errors.ts";
import type { Timetable } from "../engine/schedule.ts";
import { firstShowing, wallClockAt } from "./wall-clock.ts";

const shortcuts: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** A cron timetable of five fields, or six with seconds first. Throws VALIDATION_ERROR with the reason. */
export function cronTimetable(expression: string, zone: string): Timetable {
  if (expression.length > limits.cronLengthMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `cron: ${expression.length} characters; at most ${limits.cronLengthMax} (cronLengthMax)`,
    );
  }
  const text = expression.trim();
  const fields = shortcuts[text.toLowerCase()] ?? text;
  if (!isZone(zone)) {
    throw invalid(`zone: "${zone}" is no IANA time zone; an example is "Europe/Berlin"`);
  }
  const count = fields.split(/\s+/).length;
  if (count !== 5 && count !== 6) {
    throw invalid(
      `cron: "${expression}" has ${count} field${count === 1 ? "" : "s"}; write five (minute hour day month weekday), or six with seconds first`,
    );
  }
  try {
    const timetable = { kind: "cron", expression: fields, zone } as const;
    if (dueTimes(timetable, 0, 1).length > 0) return timetable;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^Cron\w+: /, "") : String(cause);
    throw invalid(`cron: "${expression}" cannot be read: ${reason}`);
  }
  throw invalid(`cron: "${expression}" never comes due`);
}

/** Due times after `afterMs`, at most `count`; fewer when the timetable ends. */
export function dueTimes(timetable: Timetable, afterMs: number, count: number): number[] {
  const found: number[] = [];
  if (timetable.kind === "every") {
    const { everyMs, anchorMs } = timetable;
    const steps = Math.max(1, Math.floor((afterMs - anchorMs) / everyMs) + 1);
    for (let i = 0; i < count; i++) found.push(anchorMs + (steps + i) * everyMs);
    return found;
  }
  const { cron, isOfClocks } = parse(timetable.expression, timetable.zone);
  if (isOfClocks) return showings(cron, timetable.zone, afterMs, count);
  let at: Date | null = new Date(afterMs);
  while (found.length < count) {
    at = cron.nextRun(at);
    if (at === null) break;
    found.push(at.getTime());
  }
  return found;
}

/** When clocks in the zone show the times of a timetable, each once. */
function showings(wall: Cron, zone: string, afterMs: number, count: number): number[] {
  const found: number[] = [];
  let lastMs = afterMs;
  let at: Date | null = new Date(wallClockAt(afterMs, zone));
  while (found.length < count) {
    at = wall.nextRun(at);
    if (at === null) break;
    const dueMs = firstShowing(at.getTime(), zone);
    // Shown before the clocks went back, or in the same gap as the one before.
    if (dueMs <= lastMs) continue;
    found.push(dueMs);
    lastMs = dueMs;
  }
  return found;
}

interface Calendar {
  readonly cron: Cron;
  /** It tells what clocks show, not when. */
  readonly isOfClocks: boolean;
}

const parsed = new Map<string, Calendar>();
const parsedMax = 10_000;

function parse(expression: string, zone: string): Calendar {
  const key = `${zone} ${expression}`;
  let calendar = parsed.get(key);
  if (calendar === undefined) {
    const isOfClocks = hasTimesOfDay(expression);
    calendar = { cron: cronIn(isOfClocks ? "UTC" : zone, expression), isOfClocks };
    if (parsed.size >= parsedMax) parsed.clear();
    parsed.set(key, calendar);
  }
  return calendar;
}

/** Whether it names times of day, and not something that comes every hour or more often. */
function hasTimesOfDay(expression: string): boolean {
  const fields = expression.split(/\s+/);
  const [hour = "", ...shorter] = fields.slice(0, fields.length - 3).reverse();
  if (shorter.some((field) => /[*?/]/.test(field))) return false;
  const hours = cronIn("UTC", `0 ${hour} * * *`);
  // The 24th full hour after the start of a day is the start of the next day only when every hour is meant.
  let at: Date | null = new Date(0);
  for (let i = 0; i < 24 && at !== null; i++) at = hours.nextRun(at);
  return at?.getTime() !== 86_400_000;
}

function cronIn(zone: string, expression: string): Cron {
  // Paused: it computes and never fires anything itself.
  return new Cron(expression, { timezone: zone, paused: true });
}

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone.length <= 64;
  } catch {
    return false;
  }
}

function invalid(message: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", message);
}
