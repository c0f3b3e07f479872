/** What each answer of another node proves to one that hears of no leader. */
import { expect, test } from "bun:test";
import type { ClusterSeen } from "../../src/commands/server/join.ts";
import { isLed, LeaderWatch } from "../../src/commands/server/leader-watch.ts";
import { MemoryLog } from "../../src/raft/memory-log.ts";
import { createMessage, emptyConfState, emptyData } from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import { manualTime } from "../support/peer-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const membersOf = (...uuids: string[]) => uuids.map((uuid) => ({ uuid }));
const own: ClusterSeen = {
  clusterId: "c",
  recoveryEpoch: 0,
  appliedIndex: 50,
  members: membersOf("me", "one", "two"),
  leads: false,
  leaderUrl: undefined,
};
const without = { ...own, members: membersOf("one", "two") };
const later = { ...without, appliedIndex: 60 };
const leading = { ...own, leads: true, leaderUrl: "one" };

/** After so many looks: who was said to have removed this node, who to lead without reaching it, and who was asked. */
async function watch(
  answers: Readonly<Record<string, ClusterSeen | Error>>,
  {
    looks = 3,
    isLedAt = (_look: number): boolean => false,
    self = own,
    known = Object.keys(answers),
  } = {},
) {
  const time = manualTime();
  const asked: string[] = [];
  const removed: string[] = [];
  const unreached: string[] = [];
  let look = 0;
  const watching = new LeaderWatch({
    uuid: "me",
    timers: time.timers,
    isLed: () => isLedAt(look),
    own: () => self,
    addresses: () => known,
    resolve: async (address) => {
      if (address === "nowhere") throw new Error("no such name");
      return [address];
    },
    ask: async (url) => {
      asked.push(url);
      const answer = answers[url];
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    },
    onRemoved: (url) => removed.push(url),
    onUnreached: (url) => unreached.push(url),
  });
  watching.start();
  for (look = 1; look <= looks; look++) {
    time.advance(2000);
    await new Promise(setImmediate);
  }
  watching.stop();
  return { removed, unreached, asked };
}

test("a node is removed when another one says so twice", async () => {
  expect((await watch({ one: later }, { looks: 1 })).removed).toEqual([]);
  expect((await watch({ one: later })).removed).toEqual(["one"]);
});

test("nobody is asked while there is a leader", async () => {
  expect((await watch({ one: later }, { isLedAt: () => true })).asked).toEqual([]);
});

test("who does not answer, or has not come so far, leaves the word to others", async () => {
  const silent = new Error("unreachable");
  expect((await watch({ one: silent, two: without })).removed).toEqual(["two"]);
  expect((await watch({ one: own, two: later })).removed).toEqual(["two"]);
});

test.each([
  ["lists it", { ...own, appliedIndex: 60 }],
  ["has applied less, so it may not know of its coming yet", { ...without, appliedIndex: 49 }],
  ["is of another cluster", { ...later, clusterId: "d" }],
  [
    "is of the cluster after a recovery, which refuses it by itself",
    { ...later, recoveryEpoch: 1 },
  ],
])("an answer is no proof when the other %s", async (_, shown) => {
  expect((await watch({ one: shown })).removed).toEqual([]);
});

test("a node that does not know yet that it is a member proves nothing by it", async () => {
  const fresh = { ...own, appliedIndex: 0, members: membersOf("one", "two") };
  expect((await watch({ one: later }, { self: fresh })).removed).toEqual([]);
});

test("a leader that does not reach this node is told of once, until this node is led again", async () => {
  expect((await watch({ one: leading }, { looks: 1 })).unreached).toEqual([]);
  expect((await watch({ one: leading }, { looks: 9 })).unreached).toEqual(["one"]);
  const isLedAt = (look: number) => look === 4;
  expect((await watch({ one: leading }, { looks: 9, isLedAt })).unreached).toEqual(["one", "one"]);
});

test("whoever is said to lead is asked itself, and believed only then", async () => {
  const follower = { ...own, leaderUrl: "one" };
  const answers = { two: follower, one: leading };
  expect(await watch(answers, { looks: 2, known: ["two"] })).toMatchObject({
    asked: ["two", "one", "two", "one"],
    unreached: ["one"],
  });
  expect((await watch({ two: follower, one: new Error("gone") })).unreached).toEqual([]);
});

test("a leader of another cluster, or of one that this node is no member of, is none of this node's", async () => {
  for (const other of [
    { ...leading, clusterId: "d" },
    { ...leading, recoveryEpoch: 1 },
    { ...leading, members: membersOf("one", "two"), appliedIndex: 0 },
  ]) {
    expect((await watch({ one: other })).unreached).toEqual([]);
  }
});

test("a name that leads nowhere leaves the word to others", async () => {
  const known = ["nowhere", "one"];
  expect(await watch({ one: leading }, { looks: 2, known })).toMatchObject({
    asked: ["one", "one"],
    unreached: ["one"],
  });
  expect((await watch({}, { known: ["nowhere"] })).asked).toEqual([]);
});

test("a learner is led for as long as something comes from its leader, and not for ever after that", () => {
  const storage = new MemoryLog();
  const conf = { ...emptyConfState, voters: [1], learners: [2] };
  storage.installSnapshot({ index: 5, term: 1, conf, data: emptyData });
  const learner = new RaftNode({ id: 2, storage, random: new SeededRandom(1), applied: 5 });
  const heartbeat = createMessage("MsgHeartbeat", 2, { from: 1, term: 1, commit: 5 });
  expect(isLed(learner.state)).toBe(false);

  learner.step(heartbeat);
  for (let tick = 1; tick < 2 * learner.state.config.electionTicks; tick++) learner.tick();
  expect(isLed(learner.state)).toBe(true);
  learner.tick();
  expect(learner.state.leader).toBe(1);
  expect(isLed(learner.state)).toBe(false);
  learner.step(heartbeat);
  expect(isLed(learner.state)).toBe(true);
});
