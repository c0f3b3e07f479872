/** Life-cycle events as lines for people. */
import type { Event } from "../../api/events.ts";
import { formatTime } from "../../base/time.ts";
import type { Style } from "./colors.ts";
import { printable } from "./output.ts";

const bad: readonly string[] = ["failed", "dead", "lease_expired", "expired", "rejected", "gap"];

/** Widest name of a type. */
const typeWidth = 17;

const idWidth = 30;

/** Time, type, attempt, data; with `of` also the job or queue that it is about. */
export function eventLine(event: Event, style: Style, of: "named" | "alone"): string {
  const name = printable(event.type).padEnd(typeWidth);
  const about =
    of === "alone"
      ? ""
      : `${(event.job_id ?? "").padEnd(idWidth)}  ${printable(event.queue ?? "")}`;
  return [
    style.dim(formatTime(Math.round(event.at_ns / 1_000_000))),
    bad.includes(event.type) ? style.red(name) : name,
    about,
    event.attempt === undefined ? "" : `attempt ${event.attempt}`,
    event.data === undefined ? "" : printable(event.data.text),
  ]
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
}
