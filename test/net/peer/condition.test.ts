import { expect, test } from "bun:test";
import { connectAll, manualTime, openPeerNode } from "../../support/peer-node.ts";

test("[P28] a node that drains is known for it without waiting for a ping", async () => {
  let isDraining = false;
  const { clock, timers } = manualTime();
  using one = openPeerNode(1, {
    clock,
    timers,
    condition: () => ({ diskFreeBytes: 1, dataBytes: 1, isDraining, lacksBlobs: false }),
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
      ...{ isDraining, lacksBlobs: !isDraining },
    }),
  });
  using two = openPeerNode(2);
  connectAll([one, two]);

  await two.until("it is told", () => two.peer(1).condition !== undefined);
  const first = two.peer(1).condition;
  isDraining = true;
  await two.until("it is told again", () => two.peer(1).condition?.isDraining === true);

  const numbers = { diskFreeBytes: 2 ** 40, dataBytes: 17 };
  expect(first).toEqual({ ...numbers, isDraining: false, lacksBlobs: true });
  expect(one.peer(2).condition).toBeUndefined();
});
