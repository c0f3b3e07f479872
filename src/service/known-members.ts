/** Members of values that a handler reads by name: what the schema of a call does not know was checked by nobody. */
import type { TObject } from "@sinclair/typebox";
import { NewJob } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";

/** The members that are given and that the schema knows; the others must not reach the log, whatever they are. */
export function knownMembers<T extends object>(schema: TObject, value: T): T {
  const kept = Object.entries(value).filter(
    ([name, member]) => member != null && Object.hasOwn(schema.properties, name),
  );
  return Object.fromEntries(kept) as T;
}

/** Refuses options of a job where the schema has no place for them: to drop them would be to promise them. */
export function refuseOtherOptions(schema: TObject, value: object, reason: string): void {
  for (const [name, member] of Object.entries(value)) {
    if (member == null || Object.hasOwn(schema.properties, name)) continue;
    if (!Object.hasOwn(NewJob.properties, name)) continue;
    throw new CorvoError("VALIDATION_ERROR", `${name}: ${reason}`, { details: { path: name } });
  }
}
