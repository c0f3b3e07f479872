import { describe, expect, test } from "bun:test";
import { encodeConfChange, parseNodeChanges } from "../../src/raft/conf-change.ts";
import { RaftConfigError, type RaftOptions } from "../../src/raft/config.ts";
import { MemoryLog } from "../../src/raft/memory-log.ts";
import {
  appendThread,
  createMessage,
  type Entry,
  emptyConfState,
  emptyData,
  type Message,
  type Snapshot,
} from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import { mustSync } from "../../src/raft/ready.ts";
import { SeededRandom } from "../support/seeded-random.ts";

function snapshotAt(index: number, voters = [1, 2, 3]): Snapshot {
  return { index, term: 1, conf: { ...emptyConfState, voters }, data: emptyData };
}

function open(voters: number[], options: Partial<RaftOptions> = {}) {
  const storage = new MemoryLog();
  storage.installSnapshot(snapshotAt(5, voters));
  const node = new RaftNode({
    id: 1,
    storage,
    random: new SeededRandom(7),
    applied: 5,
    ...options,
  });
  return { node, storage };
}

/** Does all work at once and returns what leaves the node. */
function settle({ node, storage }: ReturnType<typeof open>): Message[] {
  const sent: Message[] = [];
  while (node.hasReady()) {
    const { messages, append, apply } = node.takeReady();
    sent.push(...messages);
    if (append?.hard !== undefined) storage.setHardState(append.hard);
    if (append?.snapshot !== undefined) storage.installSnapshot(append.snapshot);
    if (append !== undefined) {
      storage.append(append.entries);
      sent.push(...node.appended(append));
    }
    if (apply !== undefined) node.applied(apply);
  }
  return sent;
}

function lead(voters: number[], options: Partial<RaftOptions> = {}) {
  const host = open(voters, { preVote: false, ...options });
  host.node.campaign();
  settle(host);
  for (const from of voters.slice(1)) {
    host.node.step(createMessage("MsgVoteResp", 1, { from, term: 1 }));
  }
  settle(host);
  return host;
}

const data = Uint8Array.of(1, 2, 3);

describe("[U1] a proposal", () => {
  test("is told where it went", () => {
    const host = lead([1]);

    expect(host.node.propose([data, data])).toEqual({
      kind: "appended",
      term: 1,
      first: 7,
      last: 8,
      refused: undefined,
    });
    settle(host);
    expect(host.node.status()).toMatchObject({ last: 8, committed: 8, applied: 8 });
  });

  test("is dropped where it certainly was not done, with the reason and the leader", () => {
    const follower = open([1, 2]);
    expect(follower.node.propose([data])).toEqual({
      kind: "dropped",
      reason: "noLeader",
      leader: 0,
    });

    follower.node.step(createMessage("MsgHeartbeat", 1, { from: 2, term: 4 }));
    expect(follower.node.propose([data])).toMatchObject({ reason: "notForwarding", leader: 2 });

    const leader = lead([1, 2, 3], { uncommittedBytesMax: 4 });
    leader.node.propose([data]);
    expect(leader.node.propose([data])).toMatchObject({ reason: "tooManyUncommittedBytes" });

    leader.node.transferLeadership(2);
    expect(leader.node.propose([emptyData])).toMatchObject({ reason: "transferring" });
  });

  test("goes to the leader if followers may pass it on", () => {
    const host = open([1, 2], { forwardProposals: true });
    host.node.step(createMessage("MsgHeartbeat", 1, { from: 2, term: 4 }));

    expect(host.node.propose([data])).toEqual({ kind: "forwarded", leader: 2 });
    expect(settle(host).some(({ type, to }) => type === "MsgProp" && to === 2)).toBe(true);
  });

  test("of a membership change that is not possible becomes an empty entry, and says so", () => {
    const host = lead([1]);
    const changes = parseNodeChanges("r1");
    if (typeof changes === "string") throw new Error(changes);

    const result = host.node.proposeConfChange({ transition: "auto", changes, context: emptyData });

    expect(result).toMatchObject({ kind: "appended", refused: "removed all voters" });
    settle(host);
    expect(host.node.status().conf.voters).toEqual([1]);
  });
});

describe("[E17 R11] a promise about the disk", () => {
  test("leaves only when the write it depends on is reported", () => {
    const { node } = open([1, 2, 3]);
    const vote = { from: 2, term: 6, index: 9, logTerm: 5 };
    node.step(createMessage("MsgVote", 1, vote));

    const { messages, append } = node.takeReady();

    expect(messages).toEqual([]);
    expect(append?.hard).toMatchObject({ term: 6, vote: 2 });
    if (append === undefined) throw new Error("a vote is work for the disk");
    expect(mustSync(append)).toBe(true);
    expect(node.appended(append).map(({ type, to }) => [type, to])).toEqual([["MsgVoteResp", 2]]);
  });

  test("[R21] is not released by writes that are reported twice or out of order", () => {
    const { node, storage } = open([1], { preVote: false });
    node.campaign();
    settle({ node, storage });
    node.propose([data]);
    const first = node.takeReady().append;
    node.propose([data]);
    const second = node.takeReady().append;
    if (first === undefined || second === undefined) throw new Error("proposals are written");

    expect(() => node.appended(second)).toThrow("in the order of handing out");
  });

  test("needs no sync for a commit index alone, and needs one for a snapshot", () => {
    const { node } = open([1, 2, 3]);
    node.step(createMessage("MsgHeartbeat", 1, { from: 2, term: 1 }));
    settle({ node, storage: new MemoryLog() });

    node.step(createMessage("MsgSnap", 1, { from: 2, term: 1, snapshot: snapshotAt(9) }));

    const { append } = node.takeReady();
    expect(append && mustSync(append)).toBe(true);
    expect(append?.newTermOrVote).toBe(false);
  });
});

