import { encodeConfChange } from "../../src/raft/conf-change.ts";
import { emptyData, type NodeId } from "../../src/raft/message.ts";
import { toLogEntry } from "../../src/replica/raft-log.ts";
import { emptyMachine, type MachineImage } from "./node.ts";

/** The log that makes these nodes the voters, committed by decree: there was nobody before. */
export function foundingMachine(ids: readonly NodeId[]): MachineImage {
  const machine = emptyMachine();
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
  machine.log.entries = entries;
  machine.log.hardState = { term: 1, vote: "0", commit: ids.length };
  return machine;
}
