/** The table of scenarios, in the order of the tour. */
import { lifecycle, lifecycleSingle } from "./lifecycle.ts";
import type { Scenario } from "./scenario.ts";

export const scenarios: Readonly<Record<string, Scenario>> = {
  lifecycle,
  "lifecycle-single": lifecycleSingle,
};
