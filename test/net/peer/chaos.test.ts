import { expect, test } from "bun:test";
import { createMessage } from "../../../src/raft/message.ts";
import { openFaultyProxy } from "../../support/faulty-proxy.ts";
import { manualTime, openPeerNode } from "../../support/peer-node.ts";

/** A small generator of chance with a seed, so that a failure can be repeated. */
function chanceOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Content that follows from the index, so that nothing needs to be remembered to check it. */
function dataOf(index: number): Uint8Array {
  return new Uint8Array((index * 37) % 3000).fill(index % 251);
}

test.each([1, 2, 3])(
  "[P20] [P2] on a network that cuts, holds, delays and corrupts, what arrives is right and in order (seed %d)",
  async (seed) => {
    const chance = chanceOf(seed);
    const time = manualTime();
    using one = openPeerNode(1, time);
    using two = openPeerNode(2);
    await using proxy = await openFaultyProxy(two.port);
    one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
    let index = 0;
    const send = () => {
      index += 1;
      const entries = [{ term: 1, index, type: "EntryNormal" as const, data: dataOf(index) }];
      one.transport.send(2, 1, [createMessage("MsgApp", 2, { from: 1, index, entries })]);
    };
    const corrupt = (chunk: Uint8Array) => {
      const at = chance(chunk.length);
      chunk[at] = (chunk[at] ?? 0) ^ (1 + chance(255));
    };
    const spoil: readonly (() => void)[] = [
      () => proxy.cut(),
      () => proxy.set({ toTarget: { corrupt } }),
      () => proxy.set({ toCaller: { corrupt } }),
      () => proxy.set({ toTarget: { delayMs: chance(5) } }),
      () => proxy.set({ toTarget: { hold: true } }),
      () => proxy.set({ refuse: true }),
    ];

    for (let round = 0; round < 12; round += 1) {
      spoil[chance(spoil.length)]?.();
      for (let left = chance(200); left > 0; left -= 1) {
        send();
        // Now and then the sockets get their turn, in the middle of it.
        if (chance(10) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      proxy.set({});
      const before = two.deliveries.length;
      await two.until("something came again", () => {
        send();
        time.advance(20);
        return two.deliveries.length > before;
      });
    }

    let previous = 0;
    for (const { message } of two.deliveries) {
      expect(message.index).toBeGreaterThan(previous);
      previous = message.index;
      expect(message.entries[0]?.data).toEqual(dataOf(message.index));
    }
    expect(two.deliveries.length).toBeGreaterThan(100);
  },
);
