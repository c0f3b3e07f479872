/** Who keeps blobs and jobs in step, over nodes in memory that lose calls, miss entries and change their leader. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import { emptyConfState } from "../../src/raft/message.ts";
import { BlobKeeper, type LocalBlobs } from "../../src/replica/blob-keeper.ts";
import { ManualTime, settle } from "../support/node-rig.ts";
import { memoryLogger } from "../support/system-ports.ts";

const graceMs = 10_000;

class MemoryBlobs implements LocalBlobs {
  readonly held = new Map<string, number>();
  readonly #time: ManualTime;

  constructor(time: ManualTime) {
    this.#time = time;
  }

  bytesOf(hash: string): number | undefined {
    return this.held.has(hash) ? 1 : undefined;
  }

  use(hash: string): boolean {
    if (!this.held.has(hash)) return false;
    this.held.set(hash, this.#time.monotonicMs());
    return true;
  }

  async put({ hash }: { hash: string }): Promise<void> {
    this.held.set(hash, this.#time.monotonicMs());
  }

  unusedFor(ageMs: number): string[] {
    const beforeMs = this.#time.monotonicMs() - ageMs;
    return [...this.held].filter(([, usedMs]) => usedMs <= beforeMs).map(([hash]) => hash);
  }

  removeUnused(hash: string, ageMs: number): boolean {
    if (!this.unusedFor(ageMs).includes(hash)) return false;
    return this.held.delete(hash);
  }
}

/** Three nodes; each has applied so much of one list of uses. Committed is what two of them have in their logs. */
class Three {
  readonly time = new ManualTime();
  readonly nodes = [1, 2, 3].map((id) => this.#node(id));
  /** Hash and whether a job takes it or lets it go. */
  readonly log: { readonly hash: string; readonly uses: boolean }[] = [];
  readonly cut = new Set<number>();
  leaderId = 1;
  #proposed: { hash: string; by: number; atMs: number }[] = [];

  /** What the node knows to be used. */
  usedBy(id: number): Set<string> {
    const used = new Set<string>();
    for (const { hash, uses } of this.log.slice(0, this.at(id).applied)) {
      if (uses) used.add(hash);
      else used.delete(hash);
    }
    return used;
  }

  at(id: number) {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** A client has the leader add a job with this blob; it is proposed, and not yet committed. False when it was refused. */
  async propose(hash: string): Promise<boolean> {
    const leader = this.at(this.leaderId);
    try {
      await leader.keeper.ensure(hash, 0);
    } catch (error) {
      if (error instanceof CorvoError) return false;
      throw error;
    }
    this.#proposed.push({ hash, by: this.leaderId, atMs: this.time.monotonicMs() });
    return true;
  }

  /** What was proposed goes in, if it has not waited for long and its leader leads still. */
  commit(): void {
    for (const { hash, by, atMs } of this.#proposed.splice(0)) {
      const isLate = this.time.monotonicMs() - atMs > graceMs / 2;
      if (by === this.leaderId && !isLate) this.#commit({ hash, uses: true });
    }
  }

  letGo(hash: string): void {
    if (this.usedBy(this.leaderId).has(hash)) this.#commit({ hash, uses: false });
  }

  /** Needs two nodes that reach each other. */
  #commit(entry: { hash: string; uses: boolean }): void {
    if (this.cut.has(this.leaderId) || this.cut.size > 1) return;
    this.log.push(entry);
    for (const node of this.nodes) if (!this.cut.has(node.id)) node.applied = this.log.length;
  }

  /** Somebody leads who has everything that was committed. */
  elect(): void {
    const able = this.nodes.filter(
      ({ id, applied }) => !this.cut.has(id) && applied === this.log.length,
    );
    this.leaderId = able.at(-1)?.id ?? this.leaderId;
  }

  /** Who was cut off is back, without what it missed of blobs, and another one is gone. */
  cutInstead(id: number): void {
    this.cut.clear();
    for (const other of this.nodes) if (other.id !== id) other.applied = this.log.length;
    this.cut.add(id);
  }

  heal(): void {
    this.cut.clear();
    for (const node of this.nodes) {
      node.applied = this.log.length;
      node.keeper.changed();
    }
  }

  #reach(from: number, to: number) {
    if (this.cut.has(from) || this.cut.has(to)) throw new CorvoError("UNAVAILABLE", "cut off");
    return this.at(to);
  }

  #node(id: number) {
    const local = new MemoryBlobs(this.time);
    const isLeader = () => this.leaderId === id;
    const leaderId = () => this.leaderId;
    const keeper = new BlobKeeper({
      selfId: id,
      local,
      peers: {
        give: async (to, hash) => {
          const { local: theirs } = this.#reach(id, to);
          if (!theirs.use(hash)) await theirs.put({ hash });
        },
        take: async (from, hash) => {
          const has = this.#reach(id, from).local.use(hash);
          return has ? (async function* () {})() : undefined;
        },
        needed: async (to, shard, hashes) => this.#reach(id, to).keeper.neededBy(shard, hashes),
      },
      shards: [
        {
          get isLeader() {
            return isLeader();
          },
          get leaderId() {
            return leaderId();
          },
          conf: { ...emptyConfState, voters: [1, 2, 3] },
          uses: (hash) => this.usedBy(id).has(hash),
          used: () => this.usedBy(id),
          // An answer that another majority might contradict is none.
          readBarrier: async () => {
            if (this.cut.has(id) || this.at(id).applied < this.log.length) {
              throw new CorvoError("UNAVAILABLE", "not confirmed");
            }
          },
        },
      ],
      others: () => [1, 2, 3].filter((other) => other !== id),
      timers: this.time,
      logger: memoryLogger(),
      graceMs,
    });
    const shard = { id, local, keeper, applied: 0 };
    return shard;
  }
}

