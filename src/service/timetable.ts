/**
 * Reads what a user wrote as a timetable, and computes due times. The calendar is `croner`'s, which is asked with a time
 * and never looks at a clock; zones are those of the runtime.
 *
 * Where the clocks go forward, a time of day that does not exist is due at the first moment after the gap. Where they go
 * back, a fixed time of day is due once, at its first occurrence; what is due each hour or more often goes on through both.
 */
import { Cron } from "croner";
import { requestLimits as limits } from "../api/limits.ts";
import { CorvoError } from "../base/errors.ts";
import type { Timetable } from "../engine/schedule.ts";

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
    if (parse(fields, zone).nextRun(new Date(0)) !== null) {
      return { kind: "cron", expression: fields, zone };
    }
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
  const cron = parse(timetable.expression, timetable.zone);
  let at: Date | null = new Date(afterMs);
  while (found.length < count) {
    at = cron.nextRun(at);
    if (at === null) break;
    found.push(at.getTime());
  }
  return found;
}

const parsed = new Map<string, Cron>();
const parsedMax = 10_000;

function parse(expression: string, zone: string): Cron {
  const key = `${zone} ${expression}`;
  let cron = parsed.get(key);
  if (cron === undefined) {
    // Paused: it computes and never fires anything itself.
    cron = new Cron(expression, { timezone: zone, paused: true });
    if (parsed.size >= parsedMax) parsed.clear();
    parsed.set(key, cron);
  }
  return cron;
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
