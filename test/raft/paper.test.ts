/** The rules of the Raft paper, one test each, named by its sections. */
import { describe, expect, test } from "bun:test";
import type { RaftOptions } from "../../src/raft/config.ts";
import { MemoryLog } from "../../src/raft/memory-log.ts";
import {
  createMessage,
  type Entry,
  emptyConfState,
  emptyData,
  type Message,
  type MessageType,
  type NodeId,
  type Term,
} from "../../src/raft/message.ts";
import { SyncNode } from "../../src/raft/sync-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";

interface Setup {
  readonly voters?: number;
  /** Terms of the entries that are on disk already. */
  readonly log?: readonly Term[];
  readonly term?: Term;
  readonly vote?: NodeId;
  readonly commit?: number;
  readonly seed?: number;
  readonly options?: Partial<RaftOptions>;
}

const electionTicks = 10;

/** Node 1 of a group, with everything it sends at hand. */
class Subject {
  readonly storage = new MemoryLog();
  readonly sync: SyncNode;
  applied: Entry[] = [];

  constructor(setup: Setup = {}) {
    const { voters = 3, log = [], term = log.at(-1) ?? 0, vote = 0, commit = 0 } = setup;
    const ids = Array.from({ length: voters }, (_, position) => position + 1);
    this.storage.saveSnapshot({ index: 0, term: 0, conf: emptyConfState, data: emptyData });
    this.storage.append(entriesOf(log));
    this.storage.setHardState({ term, vote, commit });
    const { storage } = this;
    const initial = { ...storage.initialState(), conf: { ...emptyConfState, voters: ids } };
    storage.initialState = () => initial;
    this.sync = new SyncNode({
      id: 1,
      storage,
      random: new SeededRandom(setup.seed ?? 1),
      electionTicks,
      heartbeatTicks: 1,
      preVote: false,
      checkQuorum: false,
      ...setup.options,
    });
  }

  get state() {
    return this.sync.node.state;
  }

  get log(): Term[] {
    return this.state.log.allEntries().map(({ term }) => term);
  }

  /** Persists, applies, and returns what leaves the node. */
  flush(): Message[] {
    const sent: Message[] = [];
    while (this.sync.node.hasReady()) {
      const batch = this.sync.take();
      if (batch.hard !== undefined) this.storage.setHardState(batch.hard);
      this.storage.append(batch.entries);
      this.applied.push(...batch.committed);
      sent.push(...batch.messages);
      this.sync.advance();
    }
    return sent;
  }

  receive(type: MessageType, from: NodeId, fields: Partial<Message>): Message[] {
    this.sync.node.step(createMessage(type, 1, { ...fields, from }));
    return this.flush();
  }

  timeOut(): Message[] {
    const { term } = this.state;
    const sent: Message[] = [];
    while (this.state.term === term) {
      this.sync.node.tick();
      sent.push(...this.flush());
    }
    return sent;
  }

  lead(): Message[] {
    this.timeOut();
    const { term, tracker } = this.state;
    return tracker.ids.slice(1).flatMap((id) => this.receive("MsgVoteResp", id, { term }));
  }
}

function entriesOf(terms: readonly Term[], from = 1): Entry[] {
  return terms.map((term, position) => ({
    term,
    index: from + position,
    type: "EntryNormal",
    data: emptyData,
  }));
}

describe("[5.1] terms", () => {
  test("a newer term makes a follower of a leader, a candidate and a follower alike", () => {
    const leader = new Subject();
    leader.lead();
    const candidate = new Subject();
    candidate.timeOut();

    for (const subject of [leader, candidate, new Subject()]) {
      subject.receive("MsgApp", 2, { term: 7 });
      expect(subject.state).toMatchObject({ role: "follower", term: 7, leader: 2 });
    }
  });

  test("a message of an older term changes nothing", () => {
    const subject = new Subject({ log: [1, 2], term: 3 });

    subject.receive("MsgApp", 2, { term: 2, index: 1, logTerm: 1, entries: entriesOf([2], 2) });
    subject.receive("MsgVote", 3, { term: 2, index: 9, logTerm: 9 });

    expect(subject.state).toMatchObject({ role: "follower", term: 3, leader: 0, vote: 0 });
    expect(subject.log).toEqual([1, 2]);
  });
});

