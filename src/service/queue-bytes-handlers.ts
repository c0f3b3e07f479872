/** Handlers of the bytes of a queue and the bounds on them. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { finishedBytes } from "../engine/values.ts";
import type { Node } from "./node.ts";

type View = ResultOf<Operations["getQueueBytes"]>;

export function createQueueBytesHandlers(
  node: Node,
): Pick<Handlers, "getQueueBytes" | "setQueueBytes"> {
  return {
    getQueueBytes: async ({ params }) => view(node, params.name),
    async setQueueBytes({ params, body }) {
      node.refuseElsewhere(params.name);
      const { max_bytes: maxBytes, keep_bytes: keepBytes } = body;
      await node.propose(
        {
          kind: "setQueueBytes",
          queue: params.name,
          ...(maxBytes == null ? {} : { maxBytes }),
          ...(keepBytes == null ? {} : { keepBytes }),
        },
        128,
      );
      return view(node, params.name);
    },
  };
}

/** A queue that is not there yet has no bytes, and may have bounds all the same. */
function view(node: Node, name: string): View {
  const { state } = node.replica.engine;
  const queue = state.getQueue(name);
  const { maxBytes, keepBytes } = state.records("queueSettings").get(name) ?? {};
  return {
    queue: name,
    bytes: queue?.bytes ?? 0,
    finished_bytes: queue === undefined ? 0 : finishedBytes(queue),
    ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
    ...(keepBytes === undefined ? {} : { keep_bytes: keepBytes }),
  };
}
