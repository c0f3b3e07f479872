/** Every adapter there is. */
import type { Handlers } from "../../api/operations.ts";
import type { Clock } from "../../base/ports.ts";
import { codeqCalls } from "./codeq/handlers.ts";
import type { ForeignCall } from "./foreign.ts";
import { rivetqCalls } from "./rivetq/handlers.ts";

export function foreignCalls(handlers: Handlers, clock: Clock): ForeignCall[] {
  return [...rivetqCalls(handlers), ...codeqCalls(handlers, clock)];
}
