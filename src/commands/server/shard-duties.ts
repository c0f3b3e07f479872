/** What keeps the shards of a node together: they follow shard 0 in who is a member, their leaders are spread, and they write to each other. */
import type { Logger } from "../../base/ports.ts";
import { Balance } from "../../replica/balance.ts";
import { PostOffice } from "../../replica/post-office.ts";
import { ShardMembers } from "../../replica/shard-members.ts";
import { systemTimers } from "../_shared/system.ts";
import type { ShardCore } from "./shard.ts";

export interface ShardDuties {
  start(): void;
  stop(): void;
  /** For a node alone: what the other shards take over from shard 0 is there when this resolves. */
  settle(): Promise<void>;
  /** A shard of this node has written, taken or forgotten messages. */
  lookAtMail(): void;
}

interface DutiesEnv {
  readonly logger: Logger;
  /** Is this node in touch, and not about to stop? */
  readonly mayLead: (nodeId: number) => boolean;
}

export function createShardDuties(
  cores: readonly ShardCore[],
  { logger, mayLead }: DutiesEnv,
): ShardDuties {
  const [main, ...others] = cores as [ShardCore, ...ShardCore[]];
  const timers = systemTimers;
  const members = others.map(
    (own) => new ShardMembers({ shard: own.shard, own, main, timers, logger }),
  );
  const balance = new Balance({ shards: cores, timers, logger, mayLead });
  const replicas = cores.map(({ replica }) => replica);
  const postOffice = new PostOffice({ replicas, timers, logger });
  const look = () => postOffice.look();
  const all = others.length === 0 ? [] : [...members, balance];
  // A shard may be led before the duties start.
  if (others.length > 0) {
    for (const { group } of cores) group.whenReady(() => postOffice.lead());
  }
  return {
    start: () => {
      for (const duty of all) duty.start();
    },
    stop: () => {
      for (const duty of all) duty.stop();
      postOffice.stop();
    },
    lookAtMail: look,
    async settle() {
      for (const member of members) await member.duty();
    },
  };
}
