/**
 * Directives about majorities: `committed cfg=(1,2,3) idx=(5,_,7)` and `vote cfg=(1,2,3)
 * votes=(y,n,_)`, each with an optional second half `cfgj`. Every answer is computed a second time
 * in another way, and a difference becomes part of the output.
 */
import { type NodeId, unbounded } from "../../../src/raft/message.ts";
import {
  type JointVoters,
  jointCommitted,
  jointIds,
  jointVote,
  majorityCommitted,
  sortedIds,
} from "../../../src/raft/quorum.ts";
import type { Argument, Directive } from "./parse.ts";

export const quorumCommands: ReadonlySet<string> = new Set(["committed", "vote"]);

export function runQuorumDirective(directive: Directive): string {
  const { args, command } = directive;
  const incoming = valuesOf(args, "cfg").map(Number);
  const joint = args.find((arg) => arg.key === "cfgj");
  const outgoing = (joint?.values ?? []).filter((value) => value !== "zero").map(Number);
  const voters: JointVoters = { incoming: sortedIds(incoming), outgoing: sortedIds(outgoing) };
  const answers = valuesOf(args, command === "vote" ? "votes" : "idx");
  const ids = jointIds(voters);
  if (ids.length !== answers.length) {
    const map = ids.map((id) => `${id}:{}`).join(" ");
    const codes: Record<string, string> = { _: "0", n: "1", y: "2" };
    const given = answers.map((answer) => codes[answer] ?? answer).join(" ");
    return `error: mismatched input (explicit or _) for voters map[${map}]: [${given}]`;
  }
  const given = new Map<NodeId, string>();
  for (const id of [...incoming, ...outgoing]) {
    if (!given.has(id)) given.set(id, answers[given.size] ?? "_");
  }
  for (const [id, answer] of given) if (answer === "_") given.delete(id);
  return command === "vote"
    ? describeVote(voters, given)
    : describeCommitted(voters, given, joint !== undefined);
}

function valuesOf(args: readonly Argument[], key: string): readonly string[] {
  return args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
}

function describeVote(voters: JointVoters, given: ReadonlyMap<NodeId, string>): string {
  const votes = new Map([...given].map(([id, answer]) => [id, answer === "y"]));
  const outcome = jointVote(voters, votes);
  const swapped = jointVote({ incoming: voters.outgoing, outgoing: voters.incoming }, votes);
  return swapped === outcome ? outcome : `${swapped} <-- via symmetry\n${outcome}`;
}

function describeCommitted(
  voters: JointVoters,
  given: ReadonlyMap<NodeId, string>,
  isJoint: boolean,
): string {
  const indexes = new Map([...given].map(([id, answer]) => [id, Number(answer)]));
  const acked = (id: NodeId) => indexes.get(id);
  const { incoming, outgoing } = voters;
  const index = jointCommitted(voters, acked);
  const other = {
    "via brute force": Math.min(bruteForce(incoming, indexes), bruteForce(outgoing, indexes)),
    "via symmetry": jointCommitted({ incoming: outgoing, outgoing: incoming }, acked),
    "via self-joint quorum": isJoint
      ? index
      : jointCommitted({ incoming, outgoing: incoming }, acked),
    "via lowered indexes": isJoint ? index : lowered(incoming, indexes, index),
  };
  let text = picture(jointIds(voters), indexes);
  for (const [how, result] of Object.entries(other)) {
    if (result !== index) text += `${describeIndex(result)} <-- ${how}\n`;
  }
  return `${text}${describeIndex(index)}`;
}

function describeIndex(index: number): string {
  return index === unbounded ? "∞" : String(index);
}

/** The highest index that more than half of the voters have reached, by trying each. */
function bruteForce(voters: readonly NodeId[], indexes: ReadonlyMap<NodeId, number>): number {
  if (voters.length === 0) return unbounded;
  const reached = (index: number) => voters.filter((id) => (indexes.get(id) ?? 0) >= index).length;
  const candidates = voters.map((id) => indexes.get(id) ?? 0);
  return Math.max(0, ...candidates.filter((index) => reached(index) * 2 > voters.length));
}

/** Indexes below the result do not count for it, so lowering them changes nothing. */
function lowered(
  voters: readonly NodeId[],
  indexes: ReadonlyMap<NodeId, number>,
  index: number,
): number {
  for (const id of voters) {
    const own = indexes.get(id) ?? 0;
    if (own === 0 || own >= index) continue;
    for (const less of [own - 1, 0]) {
      const result = majorityCommitted(voters, (voter) =>
        voter === id ? less : indexes.get(voter),
      );
      if (result !== index) return result;
    }
  }
  return index;
}

/** A bar per voter: the more voters are behind it, the longer. Equal indexes have equal bars. */
function picture(voters: readonly NodeId[], indexes: ReadonlyMap<NodeId, number>): string {
  if (voters.length === 0) return "<empty majority quorum>";
  const rows = voters.map((id) => ({ id, index: indexes.get(id) ?? 0 }));
  const blank = " ".repeat(voters.length);
  const lines = rows.map((row) => {
    const length = rows.filter((other) => other.index < row.index).length;
    const bar = indexes.has(row.id)
      ? `${"x".repeat(length)}>${" ".repeat(voters.length - length)}`
      : `?${blank}`;
    return `${bar} ${String(row.index).padStart(5)}    (id=${row.id})\n`;
  });
  return `${blank}    idx\n${lines.join("")}`;
}
