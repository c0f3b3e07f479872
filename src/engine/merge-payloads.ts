/**
 * One payload from two: the members of objects (the newer wins) or the items of arrays (the newer follow). The values
 * inside stay the texts that were sent, and of a member that both have, the place of the older.
 */
import { parseJson, type RawJson, stringifyJson } from "../base/json.ts";
import { jsonOf } from "../base/stored-value.ts";
import { engineLimits } from "./limits.ts";
import type { Merge } from "./options.ts";
import { type Rejection, reject } from "./outcome.ts";

/** The joined text, or why there is none. Both are valid JSON. */
export function mergePayloads(merge: Merge, older: string, newer: string): string | Rejection {
  if (merge === "none") return newer;
  const joined = merge === "shallow" ? joinMembers(older, newer) : joinItems(older, newer);
  if (joined === undefined) {
    const kind = merge === "shallow" ? "an object" : "an array";
    return reject("CONFLICT", `merge "${merge}": the payload of the waiting job is not ${kind}`);
  }
  if (joined.length > engineLimits.mergedPayloadCharsMax) {
    return reject(
      "PAYLOAD_TOO_LARGE",
      `merge "${merge}" would make a payload of ${joined.length} characters; at most ${engineLimits.mergedPayloadCharsMax} (mergedPayloadCharsMax)`,
    );
  }
  return joined;
}

function joinMembers(older: string, newer: string): string | undefined {
  const [one, other] = [valuesOf(older), valuesOf(newer)];
  if (one === undefined || other === undefined || Array.isArray(one) || Array.isArray(other)) {
    return undefined;
  }
  const members = new Map([...Object.entries(one), ...Object.entries(other)]);
  const texts = [...members].map(([name, value]) => `${JSON.stringify(name)}:${textOf(value)}`);
  return `{${texts.join(",")}}`;
}

function joinItems(older: string, newer: string): string | undefined {
  const [one, other] = [valuesOf(older), valuesOf(newer)];
  if (!Array.isArray(one) || !Array.isArray(other)) return undefined;
  return `[${[...one, ...other].map(textOf).join(",")}]`;
}

type Value = RawJson | null;

function valuesOf(form: string): Readonly<Record<string, Value>> | readonly Value[] | undefined {
  const text = jsonOf(form);
  if (text === undefined) return undefined;
  const parsed = parseJson(text, { elements: "raw" }, Number.POSITIVE_INFINITY);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) return undefined;
  return parsed.value as Readonly<Record<string, Value>> | readonly Value[];
}

function textOf(value: Value): string {
  return stringifyJson(value);
}
