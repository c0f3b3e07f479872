/** States of jobs, for eyes. */
import type { Style } from "./colors.ts";

export function paintState(state: string, style: Style): string {
  switch (state) {
    case "completed":
      return style.green(state);
    case "dead":
    case "failed":
    case "cancelled":
      return style.red(state);
    case "active":
      return style.cyan(state);
    case "retrying":
    case "held":
      return style.yellow(state);
    default:
      return state;
  }
}
