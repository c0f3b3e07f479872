/**
 * Ids of bulk actions in the background: `bulk_`, the time, a part of the node's own id and a count, so that no two nodes give
 * the same one. With several shards the parts of one action have the same id.
 */
import type { Clock } from "../base/ports.ts";

const nodeDigits = 8;

export class BulkIds {
  readonly #clock: Clock;
  readonly #node: string;
  #count = 0;

  constructor(clock: Clock, nodeId: string) {
    this.#clock = clock;
    this.#node = nodeId.replaceAll("-", "").slice(0, nodeDigits);
  }

  next(): string {
    return `bulk_${this.#clock.nowMs().toString(36)}_${this.#node}_${(this.#count++).toString(36)}`;
  }
}