type Step =
  | { kind: "upload" | "enqueue" | "letGo"; node: number; hash: string }
  | { kind: "cut" | "cutInstead" | "sweep"; node: number }
  | { kind: "heal" | "elect" | "commit" }
  | { kind: "pass"; ms: number };

const node = fc.integer({ min: 1, max: 3 });
const hash = fc.constantFrom("a", "b", "c");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("upload", "enqueue", "enqueue", "letGo"), node, hash }),
  fc.record({ kind: fc.constantFrom("cut", "cutInstead", "sweep", "sweep"), node }),
  fc.record({ kind: fc.constantFrom("heal", "elect", "commit", "commit") }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(10, 6000, 11_000) }),
) as fc.Arbitrary<Step>;

async function act(three: Three, one: Step): Promise<void> {
  switch (one.kind) {
    case "upload":
      return three.at(one.node).local.put({ hash: one.hash });
    case "enqueue":
      await three.propose(one.hash);
      return;
    case "commit":
      return three.commit();
    case "letGo":
      return three.letGo(one.hash);
    case "cut":
      if (three.cut.size === 0) three.cut.add(one.node);
      return;
    case "sweep":
      await three
        .at(one.node)
        .keeper.sweep()
        .catch(() => 0);
      return;
    case "cutInstead":
      return three.cutInstead(one.node);
    case "heal":
      return three.heal();
    case "elect":
      return three.elect();
    case "pass":
      return three.time.pass(one.ms);
  }
}

test("[V3] [V8] whatever is lost on the way, the blob of a committed job is on a majority or comes back to it, and goes when nobody needs it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const three = new Three();
      for (const one of steps) {
        await act(three, one);
        await settle();
        for (const wanted of three.usedBy(three.leaderId)) {
          const having = three.nodes.filter(({ local }) => local.held.has(wanted));
          expect(having.length).toBeGreaterThanOrEqual(2);
        }
      }

      three.heal();
      three.elect();
      await settle();
      const used = [...three.usedBy(three.leaderId)].sort();
      for (const { local } of three.nodes) {
        expect([...local.held.keys()]).toEqual(expect.arrayContaining(used));
      }
      await three.time.pass(graceMs + 1);
      for (const { keeper } of three.nodes) await keeper.sweep();
      await three.time.pass(graceMs + 1);
      for (const { keeper } of three.nodes) await keeper.sweep();
      for (const { keeper } of three.nodes) keeper.stop();
      for (const { local } of three.nodes) expect([...local.held.keys()].sort()).toEqual(used);
    }),
    { numRuns: 3000 },
  );
}, 30_000);

test("[V3] a blob that cannot be brought to a majority lets no job in, and one that nobody has is named", async () => {
  const three = new Three();
  await three.at(1).local.put({ hash: "a" });
  three.cut.add(2).add(3);

  const alone = await three
    .at(1)
    .keeper.ensure("a", 0)
    .catch((error: unknown) => error);
  three.cut.clear();
  const together = await three.at(1).keeper.ensure("a", 0);
  const unknown = await three
    .at(1)
    .keeper.ensure("z", 0)
    .catch((error: unknown) => error);

  expect(alone).toMatchObject({
    code: "UNAVAILABLE",
    message: "the blob is not on a majority of the nodes: cut off",
  });
  expect(together).toBe(1);
  expect(unknown).toMatchObject({ code: "BLOB_NOT_FOUND" });
});

test("[V3] a leader that has not got the blob itself gets it from the node where it was uploaded", async () => {
  const three = new Three();
  await three.at(3).local.put({ hash: "a" });

  const isIn = await three.propose("a");

  expect(isIn).toBe(true);
  expect(three.at(1).local.held.has("a")).toBe(true);
});

test("[V3] a blob is not said to be nowhere while the node that may have it cannot be asked", async () => {
  const three = new Three();
  await three.at(3).local.put({ hash: "a" });
  three.cut.add(3);

  const refused = await three
    .at(1)
    .keeper.ensure("a", 0)
    .catch((error: unknown) => error);
  three.cut.clear();

  expect(refused).toMatchObject({
    code: "UNAVAILABLE",
    message: "no node that could be asked has blob a: cut off",
  });
  expect(await three.at(1).keeper.ensure("a", 0)).toBe(1);
});

test("[V8] nothing is removed without the word of the leader", async () => {
  const three = new Three();
  await three.at(1).local.put({ hash: "a" });
  await three.time.pass(graceMs + 1);
  three.cut.add(1);

  const refused = await three
    .at(1)
    .keeper.sweep()
    .catch((error: unknown) => error);

  expect(refused).toMatchObject({ code: "UNAVAILABLE" });
  expect(three.at(1).local.held.has("a")).toBe(true);
});
