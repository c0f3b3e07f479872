/** A broken internal guarantee. It ends the process; the log recovers it. Never thrown for bad input. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Fails when something the program itself guarantees does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For a check that is made so often that its text must not be put together unless it fails. */
export function fail(message: string): never {
  throw new AssertionError(message);
}

/** The value, which the caller knows to be present. */
export function must<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionError(message);
  return value;
}
