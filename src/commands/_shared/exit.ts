/** How a failure becomes words on stderr and an exit code: the only place of the command line that decides this. */
import { AssertionError } from "../../base/assert.ts";
import { CorvoError, errorTable, exitCodes } from "../../base/errors.ts";

/** The command line itself was wrong. `hint` says what to write instead. */
export class UsageError extends Error {
  override name = "UsageError";
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** The person pressed Ctrl-C, or left a question unanswered. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

export interface Failure {
  readonly exit: number;
  /** Lines for stderr, without colour; the first is the error itself. */
  readonly message: string;
  readonly hint: string | undefined;
  /** Only shown with --verbose, except for faults of the program. */
  readonly stack: string | undefined;
  readonly isBug: boolean;
}

export function failureOf(error: unknown): Failure {
  const stack = error instanceof Error ? error.stack : undefined;
  if (error instanceof UsageError) {
    return { exit: exitCodes.usage, message: error.message, hint: error.hint, stack, isBug: false };
  }
  if (error instanceof Interrupted) {
    const message = error.message === "" ? "interrupted" : error.message;
    return {
      exit: exitCodes.interrupted,
      message,
      hint: undefined,
      stack: undefined,
      isBug: false,
    };
  }
  if (error instanceof CorvoError) {
    const exit = errorTable[error.code].exit;
    return { exit, message: error.message, hint: error.hint, stack, isBug: false };
  }
  const kind = error instanceof AssertionError ? "broken guarantee" : "unexpected failure";
  return {
    exit: exitCodes.bug,
    message: `${kind}: ${error instanceof Error ? error.message : String(error)}`,
    hint: "This is a fault in corvo. Please report it with the lines above.",
    stack,
    isBug: true,
  };
}
