import { expect, test } from "bun:test";
import fc from "fast-check";
import { MessageQueue } from "../../../src/net/peer/queue.ts";
import { createMessage, type MessageType } from "../../../src/raft/message.ts";

/** One of `type`, told apart by `token`. */
const message = (type: MessageType, token: number) => createMessage(type, 2, { from: 1, token });

function tokens(queue: MessageQueue, bytesMax = 1_000_000): number[] {
  return queue.take(bytesMax).flatMap((run) => run.messages.map(({ token }) => token));
}

test("[P25] a full queue lets the oldest repeatable message go first", () => {
  const queue = new MessageQueue(3, 1_000_000);
  const lost = [
    queue.push(1, message("MsgTimeoutNow", 1)),
    queue.push(1, message("MsgApp", 2)),
    queue.push(1, message("MsgHeartbeat", 3)),
    queue.push(1, message("MsgApp", 4)),
  ];

  expect(lost).toEqual([0, 0, 0, 1]);
  expect(tokens(queue)).toEqual([1, 3, 4]);
});

test("[P25] when nothing may give way, the new message is lost", () => {
  const queue = new MessageQueue(2, 1_000_000);
  queue.push(1, message("MsgProp", 1));
  queue.push(1, message("MsgTimeoutNow", 2));

  expect(queue.push(1, message("MsgProp", 3))).toBe(1);
  expect(tokens(queue)).toEqual([1, 2]);
});

test("[P25] a message larger than the whole queue is lost and costs the others nothing", () => {
  const queue = new MessageQueue(10, 1000);
  queue.push(1, message("MsgApp", 1));
  const data = new Uint8Array(2000);
  const entries = [{ term: 1, index: 1, type: "EntryNormal" as const, data }];

  expect(queue.push(1, createMessage("MsgApp", 2, { entries }))).toBe(1);
  expect(tokens(queue)).toEqual([1]);
});

test("[P21] neighbours of one group are taken as one run, and never more than fits", () => {
  const queue = new MessageQueue(10, 1_000_000);
  for (const [group, token] of [
    [1, 1],
    [1, 2],
    [2, 3],
    [1, 4],
  ] as const) {
    queue.push(group, message("MsgHeartbeat", token));
  }

  const first = queue.take(3 * 128);

  expect(first.map(({ group, messages }) => [group, messages.map(({ token }) => token)])).toEqual([
    [1, [1, 2]],
    [2, [3]],
  ]);
  expect(tokens(queue, 1)).toEqual([4]);
  expect(queue.take(1)).toEqual([]);
});

test("[P25] any history of pushes and takes keeps the bounds and behaves like a plain list", () => {
  const countMax = 5;
  const bytesMax = 3000;
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("push" as const),
      type: fc.constantFrom<MessageType>("MsgApp", "MsgProp", "MsgHeartbeat"),
      bytes: fc.nat(1500),
    }),
    fc.record({ kind: fc.constant("take" as const), bytes: fc.nat(2000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new MessageQueue(countMax, bytesMax);
      let model: { token: number; bytes: number; type: MessageType }[] = [];
      const total = () => model.reduce((sum, item) => sum + item.bytes, 0);
      for (const [token, { kind, bytes, ...rest }] of steps.entries()) {
        if (kind === "take") {
          let taken = 0;
          const wanted: number[] = [];
          for (const item of model) {
            if (wanted.length > 0 && taken + item.bytes > bytes) break;
            taken += item.bytes;
            wanted.push(item.token);
          }
          model = model.slice(wanted.length);
          expect(tokens(queue, bytes)).toEqual(wanted);
          continue;
        }
        const type = "type" in rest ? rest.type : "MsgApp";
        const before = queue.bytes;
        const entries = [
          { term: 1, index: 1, type: "EntryNormal" as const, data: new Uint8Array(bytes) },
        ];
        const empty = new MessageQueue(1, 10_000);
        empty.push(1, createMessage(type, 2, { token, entries }));
        const weight = empty.bytes;
        let lost = queue.push(1, createMessage(type, 2, { token, entries }));
        while (model.length >= countMax || total() + weight > bytesMax) {
          const at = model.findIndex((item) => item.type !== "MsgProp");
          lost -= 1;
          if (at === -1) break;
          model.splice(at, 1);
        }
        if (model.length < countMax && total() + weight <= bytesMax) {
          model.push({ token, bytes: weight, type });
        }
        expect(lost).toBe(0);
        expect([queue.count, queue.bytes]).toEqual([model.length, total()]);
        expect(Math.max(before, queue.bytes)).toBeLessThanOrEqual(bytesMax);
      }
    }),
    { numRuns: 200 },
  );
});
