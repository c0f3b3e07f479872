import { scheduleAction } from "../_shared/schedule-action.ts";

export default scheduleAction({
  operation: "pauseSchedule",
  done: "paused",
  examples: [{ line: "corvo schedule pause nightly", says: "Start no further runs" }],
});
