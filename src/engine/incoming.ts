/** What is expected of calls from outside that become jobs of a queue. A queue without settings takes any. */

import type { Core } from "./core.ts";
import { engineLimits } from "./limits.ts";
import type { SetIncoming } from "./outbox/changes.ts";
import { type Outcome, reject } from "./outcome.ts";

/** How senders sign: not at all, or in one of the ways that are common. */
export type IncomingScheme = "none" | "github" | "stripe" | "standard" | "corvo";

export interface IncomingSettings {
  readonly scheme: IncomingScheme;
  /** Empty with the scheme none. */
  readonly secret: string;
  /** How old a signature with a time in it may be. */
  readonly toleranceMs: number;
  /** Header that has the sender's id of the message; undefined for that of the scheme, if it has one; empty for none. */
  readonly idHeader?: string;
  /** Headers that become tags of the job, in small letters. */
  readonly tagHeaders: readonly string[];
  readonly updatedAtMs: number;
}

export type IncomingSpec = Omit<IncomingSettings, "updatedAtMs">;

/** Without settings the queue takes any call. */
export function setIncoming(core: Core, { queue, spec }: SetIncoming): Outcome {
  const table = core.state.records("incoming");
  if (spec === undefined) {
    if (!table.has(queue)) return reject("NOT_FOUND", `queue "${queue}" has no settings`);
    table.delete(queue);
    return { kind: "ok" };
  }
  if (!table.has(queue) && table.size >= engineLimits.incomingMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `queue "${queue}" would be one more than ${engineLimits.incomingMax} with settings (incomingMax)`,
    );
  }
  table.put(queue, { ...spec, updatedAtMs: core.nowMs });
  return { kind: "ok" };
}
