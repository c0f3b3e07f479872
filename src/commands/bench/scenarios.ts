/** The table of scenarios, in the order of the tour. */
import { backlog, restart } from "./backlog.ts";
import { drainBatched, drainSingle } from "./drain.ts";
import { bulk, burst, http, par32, seq } from "./enqueue.ts";
import { lifecycle, lifecycleSingle } from "./lifecycle.ts";
import { pickup } from "./pickup.ts";
import type { Scenario } from "./scenario.ts";
import { scheduled } from "./scheduled.ts";
import { search } from "./search.ts";
import { startup } from "./startup.ts";

export const scenarios: Readonly<Record<string, Scenario>> = {
  lifecycle,
  "lifecycle-single": lifecycleSingle,
  burst,
  bulk,
  par32,
  seq,
  http,
  pickup,
  drain: drainSingle,
  "drain-batched": drainBatched,
  scheduled,
  backlog,
  restart,
  search,
  startup,
};
