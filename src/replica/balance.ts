/**
 * Spreads the leadership of shards over the voters: whoever leads shard 0 looks every few seconds, and while one node
 * leads at least two shards more than another, some of its shards are handed to that one. Shard 0 itself stays where it is.
 *
 * It is only ever a wish: the leader of a shard hands over when the other one has its whole log, and leads on otherwise.
 */
import type { Logger, Timers } from "../base/ports.ts";
import { none } from "../raft/message.ts";
import type { ShardMember } from "./shard-members.ts";

interface BalanceDeps {
  /** All shards of this node, by number. */
  readonly shards: readonly ShardMember[];
  readonly timers: Timers;
  readonly logger: Logger;
  /** Is this node in touch, and not about to stop? */
  readonly mayLead: (nodeId: number) => boolean;
}

export interface Move {
  readonly shard: number;
  readonly to: number;
}

const balanceMs = 3000;
/** Each stops the writes to a shard for a moment. */
const movesMax = 4;

export class Balance {
  readonly #deps: BalanceDeps;
  #cancel: (() => void) | undefined;

  constructor(deps: BalanceDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#cancel = this.#deps.timers.after(balanceMs, () => {
      this.#look();
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }

  #look(): void {
    const { shards, mayLead, logger } = this.#deps;
    const [main] = shards;
    if (main === undefined || !main.replica.isLeader) return;
    const leaders = shards.map(({ group }) => group.state.leader);
    const voters = main.replica.conf.voters.filter(
      (id) => mayLead(id) && shards.every(({ replica }) => replica.conf.voters.includes(id)),
    );
    for (const { shard, to } of movesFor(leaders, voters).slice(0, movesMax)) {
      logger.info(`shard ${shard}: node ${leaders[shard]} is asked to hand over to node ${to}`);
      shards[shard]?.group.transferLeadership(to);
    }
  }
}

/** What evens out the leadership of shards; nothing while some shard has no leader, since that settles first. */
export function movesFor(leaders: readonly number[], voters: readonly number[]): Move[] {
  if (leaders.includes(none) || !leaders.every((id) => voters.includes(id))) return [];
  const led = new Map(voters.map((id): [number, number[]] => [id, []]));
  for (const [shard, id] of leaders.entries()) led.get(id)?.push(shard);
  const moves: Move[] = [];
  for (;;) {
    const byCount = [...led].sort(([, one], [, other]) => one.length - other.length);
    const fewest = byCount[0];
    const most = byCount.at(-1);
    if (fewest === undefined || most === undefined) return moves;
    // The last one that it was given or has: shard 0, which stays, comes first.
    const shard = most[1].at(-1);
    if (most[1].length - fewest[1].length < 2 || shard === undefined || shard === 0) return moves;
    most[1].pop();
    fewest[1].push(shard);
    moves.push({ shard, to: fewest[0] });
  }
}
