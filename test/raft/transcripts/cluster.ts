/**
 * The cluster that a transcript acts on: members with ids from 1, and one bag of messages on their
 * way. Nothing moves unless a directive says so.
 */

import { describeMessage } from "../../../src/raft/describe.ts";
import {
  isLocalThread,
  type Message,
  type MessageType,
  type NodeId,
} from "../../../src/raft/message.ts";
import type { DropReason } from "../../../src/raft/state.ts";
import { DirectiveError, Member, type MemberSettings } from "./member.ts";
import type { Output } from "./output.ts";

/** Ends a `stabilize` that would never come to rest. */
const roundsMax = 10_000;

export class Cluster {
  readonly members: Member[] = [];
  messages: Message[] = [];
  readonly output: Output;

  constructor(output: Output) {
    this.output = output;
  }

  add(settings: MemberSettings): void {
    this.members.push(new Member(settings));
  }

  member(id: NodeId): Member {
    const member = this.members[id - 1];
    if (member === undefined)
      throw new DirectiveError(`no node ${id} among ${this.members.length}`);
    return member;
  }

  processReady(id: NodeId): void {
    const member = this.member(id);
    this.messages.push(...member.processReady(this.#write));
    member.finishReady();
  }

  processAppend(id: NodeId): void {
    this.messages.push(...this.member(id).processAppend(this.#write));
  }

  processApply(id: NodeId): void {
    this.messages.push(...this.member(id).processApply(this.#write));
  }

  /** Delivers, or drops, what is on its way to a node. Returns the number of messages. */
  deliver(to: NodeId, type: MessageType | undefined, drop: boolean): number {
    const chosen = this.messages.filter((message) => matches(message, to, type, drop));
    this.messages = this.messages.filter((message) => !matches(message, to, type, drop));
    for (const message of chosen) {
      this.output.write(`${drop ? "dropped: " : ""}${describeMessage(message)}\n`);
      if (drop) continue;
      const result = this.member(to).node.step(message);
      const error = result.kind === "dropped" ? dropText(result.reason, message.type) : undefined;
      if (error !== undefined) this.output.write(`${error}\n`);
    }
    return chosen.length;
  }

  /** Runs everything there is to do on these nodes until nothing is left. */
  stabilize(ids: readonly NodeId[]): void {
    for (let round = 0; round < roundsMax; round += 1) {
      let moved = false;
      for (const id of ids) {
        if (!this.member(id).node.hasReady()) continue;
        this.#section(`> ${id} handling Ready`, () => this.processReady(id));
        moved = true;
      }
      for (const id of ids) {
        if (!this.messages.some((message) => message.to === id)) continue;
        this.#section(`> ${id} receiving messages`, () => this.deliver(id, undefined, false));
        moved = true;
      }
      moved = this.#drain(ids, "append") || moved;
      moved = this.#drain(ids, "apply") || moved;
      if (!moved) return;
    }
    throw new DirectiveError(`no rest after ${roundsMax} rounds`);
  }

  #drain(ids: readonly NodeId[], thread: "append" | "apply"): boolean {
    let moved = false;
    for (const id of ids) {
      const member = this.member(id);
      const pending = () => (thread === "append" ? member.appendWork : member.applyWork).length > 0;
      if (!pending()) continue;
      this.output.write(`> ${id} processing ${thread} thread\n`);
      while (pending()) {
        this.output.indented(() =>
          thread === "append" ? this.processAppend(id) : this.processApply(id),
        );
      }
      moved = true;
    }
    return moved;
  }

  #section(header: string, action: () => void): void {
    this.output.write(`${header}\n`);
    this.output.indented(action);
  }

  readonly #write = (text: string): void => this.output.write(text);
}

function matches(
  message: Message,
  to: NodeId,
  type: MessageType | undefined,
  drop: boolean,
): boolean {
  // What a node tells itself does not cross the network and so cannot get lost.
  const isLocal = message.from === message.to || isLocalThread(message.from);
  return message.to === to && (type === undefined || message.type === type) && !(drop && isLocal);
}

/** What a transcript prints for an input without effect. */
export function dropText(reason: DropReason, type: MessageType): string | undefined {
  if (reason === "localMessage") return "raft: cannot step raft local message";
  if (reason === "unknownPeer") return "raft: cannot step as peer not found";
  return type === "MsgProp" ? "raft proposal dropped" : undefined;
}
