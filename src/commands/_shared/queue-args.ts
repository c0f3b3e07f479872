/** The name of a queue on the command line, checked as the API checks it. */
import { QueueName } from "../../api/schemas.ts";
import { BadValue, type Reader } from "./readers.ts";
import { problemOf } from "./schema-check.ts";

export const readQueue: Reader<string> = (text) => {
  const problem = problemOf(QueueName, text, "the name");
  if (problem !== undefined) {
    throw new BadValue(
      problem,
      "Names begin with a letter, a digit or { and go on with those and . _ - : / @ + }",
    );
  }
  return text;
};

export const queueArg = {
  type: "positional",
  description: "Name of the queue.",
  read: readQueue,
} as const;

export const queuesArg = {
  ...queueArg,
  rest: true,
  label: "QUEUE",
  description: "Names of queues.",
} as const;

/** Of jobs that come without a queue, in files of systems that have only one, and of workers that are told none. */
export const defaultQueue = "default";
