/** Who was removed ends, and nobody else does: what each answer of another node proves. */
import { expect, test } from "bun:test";
import type { MembersShown } from "../../src/commands/server/join.ts";
import { RemovalWatch } from "../../src/commands/server/removal-watch.ts";
import { manualTime } from "../support/peer-node.ts";

const own: MembersShown = {
  clusterId: "c",
  recoveryEpoch: 0,
  appliedIndex: 50,
  uuids: ["me", "one", "two"],
};
const without = { ...own, uuids: ["one", "two"] };
const later = { ...without, appliedIndex: 60 };

/** After so many looks: who was said to have removed this node, and who was asked. */
async function watch(
  answers: Readonly<Record<string, MembersShown | Error>>,
  { looks = 3, isLed = false, self = own } = {},
) {
  const time = manualTime();
  const asked: string[] = [];
  const removed: string[] = [];
  const watching = new RemovalWatch({
    uuid: "me",
    timers: time.timers,
    isLed: () => isLed,
    own: () => self,
    urls: () => Object.keys(answers),
    ask: async (url) => {
      asked.push(url);
      const answer = answers[url];
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    },
    onRemoved: (url) => removed.push(url),
  });
  watching.start();
  for (let look = 0; look < looks; look++) {
    time.advance(2000);
    await new Promise(setImmediate);
  }
  watching.stop();
  return { removed, asked };
}

test("a node is removed when another one says so twice", async () => {
  expect((await watch({ one: later }, { looks: 1 })).removed).toEqual([]);
  expect((await watch({ one: later })).removed).toEqual(["one"]);
});

test("nobody is asked while there is a leader", async () => {
  expect((await watch({ one: later }, { isLed: true })).asked).toEqual([]);
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
  const fresh = { ...own, appliedIndex: 0, uuids: ["one", "two"] };
  expect((await watch({ one: later }, { self: fresh })).removed).toEqual([]);
});
