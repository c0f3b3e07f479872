import { expect, test } from "bun:test";
import { createMessage } from "../../../src/raft/message.ts";
import { connectAll, openPeerNode } from "../../support/peer-node.ts";

const data = (text: string) => new TextEncoder().encode(text);

test("[P20] two nodes exchange messages of several groups in order", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2);
  connectAll([one, two]);

  const entry = { term: 3, index: 7, type: "EntryNormal" as const, data: data("work") };
  one.transport.send(2, 1, [createMessage("MsgApp", 2, { from: 1, term: 3, entries: [entry] })]);
  one.transport.send(2, 9, [createMessage("MsgHeartbeat", 2, { from: 1, term: 4, commit: 6 })]);
  two.transport.send(1, 1, [createMessage("MsgAppResp", 1, { from: 2, term: 3, index: 7 })]);
  await two.until("two messages came", () => two.deliveries.length === 2);
  await one.until("one message came", () => one.deliveries.length === 1);

  expect(two.deliveries.map(({ group, from }) => [group, from])).toEqual([
    [1, 1],
    [9, 1],
  ]);
  expect(two.deliveries[0]?.message).toEqual(
    createMessage("MsgApp", 2, { from: 1, term: 3, entries: [entry] }),
  );
  expect(one.deliveries[0]?.message.type).toBe("MsgAppResp");
});
