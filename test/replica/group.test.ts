/** Groups that talk to each other directly, over logs in memory, while time is moved by hand. */
import { describe, expect, test } from "bun:test";
import { emptyConfState, type Message } from "../../src/raft/message.ts";
import { Group, type GroupOptions } from "../../src/replica/group.ts";
import { MemoryLogFile } from "../support/memory-log-file.ts";
import { ManualTime } from "../support/node-rig.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { memoryLogger } from "../support/system-ports.ts";

const conf = { ...emptyConfState, voters: [1, 2, 3] };

function createGroups(time: ManualTime, more: Pick<GroupOptions, "doze"> = {}) {
  const groups = new Map<number, Group>();
  const logs = new Map([1, 2, 3].map((id) => [id, new MemoryLogFile()]));
  const random = new SeededRandom(7919);
  /** Messages for which it says so are kept back. */
  const held: Message[] = [];
  const hold = { isHeld: (_message: Message) => false };
  const sent = { count: 0 };
  const send = (to: number, messages: readonly Message[]) => {
    sent.count += messages.length;
    held.push(...messages.filter(hold.isHeld));
    const passed = messages.filter((message) => !hold.isHeld(message));
    queueMicrotask(() => groups.get(to)?.receive(passed));
  };
  /** Also in place of the process that was there. */
  const start = (id: number) => {
    groups.get(id)?.stop();
    const group = new Group(
      {
        log: logs.get(id) ?? new MemoryLogFile(),
        timers: time,
        random,
        logger: memoryLogger(),
        send,
        sendSnapshot: (_to, _message, done) => done(false),
        onEntry: () => {},
        onConf: () => {},
        onSoft: () => {},
        onLogFault: () => {},
        onLogRecovered: () => {},
      },
      { ...more, group: 0, nodeId: id, tickMs: 50, start: { applied: 0, conf } },
    );
    groups.set(id, group);
    group.start();
    return group;
  };
  for (const id of logs.keys()) start(id);
  return { groups, logs, start, held, hold, sent };
}

async function passUntil(time: ManualTime, isDone: () => boolean): Promise<number> {
  for (let ms = 0; ms < 60_000; ms += 50) {
    if (isDone()) return ms;
    await time.pass(50);
  }
  throw new Error("a minute was not enough");
}

test("a leader whose log does not answer hands its role over, and writes go on", async () => {
  const time = new ManualTime();
  const { groups, logs } = createGroups(time);
  const leader = () => [...groups].find(([, group]) => group.isReady)?.[0];
  await passUntil(time, () => leader() !== undefined);
  const stuck = leader() ?? 0;

  const log = logs.get(stuck);
  if (log !== undefined) log.isStalled = true;
  groups.get(stuck)?.propose(new TextEncoder().encode("1"));
  const tookMs = await passUntil(time, () => leader() !== undefined && leader() !== stuck);

  expect(tookMs).toBeLessThanOrEqual(4000);
  const next = groups.get(leader() ?? 0);
  const proposed = next?.propose(new TextEncoder().encode("2"));
  expect(proposed?.kind).toBe("appended");
  const index = proposed?.kind === "appended" ? proposed.last : 0;
  await passUntil(time, () => (next?.appliedIndex ?? 0) >= index);
});

test("a leader whose disk is full hands its role over at once to who has stored what it could not", async () => {
  const time = new ManualTime();
  const { groups, logs } = createGroups(time);
  const leader = () => [...groups].find(([, group]) => group.isReady)?.[0];
  await passUntil(time, () => leader() !== undefined);
  const full = leader() ?? 0;

  const log = logs.get(full);
  if (log !== undefined) log.isFull = true;
  const proposed = groups.get(full)?.propose(new TextEncoder().encode("1"));
  const tookMs = await passUntil(time, () => leader() !== undefined && leader() !== full);

  expect(tookMs).toBeLessThanOrEqual(200);
  // What the full node could not store is stored by the others, so it is not lost.
  const index = proposed?.kind === "appended" ? proposed.last : 0;
  const next = groups.get(leader() ?? 0);
  await passUntil(time, () => (next?.appliedIndex ?? 0) > index);
});

