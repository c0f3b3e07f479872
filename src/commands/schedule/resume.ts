import { scheduleAction } from "../_shared/schedule-action.ts";

export default scheduleAction({
  operation: "resumeSchedule",
  done: "resumed",
  examples: [
    { line: "corvo schedule resume nightly", says: "Go on; what came due meanwhile is left out" },
  ],
});
