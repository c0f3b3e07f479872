import { scheduleAction } from "../_shared/schedule-action.ts";

export default scheduleAction({
  operation: "deleteSchedule",
  done: "deleted",
  examples: [{ line: "corvo schedule delete nightly", says: "Its jobs stay" }],
});