describe("[5.2] elections", () => {
  test("a node starts as a follower", () => {
    expect(new Subject().state.role).toBe("follower");
  });

  test("a leader sends heartbeats to all others at every interval", () => {
    const subject = new Subject();
    subject.lead();

    subject.sync.node.tick();

    const beats = subject.flush().filter(({ type }) => type === "MsgHeartbeat");
    expect(beats.map(({ to, term }) => [to, term])).toEqual([
      [2, 1],
      [3, 1],
    ]);
  });

  test("a follower that hears nothing enters the next term, votes for itself and asks the others", () => {
    const subject = new Subject({ term: 4 });

    const sent = subject.timeOut();

    expect(subject.state).toMatchObject({ role: "candidate", term: 5, vote: 1 });
    expect(sent.map(({ type, to, term }) => [type, to, term])).toEqual([
      ["MsgVote", 2, 5],
      ["MsgVote", 3, 5],
    ]);
  });

  test("a candidate leads with the votes of a majority, and not with fewer", () => {
    for (const [voters, granted, leads] of [
      [1, 0, true],
      [3, 1, true],
      [3, 0, false],
      [5, 2, true],
      [5, 1, false],
      [4, 2, true],
      [4, 1, false],
    ] as const) {
      const subject = new Subject({ voters });
      subject.timeOut();
      for (let id = 2; id < 2 + granted; id += 1) subject.receive("MsgVoteResp", id, { term: 1 });
      expect([voters, granted, subject.state.role === "leader"]).toEqual([voters, granted, leads]);
    }
  });

  test("a candidate gives up when a majority refuses", () => {
    const subject = new Subject();
    subject.timeOut();

    subject.receive("MsgVoteResp", 2, { term: 1, reject: true });
    subject.receive("MsgVoteResp", 3, { term: 1, reject: true });

    expect(subject.state).toMatchObject({ role: "follower", term: 1 });
  });

  test("[E17] a node votes once in a term, first come first served, also after a restart", () => {
    for (const [vote, from, isGranted] of [
      [0, 2, true],
      [2, 2, true],
      [3, 2, false],
      [1, 2, false],
    ] as const) {
      const subject = new Subject({ term: 1, vote });
      const [answer] = subject.receive("MsgVote", from, { term: 1 });
      expect([vote, from, answer?.reject]).toEqual([vote, from, !isGranted]);
    }
  });

  test("a candidate that hears from the leader of its term follows it", () => {
    const subject = new Subject();
    subject.timeOut();

    subject.receive("MsgApp", 2, { term: 1 });

    expect(subject.state).toMatchObject({ role: "follower", term: 1, leader: 2 });
  });

  test("[E15] timeouts are spread over one to two election timeouts", () => {
    const subject = new Subject();
    const drawn = new Set<number>();
    for (let round = 0; round < 400; round += 1) {
      subject.state.drawElectionTicks();
      drawn.add(subject.state.randomizedElectionTicks);
    }

    expect([...drawn].sort((a, b) => a - b)).toEqual(
      Array.from({ length: electionTicks }, (_, extra) => electionTicks + extra),
    );
  });

  test("[E15] nodes with different seeds seldom time out together", () => {
    let together = 0;
    for (let seed = 1; seed <= 300; seed += 1) {
      const ticks = [1, 2, 3].map((id) => {
        return new Subject({ seed: seed * 3 + id }).state.randomizedElectionTicks;
      });
      const first = Math.min(...ticks);
      if (ticks.filter((count) => count === first).length > 1) together += 1;
    }
    expect(together / 300).toBeLessThan(0.3);
  });
});

