/**
 * Where a reader of events stands: the number of the last event that it has of each shard. With one shard the text is that
 * number; with several it has a number for each, separated by dots.
 */
import { CorvoError } from "../base/errors.ts";

/** `0` alone is the beginning, however many shards there are. */
export function parseCursor(name: string, text: string, shards: number): number[] {
  const parts = text === "0" ? Array<string>(shards).fill("0") : text.split(".");
  const numbers = parts.map((part) => (/^\d{1,15}$/.test(part) ? Number(part) : Number.NaN));
  if (numbers.length === shards && !numbers.some(Number.isNaN)) return numbers;
  const form = shards === 1 ? "a whole number" : `${shards} whole numbers separated by dots`;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `${name}: ${JSON.stringify(text.slice(0, 80))} is not the id of an event here; that is ${form}`,
  );
}

export function formatCursor(numbers: readonly number[]): string {
  return numbers.join(".");
}
