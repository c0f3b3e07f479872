import type { Member } from "../../src/engine/state.ts";
import { encodeConfChange } from "../../src/raft/conf-change.ts";
import { emptyData, type NodeId } from "../../src/raft/message.ts";
import { toLogEntry } from "../../src/replica/raft-log.ts";
import { writeWork } from "./disk.ts";
import { describeMachine, emptyMachine, type MachineImage } from "./machine.ts";

export function uuidOf(founder: NodeId): string {
  return `machine ${founder}`;
}

/** The records of those who found the cluster. */
export function foundingMembers(ids: readonly NodeId[]): readonly Member[] {
  return ids.map((id) => ({ id, ...describeMachine(uuidOf(id)), standby: false }));
}

/** The log that makes these nodes the voters, committed by decree: there was nobody before. */
export function foundingMachine(ids: readonly NodeId[]): MachineImage {
  const machine = emptyMachine(foundingMembers(ids));
  const entries = ids.map((id, i) =>
    toLogEntry({
      term: 1,
      index: i + 1,
      type: "EntryConfChangeV2",
      data: encodeConfChange({
        transition: "auto",
        changes: [{ kind: "addVoter", id }],
        context: emptyData,
      }),
    }),
  );
  const hardState = { term: 1, vote: "0", commit: ids.length };
  writeWork(machine.log, { group: 0, entries, hardState });
  return machine;
}
