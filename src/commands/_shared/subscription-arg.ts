/** The id of a subscription on the command line. */
import { SubscriptionId } from "../../api/subscriptions.ts";
import { BadValue } from "./readers.ts";
import { problemOf } from "./schema-check.ts";

export const subscriptionArg = {
  type: "positional",
  description: "Id of the subscription.",
  read: (text: string): string => {
    const problem = problemOf(SubscriptionId, text, "the id");
    if (problem !== undefined) {
      throw new BadValue(problem, "`corvo subscription list` shows the ids.");
    }
    return text;
  },
} as const;
