/** Whether shards have still to say what holds (`reunion.ts`). */
import type { Core } from "./core.ts";

/** Key of the one record. */
export const reunionKey = "left";

export function isReuniting(core: Core): boolean {
  return core.place.shards > 1 && core.state.records("reunion").size > 0;
}
