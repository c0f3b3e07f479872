/**
 * Labels of workers and requirements of jobs: a map of names and values to clients, sorted `name=value` texts to the engine,
 * which only asks whether all of the one are among the other.
 */
import { CorvoError } from "../base/errors.ts";

/** A control character would separate what the engine keeps together. */
const control = /\p{Cc}/u;

export function toLabels(member: string, given: Readonly<Record<string, string>>): string[] {
  const labels = Object.entries(given).map(([name, value]) => {
    if (name === "" || name.includes("=") || control.test(name)) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `${member}: ${JSON.stringify(name)} is no name of a label: it is empty, or has "=" or a control character in it`,
      );
    }
    if (control.test(value)) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `${member}: the value of "${name}" has a control character in it`,
      );
    }
    return `${name}=${value}`;
  });
  return labels.sort();
}

/** The reverse of `toLabels`. */
export function labelsView(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map((label) => {
      const end = label.indexOf("=");
      return [label.slice(0, end), label.slice(end + 1)];
    }),
  );
}
