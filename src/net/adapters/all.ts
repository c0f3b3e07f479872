/** Every adapter there is. */
import type { Handlers } from "../../api/operations.ts";
import type { Clock } from "../../base/ports.ts";
import { codeqCalls } from "./codeq/handlers.ts";
import { callsOf, type ForeignCall } from "./foreign.ts";
import { rivetqCalls } from "./rivetq/handlers.ts";

export interface ForeignDeps {
  readonly handlers: Handlers;
  readonly clock: Clock;
  readonly payloadBytesMax: number;
}

export function foreignCalls({ handlers, clock, payloadBytesMax }: ForeignDeps): ForeignCall[] {
  const call = callsOf(handlers, payloadBytesMax);
  return [...rivetqCalls(call), ...codeqCalls(call, clock)];
}
