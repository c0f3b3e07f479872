/** Streaming sessions on a node with several shards. */
import type { StreamService } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";

export function createShardedStream(): StreamService {
  return {
    open() {
      throw new CorvoError("UNSUPPORTED", "a cluster of several shards takes no streams yet", {
        hint: "Use the HTTP API, or found the cluster with one shard.",
      });
    },
  };
}
