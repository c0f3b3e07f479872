/**
 * The one place where reads become linearizable: before its handler runs, a read waits until this node is known to lead
 * and has applied everything that was acknowledged. A caller that wants no such wait says `?consistency=stale`.
 */
import type { Operation } from "../api/operation.ts";
import { type Handlers, type OperationName, operations } from "../api/operations.ts";
import type { Node } from "./node.ts";

type AnyHandler = (input: { readonly query: unknown }, context: unknown) => Promise<unknown>;

export function withReadBarrier(handlers: Handlers, node: Node): Handlers {
  const guarded: Record<string, unknown> = { ...handlers };
  for (const name of Object.keys(operations) as OperationName[]) {
    const operation: Operation = operations[name];
    if (operation.answeredBy === "any") continue;
    if (!operation.read && operation.method !== "GET") continue;
    const handler = handlers[name] as AnyHandler;
    guarded[name] = async (...[input, context]: Parameters<AnyHandler>) => {
      if (!isStale(input.query)) await barrier(node, operation);
      return handler(input, context);
    };
  }
  // Every key of the table was copied or wrapped above; the type cannot follow it.
  return guarded as unknown as Handlers;
}

async function barrier(node: Node, { answersAlone }: Operation): Promise<void> {
  try {
    await node.replica.readBarrier();
  } catch (error) {
    // It leads no more, or knows no majority; the handler sees that for itself.
    if (!answersAlone) throw error;
  }
}

function isStale(query: unknown): boolean {
  return (query as { readonly consistency?: unknown }).consistency === "stale";
}