describe("a message from the network", () => {
  const entry = (index: number, term: number): Entry => ({
    index,
    term,
    type: "EntryNormal",
    data: emptyData,
  });

  test("that only the node itself may send is refused", () => {
    const { node } = open([1, 2, 3]);

    for (const type of ["MsgHup", "MsgBeat", "MsgCheckQuorum", "MsgStorageApplyResp"] as const) {
      const result = node.step(createMessage(type, 1, { from: 2 }));
      expect(result).toEqual({ kind: "dropped", reason: "localMessage" });
    }
    expect(node.step(createMessage("MsgStorageAppendResp", 1, { from: appendThread }))).toEqual({
      kind: "ok",
    });
  });

  test("that answers on behalf of a stranger is refused", () => {
    const { node } = lead([1, 2, 3]);

    const result = node.step(createMessage("MsgAppResp", 1, { from: 9, term: 1, index: 6 }));

    expect(result).toEqual({ kind: "dropped", reason: "unknownPeer" });
  });

  test("that cannot mean anything is refused before it can trip anything", () => {
    const { node } = open([1, 2, 3]);
    const malformed: Partial<Message>[] = [
      { entries: [entry(7, 1)], index: 5, logTerm: 1, term: 1 },
      { entries: [entry(6, 2), entry(7, 1)], index: 5, logTerm: 1, term: 2 },
      { entries: [entry(6, 3)], index: 5, logTerm: 1, term: 2 },
      { term: -1 },
      { term: 1.5 },
      { term: 1, commit: Number.NaN },
    ];

    for (const fields of malformed) {
      const result = node.step(createMessage("MsgApp", 1, { ...fields, from: 2 }));
      expect(result).toEqual({ kind: "dropped", reason: "malformed" });
    }
    expect(node.step(createMessage("MsgSnap", 1, { from: 2, term: 1 })).kind).toBe("dropped");
    expect(node.step(createMessage("MsgProp", 1, { from: 2 })).kind).toBe("dropped");
    expect(node.status().term).toBe(0);
  });

  test("with a membership change that cannot be read does no harm to the leader", () => {
    const host = lead([1, 2, 3]);
    const damaged: Entry = { ...entry(0, 0), type: "EntryConfChangeV2", data: Uint8Array.of(9, 9) };

    host.node.step(createMessage("MsgProp", 1, { from: 2, entries: [damaged] }));

    expect(host.node.state.log.allEntries().at(-1)).toMatchObject({ type: "EntryNormal" });
  });
});

describe("[D5] after a restart", () => {
  test("what was applied or compacted counts as committed, whatever the commit index on disk", () => {
    const { node, storage } = lead([1]);
    node.propose([data, data, data]);
    settle({ node, storage });
    storage.setHardState({ term: 1, vote: 1, commit: 5 });

    const again = new RaftNode({ id: 1, storage, random: new SeededRandom(1), applied: 8 });

    expect(again.status()).toMatchObject({ committed: 8, applied: 8, last: 9 });
    storage.compact(9);
    expect(new RaftNode({ id: 1, storage, random: new SeededRandom(1) }).status().committed).toBe(
      9,
    );
  });
});

test("[M4] a change that an incoming snapshot covers is not applied on top of it", () => {
  const host = open([1, 2, 3]);
  const changes = parseNodeChanges("v4");
  if (typeof changes === "string") throw new Error(changes);
  const change = encodeConfChange({ transition: "auto", changes, context: emptyData });
  const entry: Entry = { index: 6, term: 1, type: "EntryConfChangeV2", data: change };
  host.node.step(
    createMessage("MsgApp", 1, {
      from: 2,
      term: 1,
      index: 5,
      logTerm: 1,
      entries: [entry],
      commit: 6,
    }),
  );
  const { append } = host.node.takeReady();
  host.storage.append([entry]);
  if (append !== undefined) host.node.appended(append);
  const { apply } = host.node.takeReady();
  expect(apply?.entries).toEqual([entry]);

  const snapshot = snapshotAt(8, [1, 2, 3, 4]);
  host.node.step(createMessage("MsgSnap", 1, { from: 2, term: 1, snapshot }));

  expect(host.node.applyConfChange(entry)).toBeUndefined();
  settle(host);
  expect(host.node.status()).toMatchObject({ applied: 8, conf: { voters: [1, 2, 3, 4] } });
});

test("settings that cannot work are refused with the value and a remedy", () => {
  const refuses = (options: Partial<RaftOptions>, text: string) =>
    expect(() => open([1], options)).toThrow(text);

  expect(() => open([1], { id: 0 })).toThrow(RaftConfigError);
  refuses({ id: 0 }, "id is 0");
  refuses({ heartbeatTicks: 5, electionTicks: 5 }, "use more than heartbeatTicks (5)");
  refuses({ inflightMessagesMax: 0 }, "inflightMessagesMax");
  refuses({ messageBytesMax: 100, inflightBytesMax: 10 }, "at least messageBytesMax (100)");
  refuses({ readMode: "lease", checkQuorum: false }, "turn checkQuorum on");
});
