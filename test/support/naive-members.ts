/** Nodes of a cluster as the naive model keeps them: a number is given once, and kept by who has it. */
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
}