describe("[5.3] replication", () => {
  test("a leader appends a proposal and sends it to all others", () => {
    const subject = new Subject({ log: [1], commit: 1 });
    subject.lead();
    subject.receive("MsgAppResp", 2, { term: 2, index: 2 });
    subject.receive("MsgAppResp", 3, { term: 2, index: 2 });

    subject.sync.node.propose([Uint8Array.of(7)]);

    const appends = subject.flush().filter(({ type }) => type === "MsgApp");
    expect(
      appends.map(({ to, index, logTerm, entries }) => [to, index, logTerm, entries.length]),
    ).toEqual([
      [2, 2, 2, 1],
      [3, 2, 2, 1],
    ]);
  });

  test("[E18] an entry is committed once a majority has it", () => {
    for (const [voters, acknowledged, commits] of [
      [1, 0, true],
      [3, 1, true],
      [3, 0, false],
      [5, 2, true],
      [5, 1, false],
    ] as const) {
      const subject = new Subject({ voters });
      subject.lead();
      for (let id = 2; id < 2 + acknowledged; id += 1) {
        subject.receive("MsgAppResp", id, { term: 1, index: 1 });
      }
      expect([voters, subject.state.log.committed]).toEqual([voters, commits ? 1 : 0]);
    }
  });

  test("with an entry everything before it is committed, from other leaders, too", () => {
    for (const log of [[], [1], [1, 2], [1, 1, 2]]) {
      const subject = new Subject({ log });
      subject.lead();
      const { term } = subject.state;

      subject.receive("MsgAppResp", 2, { term, index: log.length + 1 });

      expect(subject.applied.map((entry) => entry.term)).toEqual([...log, term]);
    }
  });

  test("a follower applies what the leader says is committed, and no more than it has", () => {
    const subject = new Subject();

    subject.receive("MsgApp", 2, { term: 1, entries: entriesOf([1, 1]), commit: 1 });
    expect(subject.applied.map(({ index }) => index)).toEqual([1]);
    subject.receive("MsgApp", 2, { term: 1, index: 2, logTerm: 1, commit: 9 });
    expect(subject.applied.map(({ index }) => index)).toEqual([1, 2]);
  });

  test("a follower takes entries only behind an entry that it has", () => {
    for (const [index, logTerm, isTaken, hint] of [
      [0, 0, true, 0],
      [1, 1, true, 0],
      [2, 2, true, 0],
      [1, 2, false, 1],
      [3, 3, false, 2],
    ] as const) {
      const subject = new Subject({ log: [1, 2] });
      const [answer] = subject.receive("MsgApp", 2, { term: 2, index, logTerm });
      expect([index, answer?.reject, answer?.rejectHint]).toEqual([index, !isTaken, hint]);
    }
  });

  test("[R13] a conflicting entry and all after it are replaced", () => {
    for (const [index, logTerm, sent, result] of [
      [2, 2, [3], [1, 2, 3]],
      [1, 1, [3, 4], [1, 3, 4]],
      [0, 0, [1], [1, 2]],
      [0, 0, [3], [3]],
    ] as const) {
      const subject = new Subject({ log: [1, 2], term: 4 });
      subject.receive("MsgApp", 2, {
        term: 4,
        index,
        logTerm,
        entries: entriesOf(sent, index + 1),
      });
      expect(subject.log).toEqual([...result]);
    }
  });

  test("[R20] a leader brings every log of figure 7 in line with its own", () => {
    const leaders = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const followers: readonly (readonly Term[])[] = [
      [1, 1, 1, 4, 4, 5, 5, 6, 6],
      [1, 1, 1, 4],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      [1, 1, 1, 4, 4, 4, 4],
      [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for (const log of followers) {
      const leader = new Subject({ log: leaders, term: 7 });
      const follower = new Subject({ log, term: 7 });
      leader.timeOut();
      const { term } = leader.state;
      // Both are node 1 to themselves; the follower is 2 to the leader, the leader 3 to the follower.
      let messages = leader.receive("MsgVoteResp", 3, { term });
      for (let round = 0; round < 20 && messages.length > 0; round += 1) {
        const answers = messages
          .filter(({ to }) => to === 2)
          .flatMap((message) => follower.receive(message.type, 3, message));
        messages = answers.flatMap((answer) => leader.receive(answer.type, 2, answer));
      }
      expect(follower.log).toEqual([...leaders, term]);
      expect(follower.state.log.committed).toBe(11);
    }
  });
});

describe("[5.4] safety", () => {
  test("a vote request says how far the candidate's log goes", () => {
    const subject = new Subject({ log: [1, 2, 2], term: 3 });

    const requests = subject.timeOut();

    expect(requests.map(({ index, logTerm }) => [index, logTerm])).toEqual([
      [3, 2],
      [3, 2],
    ]);
  });

  test("[E20] no vote for a candidate whose log is older, by term first, then by length", () => {
    for (const [log, logTerm, index, isGranted] of [
      [[1], 1, 1, true],
      [[1], 1, 2, true],
      [[1, 1], 1, 1, false],
      [[1], 2, 1, true],
      [[1], 2, 2, true],
      [[1, 1], 2, 1, true],
      [[2], 1, 1, false],
      [[2], 1, 2, false],
      [[1, 2], 1, 1, false],
    ] as const) {
      const subject = new Subject({ log });
      const [answer] = subject.receive("MsgVote", 2, { term: 3, index, logTerm });
      expect([log, logTerm, index, answer?.reject]).toEqual([log, logTerm, index, !isGranted]);
    }
  });

  test("[R19] only entries of its own term does a leader commit by counting", () => {
    const subject = new Subject({ log: [1, 2] });
    subject.lead();
    const { term } = subject.state;

    subject.receive("MsgAppResp", 2, { term, index: 2 });
    expect(subject.state.log.committed).toBe(0);
    subject.receive("MsgAppResp", 2, { term, index: 3 });
    expect(subject.state.log.committed).toBe(3);
  });

  test("[D7] the leader's own entry counts only when its disk has it", () => {
    const subject = new Subject({ voters: 3 });
    subject.lead();
    subject.sync.node.propose([Uint8Array.of(1)]);

    expect(subject.state.tracker.get(1)?.match).toBe(1);
    subject.flush();
    expect(subject.state.tracker.get(1)?.match).toBe(2);
  });
});

test("[M9 D15] a node whose log lost acknowledged entries stops instead of going on", () => {
  expect(() => new Subject({ log: [1, 1], commit: 3 })).toThrow(
    "rejoin with an empty data directory",
  );
  const subject = new Subject({ log: [1] });
  expect(() => subject.receive("MsgHeartbeat", 2, { term: 1, commit: 5 })).toThrow(
    "lies beyond the log",
  );
});
