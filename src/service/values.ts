/** Texts of requests to the values they mean; what means nothing is refused with the name of its field. */
import { requestLimits as limits } from "../api/limits.ts";
import { priorityNames } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import { parseDuration, parseTime } from "../base/time.ts";

export function toPriority(value: number | string): number {
  if (typeof value === "number") return value;
  if (Object.hasOwn(priorityNames, value)) {
    return priorityNames[value as keyof typeof priorityNames];
  }
  const number = Number(value);
  if (value !== "" && Number.isInteger(number) && number >= 0 && number <= 9) return number;
  throw invalid("priority", value, "0 to 9, or critical, high, normal, low");
}

export function toDuration(field: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) {
    throw invalid(field, text, 'a duration such as "250ms", "90s" or "1h30m"');
  }
  if (durationMs > limits.delayMsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `${field}: "${text}" is longer than 10 years (delayMsMax)`,
      { details: { path: field } },
    );
  }
  return durationMs;
}

/** A duration of which 0 would mean nothing; `most` is its bound in words. */
export function toSpan(field: string, text: string, most = "10 years"): number {
  const spanMs = toDuration(field, text);
  if (spanMs > 0) return spanMs;
  throw invalid(field, text, `more than 0 and at most ${most}`);
}

export function toTime(field: string, text: string): number {
  const timeMs = parseTime(text);
  if (timeMs === undefined || timeMs < 0 || timeMs > 8.64e15) {
    throw invalid(field, text, 'an RFC 3339 time such as "2030-01-31T09:00:00Z"');
  }
  return timeMs;
}

export function optionalDuration(
  field: string,
  text: string | null | undefined,
): number | undefined {
  return text == null ? undefined : toDuration(field, text);
}

export function invalid(field: string, value: unknown, expected: string): CorvoError {
  return new CorvoError(
    "VALIDATION_ERROR",
    `${field}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 80)}`,
    { details: { path: field } },
  );
}