test("where all disks are full nobody passes the role around", async () => {
  const time = new ManualTime();
  const { groups, logs } = createGroups(time);
  const leader = () => [...groups].find(([, group]) => group.isReady)?.[0];
  await passUntil(time, () => leader() !== undefined);
  const first = groups.get(leader() ?? 0);
  const term = first?.state.term;

  for (const log of logs.values()) log.isFull = true;
  first?.propose(new TextEncoder().encode("1"));
  for (let ms = 0; ms < 900; ms += 50) await time.pass(50);

  expect(first?.state.role).toBe("leader");
  expect([...groups.values()].map(({ state }) => state.term)).toEqual(
    [term, term, term].map(Number),
  );
});

test("[RL2] a read after a restart is not answered with what an earlier process of the node had asked for", async () => {
  const time = new ManualTime();
  const { groups, start, held, hold } = createGroups(time);
  const leader = () => [...groups].find(([, group]) => group.isReady)?.[0];
  await passUntil(time, () => leader() !== undefined);
  const id = [1, 2, 3].find((each) => each !== leader()) ?? 0;
  hold.isHeld = ({ type, to }) => type === "MsgReadIndexResp" && to === id;
  groups
    .get(id)
    ?.readBarrier()
    .catch(() => undefined);
  await passUntil(time, () => held.length > 0);
  const late = held.splice(0);
  const restarted = start(id);
  await passUntil(time, () => restarted.state.leader === leader());

  let isAnswered = false;
  const read = restarted.readBarrier().then(() => {
    isAnswered = true;
  });
  await passUntil(time, () => held.length > 0);
  restarted.receive(late);
  await time.pass(50);

  expect(isAnswered).toBe(false);
  restarted.receive(held);
  await read;
});

describe("groups that doze", () => {
  const doze = { idle: 60, beat: 40, patience: 100 };
  const idle = async () => {
    const time = new ManualTime();
    const rig = createGroups(time, { doze });
    const leaderId = () => [...rig.groups].find(([, group]) => group.isReady)?.[0] ?? 0;
    await passUntil(time, () => leaderId() !== 0);
    await time.pass(5000);
    return { ...rig, time, leaderId };
  };

  test("an idle group sends a few heartbeats instead of many, and takes a write at once", async () => {
    const { time, groups, sent, leaderId } = await idle();
    const term = groups.get(leaderId())?.state.term;

    const before = sent.count;
    await time.pass(10_000);
    const whileIdle = sent.count - before;
    groups.get(leaderId())?.propose(new TextEncoder().encode("1"));
    await time.pass(100);

    // Ten a second to each of two, and as many answers, when it is awake.
    expect(whileIdle).toBeLessThanOrEqual(24);
    expect([...groups.values()].map((group) => group.state.log.committed)).toEqual([2, 2, 2]);
    expect(groups.get(leaderId())?.state.term).toBe(term);
  });

  test("a leader that falls silent is replaced, also when nobody is told that it cannot be reached", async () => {
    const { time, hold, groups, leaderId } = await idle();
    const gone = leaderId();
    hold.isHeld = (message) => message.from === gone || message.to === gone;

    const ms = await passUntil(time, () =>
      [...groups].some(([id, group]) => id !== gone && group.isReady),
    );

    expect(ms).toBeLessThan(9000);
  });

  test("a follower that is told that its leader is gone does not wait", async () => {
    const { time, hold, groups, leaderId } = await idle();
    const gone = leaderId();
    hold.isHeld = (message) => message.from === gone || message.to === gone;
    for (const [id, group] of groups) if (id !== gone) group.reportUnreachable(gone);

    const ms = await passUntil(time, () =>
      [...groups].some(([id, group]) => id !== gone && group.isReady),
    );

    expect(ms).toBeLessThan(3000);
  });

  test("a leader that is cut off from both others steps down although it dozes", async () => {
    const { time, hold, groups, leaderId } = await idle();
    const alone = leaderId();
    hold.isHeld = (message) => message.from === alone || message.to === alone;

    await passUntil(time, () => groups.get(alone)?.state.role !== "leader");
  });

  test("a linearizable read at a follower wakes the leader", async () => {
    const { groups, leaderId, time } = await idle();
    const follower = [...groups].find(([id]) => id !== leaderId())?.[1];

    const read = follower?.readBarrier();
    await time.pass(200);

    await read;
  });
});
