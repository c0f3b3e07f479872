/** Nodes of a cluster as the naive model keeps them: a number is given once, and kept by who has it. */
import type { Change } from "../../src/engine/change.ts";
import type { ModelAnswer } from "./naive-model.ts";
export class NaiveMembers {
  #members: { uuid: string; id: number }[] = [];
  #nextId = 1;

  admit(uuid: string): number {
    const known = this.#members.find((member) => member.uuid === uuid);
    if (known !== undefined) return known.id;
    const id = this.#nextId++;
    this.#members.push({ uuid, id });
    return id;
  }

  forget(id: number): void {
    this.#members = this.#members.filter((member) => member.id !== id);
  }

  has(id: number): boolean {
    return this.#members.some((member) => member.id === id);
  }

  change(change: Change): ModelAnswer {
    switch (change.kind) {
      case "admitMember":
        return `member ${this.admit(change.uuid)}`;
      case "forgetMember":
        this.forget(change.id);
        return "ok";
      case "setStandby":
        return this.has(change.id) ? "ok" : "NOT_FOUND";
      case "raiseFeatureLevel":
        return "ok";
      default:
        throw new Error(`${change.kind}: its histories have a model of their own`);
    }
  }
}
