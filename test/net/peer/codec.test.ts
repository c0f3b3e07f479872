import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBatch, decodeMessage, encodeMessage } from "../../../src/net/peer/codec.ts";
import {
  createMessage,
  type Entry,
  type EntryType,
  type Message,
  type MessageType,
  type Snapshot,
} from "../../../src/raft/message.ts";

const types: readonly MessageType[] = [
  "MsgHup",
  "MsgBeat",
  "MsgProp",
  "MsgApp",
  "MsgAppResp",
  "MsgVote",
  "MsgVoteResp",
  "MsgSnap",
  "MsgHeartbeat",
  "MsgHeartbeatResp",
  "MsgUnreachable",
  "MsgSnapStatus",
  "MsgCheckQuorum",
  "MsgTransferLeader",
  "MsgTimeoutNow",
  "MsgReadIndex",
  "MsgReadIndexResp",
  "MsgPreVote",
  "MsgPreVoteResp",
  "MsgStorageAppend",
  "MsgStorageAppendResp",
  "MsgStorageApply",
  "MsgStorageApplyResp",
  "MsgForgetLeader",
];
const entryTypes: readonly EntryType[] = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];

const number = fc.oneof(fc.constant(0), fc.nat(300), fc.maxSafeNat());
const bytes = fc.uint8Array({ maxLength: 300 });
const entry: fc.Arbitrary<Entry> = fc.record({
  term: number,
  index: number,
  type: fc.constantFrom(...entryTypes),
  data: bytes,
});
const ids = fc.array(number, { maxLength: 6 });
const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  index: number,
  term: number,
  conf: fc.record({
    voters: ids,
    votersOutgoing: ids,
    learners: ids,
    learnersNext: ids,
    autoLeave: fc.boolean(),
  }),
  data: bytes,
});

function messages(depth: number): fc.Arbitrary<Message> {
  return fc
    .record({
      type: fc.constantFrom(...types),
      to: number,
      from: number,
      term: number,
      logTerm: number,
      index: number,
      commit: number,
      commitTerm: number,
      vote: number,
      reject: fc.boolean(),
      rejectHint: number,
      force: fc.boolean(),
      token: number,
      beat: number,
      entries: fc.array(entry, { maxLength: 5 }),
      snapshot: fc.option(snapshot, { nil: undefined }),
      responses: depth === 0 ? fc.constant([]) : fc.array(messages(depth - 1), { maxLength: 2 }),
    })
    .map((message): Message => message);
}

const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");

test("[P10] every message comes back as it was", () => {
  fc.assert(
    fc.property(messages(2), (message) => {
      expect(decodeMessage(encodeMessage(message))).toEqual({ kind: "value", value: message });
    }),
    { numRuns: 500 },
  );
});

test("[P10] the bytes of a message never change within a protocol version", () => {
  const append = createMessage("MsgApp", 2, {
    from: 1,
    term: 300,
    logTerm: 299,
    index: 70_000,
    commit: 69_999,
    entries: [
      { term: 300, index: 70_001, type: "EntryNormal", data: Uint8Array.of(0, 255, 10) },
      { term: 300, index: 70_002, type: "EntryConfChangeV2", data: new Uint8Array(0) },
    ],
  });
  const vote = createMessage("MsgPreVoteResp", 3, {
    from: Number.MAX_SAFE_INTEGER,
    term: 5,
    commitTerm: 4,
    vote: 9,
    reject: true,
    rejectHint: 1,
    force: true,
    token: 128,
    beat: 77,
  });
  const install = createMessage("MsgSnap", 1, {
    snapshot: {
      index: 1000,
      term: 2,
      conf: {
        voters: [1, 2],
        votersOutgoing: [1],
        learners: [4],
        learnersNext: [5],
        autoLeave: true,
      },
      data: Uint8Array.of(1, 2),
    },
  });
  const stored = createMessage("MsgStorageAppend", 7, { responses: [createMessage("MsgBeat", 1)] });

  expect([append, vote, install, stored].map((message) => hex(encodeMessage(message)))).toEqual([
    "04bf400102ac02ab02f0a204efa2040200ac02f1a2040300ff0a02ac02f2a20400",
    "13c73fffffffffffffff0f030504090180014d",
    "0882800101e8070202010201010104010501020102",
    "148280020701020201",
  ]);
});

test("[P11] whatever bytes are given, decoding ends with a value or a fault and never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
      for (const decoded of [decodeMessage(garbage), decodeBatch(garbage)]) {
        expect(["value", "fault"]).toContain(decoded.kind);
      }
    }),
    { numRuns: 2000 },
  );
});

test("[P11] a message that was cut or damaged anywhere is a value or a fault, and when cut always a fault", () => {
  fc.assert(
    fc.property(messages(1), fc.nat(), fc.integer({ min: 1, max: 255 }), (message, where, flip) => {
      const whole = encodeMessage(message);
      const at = where % whole.length;
      const damaged = whole.slice();
      damaged[at] = (damaged[at] ?? 0) ^ flip;

      expect(decodeMessage(whole.subarray(0, at)).kind).toBe("fault");
      expect(["value", "fault"]).toContain(decodeMessage(damaged).kind);
    }),
    { numRuns: 500 },
  );
});

test("[P11] counts and lengths beyond what is there are refused before anything is held", () => {
  const faults = [
    ["048040ffffffffffffff0f", "items cannot fit"],
    ["04804001000101ffffffff07", "bytes are announced"],
    ["040180808080808080808001", "a number is too large"],
    ["6300", "unknown type"],
    ["04808004", "unknown field"],
    ["0380800201038080020103808002010380800201038080020103808002010380800201", "nested"],
    ["040000", "follows the message"],
  ] as const;

  for (const [given, reason] of faults) {
    const decoded = decodeMessage(Buffer.from(given, "hex"));
    expect(decoded).toEqual({ kind: "fault", message: expect.stringContaining(reason) });
  }
});

test("[P10] what was decoded does not share memory with what was received", () => {
  const data = new Uint8Array(100).fill(7);
  const message = createMessage("MsgApp", 1, {
    entries: [{ term: 1, index: 1, type: "EntryNormal", data }],
  });
  const received = encodeMessage(message);

  const decoded = decodeMessage(received);
  received.fill(0);

  expect(decoded).toEqual({ kind: "value", value: message });
});
