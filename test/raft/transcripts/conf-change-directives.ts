/**
 * Directives about configurations: `simple`, `enter-joint [autoleave=true]` and `leave-joint`, with
 * changes as input in the form `v1 l2 r3`. The last index grows by one with each directive.
 */
import {
  type ChangeBase,
  type ChangeResult,
  enterJoint,
  leaveJoint,
  simpleChange,
} from "../../../src/raft/changer.ts";
import { type NodeChange, parseNodeChanges } from "../../../src/raft/conf-change.ts";
import {
  describeMembership,
  describeProgress,
  emptyMembership,
} from "../../../src/raft/tracker.ts";
import type { Directive } from "./parse.ts";

export const confChangeCommands: ReadonlySet<string> = new Set([
  "simple",
  "enter-joint",
  "leave-joint",
]);

export class ConfChangeEnvironment {
  #base: ChangeBase = {
    membership: emptyMembership,
    progress: new Map(),
    lastIndex: 0,
    inflightMessagesMax: 10,
    inflightBytesMax: 0,
  };

  run(directive: Directive): string {
    const output = this.#change(directive);
    this.#base = { ...this.#base, lastIndex: this.#base.lastIndex + 1 };
    return output;
  }

  #change(directive: Directive): string {
    const changes = parseNodeChanges(directive.input);
    if (typeof changes === "string") return changes;
    if (directive.command === "leave-joint" && changes.length > 0) {
      return "this command takes no input";
    }
    const result = this.#compute(directive, changes);
    if (result.kind === "refused") return result.reason;
    const { membership, progress } = result.layout;
    this.#base = { ...this.#base, membership, progress };
    return `${describeMembership(membership)}\n${describeProgress(progress)}`;
  }

  #compute(directive: Directive, changes: readonly NodeChange[]): ChangeResult {
    if (directive.command === "simple") return simpleChange(this.#base, changes);
    if (directive.command === "leave-joint") return leaveJoint(this.#base);
    const autoLeave = directive.args.some(
      (arg) => arg.key === "autoleave" && arg.values[0] === "true",
    );
    return enterJoint(this.#base, autoLeave, changes);
  }
}
