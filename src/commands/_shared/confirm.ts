/** Questions before what cannot be undone. Only a person at a terminal is asked; a script has to say --yes. */
import type { Context } from "./context.ts";
import { Interrupted, UsageError } from "./exit.ts";
import { repeatableLine } from "./shell.ts";

export const yesFlag = {
  type: "boolean",
  alias: ["y"],
  description: "Do it without asking.",
} as const;

export interface Question {
  /** What will happen, as a question. */
  readonly message: string;
  readonly yes: boolean | undefined;
  /** What a script says instead of answering. Default --yes. */
  readonly yesFlag?: string;
  /** A word that must be typed: for what would hurt most. */
  readonly typed?: string;
}

/** True to go on. Without a terminal and without --yes it is a usage error that holds the line to repeat. */
export async function confirm(context: Context, question: Question): Promise<boolean> {
  if (question.yes === true) return true;
  const { system, argv } = context;
  const flag = question.yesFlag ?? "--yes";
  if (!system.stdinIsTty || !system.stderr.isTty) {
    throw new UsageError(
      `${question.message} Nobody is there to answer, so nothing was done`,
      `Repeat it with ${flag}: ${repeatableLine([...argv, ...flag.split(" ")])}`,
    );
  }
  const { message, typed } = question;
  const answer =
    typed === undefined
      ? await system.prompts.confirm(message)
      : await system.prompts.ask(`${message} Type ${typed} to go on.`);
  if (answer === undefined) throw new Interrupted("nothing was changed");
  const agreed = typed === undefined ? answer === true : answer === typed;
  if (!agreed) context.log.info("nothing was changed");
  return agreed;
}
