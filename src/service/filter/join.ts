/** Several filters that must all hold, as one. */
import type { JobFilter } from "../../engine/query.ts";

type Writable = { -readonly [Key in keyof JobFilter]: JobFilter[Key] };

const latest = [
  "createdAfterMs",
  "scheduledAfterMs",
  "startedAfterMs",
  "completedAfterMs",
  "expireAfterMs",
  "attemptMin",
] as const;
const earliest = [
  "createdBeforeMs",
  "scheduledBeforeMs",
  "startedBeforeMs",
  "completedBeforeMs",
  "expireBeforeMs",
  "attemptMax",
] as const;
const lists = ["words", "payloadWhere", "any", "not"] as const;

export function joinFilters(filters: readonly JobFilter[]): JobFilter {
  const all: Writable = {};
  for (const filter of filters) {
    for (const [member, value] of Object.entries(filter))
      addMember(all, member as keyof JobFilter, value);
  }
  return all;
}

function addMember<Key extends keyof JobFilter>(
  all: Writable,
  member: Key,
  value: JobFilter[Key],
): void {
  const known = all[member];
  if (known === undefined) {
    all[member] = value;
  } else if (isOneOf(latest, member)) {
    all[member] = Math.max(known as number, value as number);
  } else if (isOneOf(earliest, member)) {
    all[member] = Math.min(known as number, value as number);
  } else if (isOneOf(lists, member)) {
    Object.assign(all, { [member]: [...(known as unknown[]), ...(value as unknown[])] });
  } else if (member === "states") {
    const states = value as JobFilter["states"];
    all.states = (all.states ?? []).filter((one) => states?.includes(one));
  } else if (member === "tags" && !overlaps(known as object, value as object)) {
    all.tags = { ...all.tags, ...(value as JobFilter["tags"]) };
  } else if (known !== value) {
    // Both must hold, and a filter has room for one: the other stands in a group by itself.
    all.any = [...(all.any ?? []), [{ [member]: value }]];
  }
}

function isOneOf<Name extends string>(names: readonly Name[], name: string): name is Name {
  return (names as readonly string[]).includes(name);
}

function overlaps(one: object, other: object): boolean {
  return Object.keys(other).some((name) => Object.hasOwn(one, name));
}
