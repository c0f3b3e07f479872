/**
 * Calls of other systems' clients, carried out by our own operations. A foreign call is a row like those of the operations
 * table, with a handler that calls operations; it is routed, checked, bounded and passed on to the leader like one of
 * them. It stands in no table of ours: neither our client nor our command line has it.
 */
import type { TObject, TSchema } from "@sinclair/typebox";
import type { InputOf, Operation, ResultOf } from "../../api/operation.ts";
import { type Handlers, type OperationName, type Operations, Reply } from "../../api/operations.ts";
import type { RequestContext } from "../http/admission.ts";
import { checkText } from "../http/body.ts";

export interface ForeignCall {
  readonly operation: Operation;
  readonly handler: (input: never, context: RequestContext) => Promise<unknown>;
}

/** One call, its input typed by its row. */
export function foreign<P extends TObject, Q extends TObject, B extends TSchema, R extends TSchema>(
  operation: Operation<P, Q, B, R>,
  handler: (
    input: InputOf<Operation<P, Q, B, R>>,
    context: RequestContext,
  ) => Promise<ResultOf<Operation<P, Q, B, R>> | Reply<unknown>>,
): ForeignCall {
  return {
    operation: operation as unknown as Operation,
    handler: handler as ForeignCall["handler"],
  };
}

export type Call = <Name extends OperationName>(
  name: Name,
  input: Partial<InputOf<Operations[Name]>>,
  context: RequestContext,
) => Promise<ResultOf<Operations[Name]> | undefined>;

/**
 * Our operations as functions; undefined where the answer has no body. What an adapter has put together is bounded as a body
 * is: a value made of several that were small enough may be too large.
 */
export function callsOf(handlers: Handlers, payloadBytesMax: number): Call {
  return async (name, input, context) => {
    checkText(input.body, "", payloadBytesMax);
    const handler = handlers[name] as (input: unknown, context: RequestContext) => Promise<unknown>;
    const answer = await handler({ params: {}, query: {}, body: {}, ...input }, context);
    return (answer instanceof Reply ? answer.body : answer) as never;
  };
}

/** Theirs count 9 as first, ours 0. */
export function priorityOf(theirs: number): number {
  return 9 - Math.min(9, Math.max(0, theirs));
}
