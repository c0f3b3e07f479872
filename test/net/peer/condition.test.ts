import { expect, test } from "bun:test";
import { ByteReader } from "../../../src/net/peer/bytes.ts";
import { encodeCondition, readCondition } from "../../../src/net/peer/condition.ts";
import { connectAll, manualTime, openPeerNode } from "../../support/peer-node.ts";

test("[P28] a node that drains is known for it without waiting for a ping", async () => {
  let isDraining = false;
  const { clock, timers } = manualTime();
  using one = openPeerNode(1, {
    clock,
    timers,
    condition: () => ({
      diskFreeBytes: 1,
      dataBytes: 1,
      isDraining,
      lacksBlobs: false,
      clockMs: 0,
      appliedIndexes: [],
    }),
  });
  using two = openPeerNode(2);
  connectAll([one, two]);
  await one.until("it is connected", () => one.peer(2).isConnected);

  isDraining = true;
  one.transport.tellCondition();

  await two.until("it is told at once", () => two.peer(1).condition?.isDraining === true);
});

test("[P28] how a node is reaches the others with its pings", async () => {
  let isDraining = false;
  using one = openPeerNode(1, {
    condition: () => ({
      ...{ diskFreeBytes: 2 ** 40, dataBytes: 17 },
      ...{ isDraining, lacksBlobs: !isDraining, clockMs: Date.now() + 90_000 },
      appliedIndexes: [7, 2 ** 40],
    }),
  });
  using two = openPeerNode(2);
  connectAll([one, two]);

  await two.until("it is told", () => two.peer(1).condition !== undefined);
  const first = two.peer(1).condition;
  isDraining = true;
  await two.until("it is told again", () => two.peer(1).condition?.isDraining === true);

  const numbers = { diskFreeBytes: 2 ** 40, dataBytes: 17, appliedIndexes: [7, 2 ** 40] };
  expect(first).toMatchObject({ ...numbers, isDraining: false, lacksBlobs: true });
  const { clockSkewMs = 0 } = two.peer(1);
  expect(Math.abs(clockSkewMs - 90_000)).toBeLessThan(5000);
  expect(one.peer(2).condition).toBeUndefined();
});

test("[P28] older versions say nothing of their clock or state, and skip what newer ones say", () => {
  const basis = { diskFreeBytes: 1, dataBytes: 2, isDraining: true, lacksBlobs: false };
  const told = { ...basis, appliedIndexes: undefined };
  const read = (bytes: Uint8Array) => readCondition(new ByteReader(bytes));
  expect(read(encodeCondition({ ...told, clockMs: undefined }))).toEqual({
    ...told,
    clockMs: undefined,
  });
  expect(read(encodeCondition({ ...told, clockMs: 1_800_000_000_000.4 }))).toEqual({
    ...told,
    clockMs: 1_800_000_000_000,
  });
  const whole = { ...told, clockMs: 7, appliedIndexes: [0, 300, 2 ** 50] };
  expect(read(encodeCondition(whole))).toEqual(whole);
});

test("[P28] what is told late makes a clock seem to be behind only until it is told in time", async () => {
  let lateMs = 5000;
  let told = 0;
  using one = openPeerNode(1, {
    condition: () => {
      told++;
      return {
        ...{ diskFreeBytes: 1, dataBytes: 1, isDraining: false, lacksBlobs: false },
        clockMs: Date.now() - lateMs,
        appliedIndexes: undefined,
      };
    },
  });
  using two = openPeerNode(2);
  connectAll([one, two]);
  await two.until("it seems to be behind", () => (two.peer(1).clockSkewMs ?? 0) < -4000);

  lateMs = 0;
  one.transport.tellCondition();
  await two.until("it is not", () => (two.peer(1).clockSkewMs ?? -5000) > -1000);
  lateMs = 5000;
  const inTime = told;
  while ((two.peer(1).clockSkewMs ?? 0) > -4000) {
    one.transport.tellCondition();
    await new Promise(setImmediate);
  }
  // The last five count.
  expect(told - inTime).toBeGreaterThanOrEqual(5);
});
